//! `runs`: turns of agents.

use std::time::Duration;

use openclaw_client::Client;
use openclaw_client::v1::{AbortRunRequest, ListRunsRequest, Run, RunStatus, WaitRunRequest};
use openclaw_proto::to_duration;
use tokio::time::Instant;

use super::text;
use crate::cli::{RunStatusName, RunsVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::turn::{status_word, verdict};
use crate::{pages, screen, table};

/// How long the gateway is asked to wait at a time.
const WAIT: Duration = Duration::from_secs(30);

pub(super) async fn run(
    verb: RunsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let methods: &[&str] = match &verb {
        RunsVerb::Abort { .. } => &["sessions.abort"],
        RunsVerb::List { .. } => &["runs.list"],
        RunsVerb::Wait { .. } => &["agent.wait"],
    };
    let client = place.connect_for(methods).await?;
    match verb {
        RunsVerb::List { session, agent, status, rows } => {
            let request = ListRunsRequest {
                session_key: text(session),
                agent_id: text(agent),
                statuses: status.into_iter().map(|status| wire(status).into()).collect(),
                ..ListRunsRequest::default()
            };
            let list = pages::collect(&rows, async |page_size, page_token| {
                let request = ListRunsRequest { page_size, page_token, ..request.clone() };
                Ok(client.runs().list(request).await?.into_inner())
            });
            let list = list.await?;
            match output.format() {
                Format::Human if list.runs.is_empty() => output.note("no runs")?,
                Format::Human => output.block(&show_rows(&list.runs))?,
                Format::Json => output.message(&list)?,
            }
            Ok(Exit::Ok)
        }
        RunsVerb::Wait { id, timeout } => {
            let run = wait(&client, &id, timeout).await?;
            match output.format() {
                Format::Human if !run.text.is_empty() => output.block(&run.text)?,
                Format::Human => {}
                Format::Json => output.message(&run)?,
            }
            if is_ended(run.status()) {
                return verdict(&run);
            }
            let cause = format!("run `{id}` is still {}", status_word(run.status()));
            let next = place.command(&format!("runs wait {id}"));
            Err(Failure::advised(Exit::Retry, cause, next))
        }
        RunsVerb::Abort { id } => {
            let run = client.runs().abort(AbortRunRequest { run_id: id }).await?.into_inner();
            match output.format() {
                Format::Human => {
                    output.line(&format!("run {} is {}", run.run_id, status_word(run.status())))?;
                }
                Format::Json => output.message(&run)?,
            }
            Ok(Exit::Ok)
        }
    }
}

/// Waits until the run ends or the time is up, and returns it as it then is.
async fn wait(client: &Client, id: &str, timeout: Option<Duration>) -> Result<Run, Failure> {
    let started = Instant::now();
    loop {
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        let part = left.unwrap_or(WAIT).min(WAIT);
        let request = WaitRunRequest { run_id: id.to_owned(), timeout: Some(to_duration(part)) };
        let run = client.runs().wait(request).await?.into_inner();
        if is_ended(run.status()) || left.is_some_and(|left| left <= part) {
            return Ok(run);
        }
    }
}

fn is_ended(status: RunStatus) -> bool {
    match status {
        RunStatus::Unspecified | RunStatus::Queued | RunStatus::Running => false,
        RunStatus::Ok
        | RunStatus::Error
        | RunStatus::Timeout
        | RunStatus::Aborted
        | RunStatus::Interrupted => true,
    }
}

fn wire(status: RunStatusName) -> RunStatus {
    match status {
        RunStatusName::Queued => RunStatus::Queued,
        RunStatusName::Running => RunStatus::Running,
        RunStatusName::Ok => RunStatus::Ok,
        RunStatusName::Error => RunStatus::Error,
        RunStatusName::Timeout => RunStatus::Timeout,
        RunStatusName::Aborted => RunStatus::Aborted,
        RunStatusName::Interrupted => RunStatus::Interrupted,
    }
}

fn show_rows(runs: &[Run]) -> String {
    let now = jiff::Timestamp::now();
    let rows = runs.iter().map(|run| {
        let said = if run.error.is_empty() { &run.text } else { &run.error };
        let kept = if run.withheld.is_empty() { "" } else { "(withheld) " };
        vec![
            run.run_id.clone(),
            status_word(run.status()),
            run.session_key.clone(),
            table::ago(run.accepted_at.as_ref(), now),
            screen::shortened(&format!("{kept}{said}"), 50),
        ]
    });
    table::columns(&["ID", "STATUS", "SESSION", "ACCEPTED", "ANSWER"], rows)
}
