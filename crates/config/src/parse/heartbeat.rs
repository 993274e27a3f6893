//! Reads how an agent looks around by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use openclaw_scheduler::{ActiveHours, Zone};

use crate::read::{Faults, Field, Section};
use crate::{
    HEARTBEAT_PROMPT, HEARTBEAT_TOOLS, Heartbeat, HeartbeatTarget, Platform, Problem, ToolPattern,
    parse_duration,
};

use super::models;

/// How often when nothing else is said (`runtime.md` §5.1 of the reference).
const EVERY: Duration = Duration::from_secs(30 * 60);
const LONGEST_PROMPT: usize = 16_384;

/// Reads a heartbeat over the one of the defaults. A table that is not there is none of its own.
pub(super) fn read(
    owner: &Section<'_>,
    inherited: Option<&Heartbeat>,
    declared: &BTreeSet<String>,
    faults: &mut Faults<'_>,
) -> Option<Heartbeat> {
    owner.field("heartbeat")?;
    let section = owner.section("heartbeat", faults);
    // `0m` is none.
    let every = section.field("every").and_then(|field| {
        field.parsed(faults, |text| match text {
            "0" | "0s" | "0m" | "0h" | "0d" => Ok(None),
            text => parse_duration(text)
                .map(Some)
                .map_err(|problem| Problem::Duration { key: field.path.clone(), problem }),
        })
    });
    let old = inherited.cloned().unwrap_or_else(nothing_said);
    let flag =
        |name, faults: &mut Faults<'_>| section.field(name).and_then(|field| field.flag(faults));
    let isolated = flag("isolatedSession", faults).unwrap_or(old.isolated_session);
    let light = flag("lightContext", faults).unwrap_or(old.light_context);
    let prompt = section.field("prompt").and_then(|field| prompt(&field, faults));
    let model = section
        .field("model")
        .and_then(|field| field.parsed(faults, |text| models::known(text, &field.path, declared)));
    let tools = section.field("tools");
    let tools = tools.and_then(|field| field.list(faults, super::agents::tool_pattern));
    let timeout = section.field("timeoutSeconds");
    let timeout =
        timeout.and_then(|field| field.number(1, 86_400, faults)).map(Duration::from_secs);
    let budget = section.field("budget");
    let budget = budget.and_then(|field| field.number(0, 1_000_000_000_000, faults));
    let target = target(&section, faults);
    let active = hours(&section.section("activeHours", faults), faults);
    Some(Heartbeat {
        every: match every {
            Some(None) => return None,
            Some(Some(every)) => every,
            None => old.every,
        },
        prompt: prompt.unwrap_or(old.prompt),
        model: model.or(old.model),
        target: target.unwrap_or(old.target),
        active: active.or(old.active),
        isolated_session: isolated,
        light_context: light,
        timeout: timeout.or(old.timeout),
        // Zero is any number.
        budget: budget.map_or(old.budget, |tokens| (tokens > 0).then_some(tokens)),
        tools: tools.unwrap_or(old.tools),
    })
}

fn nothing_said() -> Heartbeat {
    Heartbeat {
        every: EVERY,
        prompt: HEARTBEAT_PROMPT.into(),
        model: None,
        target: HeartbeatTarget::Owner,
        active: None,
        isolated_session: false,
        light_context: false,
        timeout: None,
        budget: None,
        tools: HEARTBEAT_TOOLS.iter().filter_map(|tool| ToolPattern::parse(tool).ok()).collect(),
    }
}

fn prompt(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let is_prompt = !text.trim().is_empty() && text.len() <= LONGEST_PROMPT;
        is_prompt.then(|| text.to_owned()).ok_or_else(|| Problem::Text {
            key: field.path.clone(),
            expected: "text of 1 to 16384 bytes",
        })
    })
}

fn target(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<HeartbeatTarget> {
    let to = section.field("to").and_then(|field| field.text(faults));
    let field = section.field("target")?;
    let names: Vec<&'static str> =
        ["owner", "none"].into_iter().chain(Platform::ALL.map(Platform::name)).collect();
    match (field.choice(&names, |name| name, faults)?, to) {
        ("owner", None) => Some(HeartbeatTarget::Owner),
        ("none", None) => Some(HeartbeatTarget::None),
        ("owner" | "none", Some(_)) => {
            let field = section.field("to")?;
            let (key, expected) = (field.path.clone(), "absent unless `target` is a channel");
            faults.report(field.key_at, Problem::Text { key, expected });
            None
        }
        (channel, Some(to)) => {
            Some(HeartbeatTarget::Chat { channel: channel.to_owned(), to: to.to_owned() })
        }
        (_, None) => {
            models::missing(section, "to", "\"ID\"", faults);
            None
        }
    }
}

fn hours(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<ActiveHours> {
    let text = |name, faults: &mut Faults<'_>| section.field(name).and_then(|it| it.text(faults));
    let (start, end) = (text("start", faults), text("end", faults));
    let zone = text("timezone", faults);
    let (start, end) = match (start, end) {
        (None, None) => return None,
        (Some(_), None) => {
            models::missing(section, "end", "\"22:00\"", faults);
            return None;
        }
        (None, Some(_)) => {
            models::missing(section, "start", "\"08:00\"", faults);
            return None;
        }
        (Some(start), Some(end)) => (start, end),
    };
    let expected = "two different times of day such as `08:00` and `22:00`, and the name of a zone such as \
                    `Europe/Berlin`";
    let zone = Zone::parse(zone.unwrap_or("UTC")).ok();
    let hours = zone.and_then(|zone| ActiveHours::parse(start, end, zone).ok());
    if hours.is_none() {
        let key = section.field("start")?.path.replace(".start", "");
        faults.report(section.at, Problem::Text { key, expected });
    }
    hours
}

#[cfg(test)]
mod tests;
