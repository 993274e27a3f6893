//! Due instants: asking for one, ending one, and what became of them.

use std::time::Duration;

use openclaw_client::v1::occurrence::Outcome;
use openclaw_client::v1::{CancelJobRequest, ListOccurrencesRequest, Occurrence, RunJobRequest};
use openclaw_client::{Client, fresh_key};
use openclaw_scopes::target::Reach;
use tokio::time::Instant;

use super::connect_to_change;
use super::shown::{self, Of};
use crate::cli::{ListRows, OutcomeName};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::pages;
use crate::place::Place;

/// How long to wait between two looks.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(
    job: String,
    limit: Option<Duration>,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect_to_change("cron.run", &job, Reach::Agents, place).await?;
    let request = RunJobRequest { job, idempotency_key: fresh_key()?.to_string() };
    let asked = client.cron().run(request).await?.into_inner();
    let Some(limit) = limit else {
        match output.format() {
            Format::Human => {
                let at = shown::utc(asked.scheduled_at.as_ref());
                output.line(&format!("{} is due at {at}", asked.job_id))?;
            }
            Format::Json => output.message(&asked)?,
        }
        return Ok(Exit::Ok);
    };
    let ended = wait(&client, &asked, limit).await?;
    match output.format() {
        Format::Human if ended.text.is_empty() || ended.outcome() != Outcome::Ran => {}
        Format::Human => output.block(&ended.text)?,
        Format::Json => output.message(&ended)?,
    }
    verdict(&ended, place)
}

/// Waits until what was asked for has come to its end or the time is up, and returns it as it then is.
async fn wait(client: &Client, asked: &Occurrence, limit: Duration) -> Result<Occurrence, Failure> {
    let started = Instant::now();
    loop {
        let Some(last) = find(client, asked).await? else {
            let cause = format!("the ledger has nothing of job `{}` any more", asked.job_id);
            return Err(Failure::told(Exit::Failed, cause));
        };
        let left = limit.saturating_sub(started.elapsed());
        if !is_open(&last) || left.is_zero() {
            return Ok(last);
        }
        tokio::time::sleep(LOOK.min(left)).await;
    }
}

/// Finds an occurrence again, by its job and its instant.
async fn find(client: &Client, wanted: &Occurrence) -> Result<Option<Occurrence>, Failure> {
    let mut request =
        ListOccurrencesRequest { job: wanted.job_id.clone(), ..ListOccurrencesRequest::default() };
    loop {
        // By its id a job is found that was removed meanwhile, too.
        let page = client.cron().runs(request.clone()).await?.into_inner();
        let mut rows = page.occurrences.into_iter();
        if let Some(found) = rows.find(|it| it.scheduled_at == wanted.scheduled_at) {
            return Ok(Some(found));
        }
        if page.next_page_token.is_empty() || page.next_page_token == request.page_token {
            return Ok(None);
        }
        request.page_token = page.next_page_token;
    }
}

fn is_open(occurrence: &Occurrence) -> bool {
    match occurrence.outcome() {
        Outcome::Claimed | Outcome::Unspecified => true,
        Outcome::Ran
        | Outcome::Failed
        | Outcome::Skipped
        | Outcome::Missed
        | Outcome::Cancelled
        | Outcome::Lost => false,
    }
}

/// Decides by what became of it how the program ends.
fn verdict(occurrence: &Occurrence, place: &Place) -> Result<Exit, Failure> {
    if occurrence.outcome() == Outcome::Ran {
        return Ok(Exit::Ok);
    }
    let job = &occurrence.job_id;
    let next = place.command(&format!("cron runs {job}"));
    if is_open(occurrence) {
        let cause = format!("job `{job}` has not come to its end yet");
        return Err(Failure::advised(Exit::Retry, cause, next));
    }
    let why = [occurrence.reason.as_str(), occurrence.text.as_str()];
    let why: Vec<_> = why.into_iter().filter(|word| !word.is_empty()).collect();
    let colon = if why.is_empty() { "" } else { ": " };
    let outcome = shown::outcome(occurrence);
    let cause = format!("job `{job}` did not run well: {outcome}{colon}{}", why.join(": "));
    Err(Failure::advised(Exit::Failed, cause, next))
}

pub(super) async fn cancel(
    job: String,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect_to_change("cron.cancel", &job, Reach::Agents, place).await?;
    let ended = client.cron().cancel(CancelJobRequest { job }).await?.into_inner();
    match output.format() {
        Format::Human => {
            let at = shown::utc(ended.scheduled_at.as_ref());
            let outcome = shown::outcome(&ended);
            output.line(&format!("{}, due at {at}, is {outcome}", ended.job_id))?;
        }
        Format::Json => output.message(&ended)?,
    }
    Ok(Exit::Ok)
}

pub(super) async fn list(
    job: String,
    outcome: Option<OutcomeName>,
    rows: &ListRows,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let of = if job.is_empty() { Of::All } else { Of::One };
    let outcome = outcome.map_or(Outcome::Unspecified, wire);
    let request = ListOccurrencesRequest {
        job,
        outcome: outcome.into(),
        ..ListOccurrencesRequest::default()
    };
    let mut cron = place.connect_for(&["cron.runs"]).await?.cron();
    let list = pages::collect(rows, async |page_size, page_token| {
        let request = ListOccurrencesRequest { page_size, page_token, ..request.clone() };
        Ok(cron.runs(request).await?.into_inner())
    });
    let list = list.await?;
    match output.format() {
        Format::Human if list.occurrences.is_empty() => output.note("nothing was due")?,
        Format::Human => output.block(&shown::occurrences(&list.occurrences, of))?,
        Format::Json => output.message(&list)?,
    }
    Ok(Exit::Ok)
}

const fn wire(outcome: OutcomeName) -> Outcome {
    match outcome {
        OutcomeName::Claimed => Outcome::Claimed,
        OutcomeName::Ran => Outcome::Ran,
        OutcomeName::Failed => Outcome::Failed,
        OutcomeName::Skipped => Outcome::Skipped,
        OutcomeName::Missed => Outcome::Missed,
        OutcomeName::Cancelled => Outcome::Cancelled,
        OutcomeName::Lost => Outcome::Lost,
    }
}
