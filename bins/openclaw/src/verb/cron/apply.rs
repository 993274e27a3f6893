//! Giving jobs as a file says, and what that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openclaw_client::v1::applied_job::Fate;
use openclaw_client::v1::{AppliedJob, ApplyJobsRequest, Job};
use tokio::io::AsyncReadExt as _;

use super::{export, file};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::screen;

/// The longest file, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// Characters of a value that are shown at most.
const SHOWN: usize = 100;
/// What is told of a job that is there, and not said of one.
const TOLD: [&str; 3] = ["id", "owner", "disabledReason"];

/// Whether what a file says is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum How {
    /// It is.
    Done,
    /// It is only tried.
    Tried,
}

pub(super) async fn run(
    path: &Path,
    how: How,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let jobs = file::read(&text_of(path).await?, jiff::Timestamp::now())?;
    let client = place.connect_for(&["cron.apply"]).await?;
    let request = ApplyJobsRequest { jobs, dry_run: how == How::Tried };
    let applied = client.cron().apply(request).await?.into_inner();
    match output.format() {
        Format::Human => output.block(&shown(&applied.jobs, how)?)?,
        Format::Json => output.message(&applied)?,
    }
    Ok(Exit::Ok)
}

/// Reads a file, or standard input, up to a size.
async fn text_of(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::told(Exit::Usage, format!("cannot read `{}`: {error}", path.display()))
    };
    let mut text = String::new();
    let most = MAX_FILE.saturating_add(1);
    let length = if path == Path::new("-") {
        tokio::io::stdin().take(most).read_to_string(&mut text).await
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, most), &mut text)
    };
    let length = length.map_err(failed)?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_FILE) {
        Ok(text)
    } else {
        let cause = format!("`{}` is longer than {MAX_FILE} bytes", path.display());
        Err(Failure::told(Exit::Usage, cause))
    }
}

/// Returns what came of each job, and what of it changed.
fn shown(jobs: &[AppliedJob], how: How) -> Result<String, Failure> {
    let mut lines = Vec::new();
    let mut counts = [0_usize; 3];
    for applied in jobs {
        let (word, count) = match applied.fate() {
            Fate::Added => ("added", 0),
            Fate::Changed => ("changed", 1),
            Fate::Unchanged | Fate::Unspecified => ("unchanged", 2),
        };
        if let Some(count) = counts.get_mut(count) {
            *count = count.saturating_add(1);
        }
        let after = applied.after.clone().unwrap_or_default();
        let (key, name) =
            (screen::shortened(&after.key, SHOWN), screen::shortened(&after.name, 40));
        lines.push(format!("{word} {key} ({name})"));
        let (was, is) = (fields(applied.before.as_ref())?, fields(Some(&after))?);
        let all: BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for field in all {
            match (was.get(field), is.get(field)) {
                (Some(was), Some(is)) if was == is => {}
                (None, None) => {}
                (None, Some(is)) => lines.push(format!("  + {field} = {is}")),
                (Some(was), None) => lines.push(format!("  - {field} = {was}")),
                (Some(was), Some(is)) => lines.push(format!("  ~ {field} = {was} -> {is}")),
            }
        }
    }
    let [added, changed, unchanged] = counts;
    let tried = match how {
        How::Done => "",
        How::Tried => "; nothing is done: it was only tried",
    };
    lines.push(format!("{added} added, {changed} changed, {unchanged} unchanged{tried}"));
    Ok(lines.join("\n"))
}

/// Returns what a file says of a job, field by field.
fn fields(job: Option<&Job>) -> Result<BTreeMap<String, String>, Failure> {
    let mut fields = BTreeMap::new();
    let Some(job) = job else { return Ok(fields) };
    let text = export::written(std::slice::from_ref(job))?;
    let read: toml::Table = toml::from_str(&text)
        .map_err(|error| Failure::told(Exit::Failed, format!("a job cannot be shown: {error}")))?;
    let table = read.get("job").and_then(|jobs| jobs.get(0)).and_then(toml::Value::as_table);
    for (name, value) in table.into_iter().flatten() {
        match value {
            toml::Value::Table(inner) => fields.extend(inner.iter().map(|(field, value)| {
                (format!("{name}.{field}"), screen::shortened(&value.to_string(), SHOWN))
            })),
            value if !TOLD.contains(&name.as_str()) => {
                fields.insert(name.clone(), screen::shortened(&value.to_string(), SHOWN));
            }
            _ => {}
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use openclaw_client::v1::job_payload::What;
    use openclaw_client::v1::schedule::When;
    use openclaw_client::v1::{JobPayload, Schedule};

    use super::*;

    fn job(message: &str, cron: &str) -> Job {
        Job {
            id: "job-1".into(),
            key: "look".into(),
            name: "Look".into(),
            owner: "owner".into(),
            agent_id: "main".into(),
            enabled: true,
            payload: Some(JobPayload { what: Some(What::AgentTurn(message.into())) }),
            schedule: Some(Schedule {
                when: Some(When::Cron(cron.into())),
                time_zone: "UTC".into(),
                catch_up: "last".into(),
                ..Schedule::default()
            }),
            ..Job::default()
        }
    }

    #[test]
    fn what_changes_is_shown_field_by_field() {
        let applied = |fate: Fate, before: Option<Job>, after: Job| AppliedJob {
            fate: fate.into(),
            before,
            after: Some(after),
        };
        let model = Job { model: "a/b".into(), ..job("Look.", "0 9 * * *") };
        let jobs = [
            applied(Fate::Unchanged, Some(job("a", "@daily")), job("a", "@daily")),
            applied(Fate::Changed, Some(model), job("Look\u{1b}[2J\nup.", "0 8 * * *")),
            applied(Fate::Added, None, job("b", "@hourly")),
        ];
        expect![[r#"
            unchanged look (Look)
            changed look (Look)
              ~ message = "Look." -> """\nLook\u001B[2J\nup."""
              - model = "a/b"
              ~ schedule.cron = "0 9 * * *" -> "0 8 * * *"
            added look (Look)
              + agent = "main"
              + deleteAfterRun = false
              + enabled = true
              + key = "look"
              + message = "b"
              + name = "Look"
              + schedule.catchUp = "last"
              + schedule.cron = "@hourly"
              + schedule.tz = "UTC"
            1 added, 1 changed, 1 unchanged; nothing is done: it was only tried"#]]
        .assert_eq(&shown(&jobs, How::Tried).unwrap());
        assert!(shown(&jobs, How::Done).unwrap().ends_with("\n1 added, 1 changed, 1 unchanged"));
    }
}
