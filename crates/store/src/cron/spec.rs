//! A job's specification as it is stored: JSON that reads back to the same, or not at all.

use std::time::Duration;

use openclaw_scheduler::{ActiveHours, CatchUp, Rules, Schedule, Zone};
use openclaw_scopes::{AgentId, SessionKey, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AfterRun, JobContext, JobDelivery, JobPlace, JobSpec, JobTools, Payload};
use crate::error::damaged;
use crate::outbox::ReplyTo;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    schedule: When,
    #[serde(default, skip_serializing_if = "is_zero")]
    stagger_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active: Option<Hours>,
    catch_up: String,
    payload: What,
    session: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    timeout_ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    max_tokens: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    delete_after_run: bool,
    #[serde(default, skip_serializing_if = "Where::is_conversation")]
    delivery: Where,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind", deny_unknown_fields)]
enum Where {
    Announce {
        to: ReplyTo,
    },
    #[default]
    Conversation,
    None,
    Webhook {
        url: String,
    },
}

impl Where {
    const fn is_conversation(&self) -> bool {
        matches!(self, Self::Conversation)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "kind",
    deny_unknown_fields
)]
enum When {
    At { at: i64 },
    Cron { expression: String, zone: String },
    Every { every_ms: u64, anchor: i64 },
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hours {
    from: String,
    until: String,
    zone: String,
}

#[derive(Deserialize, Serialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "kind",
    deny_unknown_fields
)]
enum What {
    AgentTurn {
        message: String,
    },
    Command {
        argv: Vec<String>,
    },
    Heartbeat {
        prompt: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        light: bool,
    },
    SystemEvent {
        text: String,
    },
    Webhook {
        body: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not what was stored")]
struct Unreadable(String);

/// Returns what is stored of a job beside what has a column.
pub(super) fn to_text(spec: &JobSpec) -> rusqlite::Result<String> {
    let Rules { schedule, stagger, active, catch_up } = &spec.rules;
    let schedule = match schedule {
        Schedule::At(at) => When::At { at: at.as_millis() },
        Schedule::Cron(cron) => When::Cron {
            expression: cron.expression().to_owned(),
            zone: cron.zone().name().to_owned(),
        },
        Schedule::Every { every, anchor } => {
            When::Every { every_ms: millis(*every), anchor: anchor.as_millis() }
        }
    };
    let stored = Stored {
        schedule,
        stagger_ms: millis(*stagger),
        active: active.as_ref().map(|hours| Hours {
            from: hours.start(),
            until: hours.end(),
            zone: hours.zone().name().to_owned(),
        }),
        catch_up: catch_up.to_string(),
        payload: match &spec.payload {
            Payload::AgentTurn { message } => What::AgentTurn { message: message.clone() },
            Payload::Command { argv } => What::Command { argv: argv.clone() },
            Payload::Heartbeat { prompt, context } => {
                What::Heartbeat { prompt: prompt.clone(), light: *context == JobContext::Light }
            }
            Payload::SystemEvent { text } => What::SystemEvent { text: text.clone() },
            Payload::Webhook { body } => What::Webhook { body: body.clone() },
        },
        session: spec.place.name().to_owned(),
        model: spec.model.clone(),
        tools: match &spec.tools {
            JobTools::All => None,
            JobTools::Only(tools) => Some(tools.clone()),
        },
        timeout_ms: millis(spec.timeout),
        max_tokens: spec.max_tokens,
        delete_after_run: spec.after_run == AfterRun::Delete,
        delivery: match &spec.delivery {
            JobDelivery::Announce(to) => Where::Announce { to: to.clone() },
            JobDelivery::Conversation => Where::Conversation,
            JobDelivery::None => Where::None,
            JobDelivery::Webhook(url) => Where::Webhook { url: url.clone() },
        },
    };
    serde_json::to_string(&stored).map_err(|error| damaged(0, error))
}

/// Reads it back.
pub(super) fn from_text(name: String, agent: AgentId, text: &str) -> rusqlite::Result<JobSpec> {
    let stored: Stored = serde_json::from_str(text).map_err(|error| damaged(0, error))?;
    let zone = |name: &str| Zone::parse(name).map_err(|error| damaged(0, error));
    let schedule = match &stored.schedule {
        When::At { at } => Schedule::at(Timestamp::from_millis(*at)),
        When::Cron { expression, zone: name } => {
            Schedule::cron(expression, zone(name)?).map_err(|error| damaged(0, error))?
        }
        When::Every { every_ms, anchor } => {
            let (every, anchor) =
                (Duration::from_millis(*every_ms), Timestamp::from_millis(*anchor));
            Schedule::every(every, anchor).map_err(|error| damaged(0, error))?
        }
    };
    let active = stored.active.as_ref().map(|Hours { from, until, zone: name }| {
        ActiveHours::parse(from, until, zone(name)?).map_err(|error| damaged(0, error))
    });
    let unreadable = |text: &str| damaged(0, Unreadable(text.to_owned()));
    Ok(JobSpec {
        name,
        agent,
        rules: Rules {
            schedule,
            stagger: Duration::from_millis(stored.stagger_ms),
            active: active.transpose()?,
            catch_up: CatchUp::parse(&stored.catch_up)
                .map_err(|_error| unreadable(&stored.catch_up))?,
        },
        payload: match stored.payload {
            What::AgentTurn { message } => Payload::AgentTurn { message },
            What::Command { argv } => Payload::Command { argv },
            What::Heartbeat { prompt, light } => {
                let context = if light { JobContext::Light } else { JobContext::Full };
                Payload::Heartbeat { prompt, context }
            }
            What::SystemEvent { text } => Payload::SystemEvent { text },
            What::Webhook { body } => Payload::Webhook { body },
        },
        place: match stored.session.as_str() {
            "isolated" => JobPlace::Isolated,
            "main" => JobPlace::Main,
            key => JobPlace::Session(SessionKey::parse(key).map_err(|error| damaged(0, error))?),
        },
        model: stored.model,
        tools: stored.tools.map_or(JobTools::All, JobTools::Only),
        timeout: Duration::from_millis(stored.timeout_ms),
        max_tokens: stored.max_tokens,
        after_run: if stored.delete_after_run { AfterRun::Delete } else { AfterRun::Keep },
        delivery: match stored.delivery {
            Where::Announce { to } => JobDelivery::Announce(to),
            Where::Conversation => JobDelivery::Conversation,
            Where::None => JobDelivery::None,
            Where::Webhook { url } => JobDelivery::Webhook(url),
        },
    })
}
