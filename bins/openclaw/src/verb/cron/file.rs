//! Jobs as a file of TOML says: what `cron export` prints, and what people write.

use std::time::Duration;

use openclaw_client::v1::job_payload::What;
use openclaw_client::v1::{
    GivenJob, JobCommand, JobDelivery, JobPayload, JobSpec, Schedule, ToolList,
};
use openclaw_proto::to_duration;
use serde::{Deserialize, Deserializer, de};

use super::{deliver, given};
use crate::cli::{DeliverArgs, Hours, WhenArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::length;

/// Reads the jobs of a file.
pub(super) fn read(text: &str, now: jiff::Timestamp) -> Result<Vec<GivenJob>, Failure> {
    let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end()))?;
    if file.job.is_empty() {
        return Err(wrong("there is no `[[job]]` in it"));
    }
    file.job.into_iter().map(|table| table.given(now)).collect()
}

fn wrong(problem: &str) -> Failure {
    let next = "openclaw cron export shows what a file is like";
    Failure::advised(Exit::Usage, format!("the file cannot be used: {problem}"), next)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    job: Vec<Table>,
}

/// A job. What it does not say is as for a new one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Table {
    #[serde(default)]
    key: String,
    name: String,
    enabled: Option<bool>,
    agent: Option<String>,
    session: Option<String>,
    message: Option<String>,
    system_event: Option<String>,
    command: Option<Vec<String>>,
    webhook_payload: Option<String>,
    model: Option<String>,
    tools: Option<Vec<String>>,
    #[serde(default, deserialize_with = "length_of")]
    timeout: Option<Duration>,
    budget: Option<u64>,
    delete_after_run: Option<bool>,
    schedule: When,
    delivery: Option<Where>,
    // What is told of a job that is there, and said of none: it is read and passed over.
    #[serde(rename = "id")]
    _id: Option<String>,
    #[serde(rename = "owner")]
    _owner: Option<String>,
    #[serde(rename = "disabledReason")]
    _disabled_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct When {
    at: Option<String>,
    #[serde(default, deserialize_with = "length_of")]
    every: Option<Duration>,
    cron: Option<String>,
    tz: Option<String>,
    #[serde(default, deserialize_with = "instant_of")]
    anchor: Option<jiff::Timestamp>,
    #[serde(default, deserialize_with = "length_of")]
    moved_by: Option<Duration>,
    #[serde(default, deserialize_with = "length_of")]
    stagger: Option<Duration>,
    exact: Option<bool>,
    #[serde(default, deserialize_with = "hours_of")]
    active: Option<Hours>,
    active_zone: Option<String>,
    catch_up: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Where {
    announce: Option<bool>,
    channel: Option<String>,
    to: Option<String>,
    thread: Option<String>,
    account: Option<String>,
    no_deliver: Option<bool>,
    webhook: Option<String>,
}

fn length_of<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    length::parse(&text).map(Some).map_err(de::Error::custom)
}

fn instant_of<'de, D: Deserializer<'de>>(from: D) -> Result<Option<jiff::Timestamp>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

fn hours_of<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Hours>, D::Error> {
    let text = String::deserialize(from)?;
    Hours::parse(&text).map(Some).map_err(de::Error::custom)
}

impl Table {
    fn given(self, now: jiff::Timestamp) -> Result<GivenJob, Failure> {
        let name = self.name.clone();
        let wrong = |problem: &str| wrong(&format!("job `{name}`: {problem}"));
        let does = [
            self.message.map(What::AgentTurn),
            self.system_event.map(What::SystemEvent),
            self.command.map(|argv| What::Command(JobCommand { argv })),
            self.webhook_payload.map(What::Webhook),
        ];
        let mut does = does.into_iter().flatten();
        let (Some(what), None) = (does.next(), does.next()) else {
            return Err(wrong(
                "it has one of `message`, `systemEvent`, `command` and `webhookPayload`",
            ));
        };
        let spec = JobSpec {
            name: Some(self.name),
            agent_id: self.agent,
            schedule: Some(self.schedule.given(now).map_err(|problem| wrong(&problem))?),
            payload: Some(JobPayload { what: Some(what) }),
            session: self.session,
            model: self.model,
            tools: self.tools.map(|names| ToolList { all: false, names }),
            timeout: self.timeout.map(to_duration),
            budget: self.budget,
            delete_after_run: self.delete_after_run,
            enabled: self.enabled,
            delivery: match self.delivery {
                Some(delivery) => Some(delivery.given().ok_or_else(|| {
                    wrong("its delivery has one of `announce`, `noDeliver` and `webhook`")
                })?),
                None => None,
            },
        };
        Ok(GivenJob { key: self.key, spec: Some(spec) })
    }
}

impl When {
    fn given(self, now: jiff::Timestamp) -> Result<Schedule, String> {
        let Self { at, every, cron, tz, anchor, moved_by, stagger, exact, .. } = self;
        let said = [at.is_some(), every.is_some(), cron.is_some()];
        if said.into_iter().filter(|is_said| *is_said).count() != 1 {
            return Err("its schedule has one of `at`, `every` and `cron`".to_owned());
        }
        let from_now = |text: &str| length::parse(text.trim_start_matches("in ").trim()).is_ok();
        if at.as_deref().is_some_and(from_now) {
            return Err("`at` is an instant: a length of time is another each time".to_owned());
        }
        let is_exact = exact.unwrap_or_default();
        if [moved_by.is_some(), stagger.is_some(), is_exact].into_iter().filter(|it| *it).count()
            > 1
        {
            return Err("its schedule has one of `movedBy`, `stagger` and `exact`".to_owned());
        }
        let is_cron = cron.is_some();
        let args = WhenArgs { at, every, cron, tz, stagger, exact: is_exact, active: self.active };
        let timed = given::timed(&args, self.catch_up.as_deref(), now);
        let schedule = timed.map_err(|failure| failure.to_string())?.schedule;
        let mut schedule = schedule.unwrap_or_default();
        schedule.anchor = anchor.map(given::to_timestamp);
        schedule.moved_by = moved_by.map(to_duration);
        // Of what is due by no clock, the zone is that of its hours.
        if let Some(zone) = self.active_zone.filter(|_| !is_cron) {
            schedule.time_zone = zone;
        }
        Ok(schedule)
    }
}

impl Where {
    fn given(self) -> Option<JobDelivery> {
        let Self { announce, channel, to, thread, account, no_deliver, webhook } = self;
        let (announce, no_deliver) = (announce.unwrap_or_default(), no_deliver.unwrap_or_default());
        let said = [announce, no_deliver, webhook.is_some()];
        if said.into_iter().filter(|is_said| *is_said).count() != 1 {
            return None;
        }
        let args = DeliverArgs { announce, channel, to, thread, account, no_deliver, webhook };
        deliver::given(args)
    }
}

#[cfg(test)]
mod tests;
