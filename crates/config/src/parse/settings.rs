//! Reads `[gateway]`, `[audit]`, `[events]` and `[tools]`, and paths.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::agents::tool_pattern;
use crate::read::{Faults, Field, Section};
use crate::secret::is_variable_name;
use crate::{
    AuditSettings, CronSettings, EventSettings, ExecAsk, ExecSettings, GatewaySettings, Problem,
    Sandbox, ToolPattern, ToolPolicy, Unattended, WebFetchSettings, parse_duration,
};

/// The least that `audit.retention` may be: less would erase what just happened.
const MIN_RETENTION: Duration = Duration::from_secs(86_400);

pub(super) fn gateway(root: &Section<'_>, faults: &mut Faults<'_>) -> GatewaySettings {
    let section = root.section("gateway", faults);
    let mut number =
        |name, min, max| section.field(name).and_then(|field| field.number(min, max, faults));
    let drain = number("drainSeconds", 0, 3_600).unwrap_or(25);
    let max_message_bytes = number("maxMessageBytes", 65_536, 67_108_864)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(4_194_304);
    GatewaySettings { drain: Duration::from_secs(drain), max_message_bytes }
}

pub(super) fn audit(root: &Section<'_>, faults: &mut Faults<'_>) -> AuditSettings {
    let section = root.section("audit", faults);
    let retention = section.field("retention").and_then(|field| {
        field.parsed(faults, |text| {
            let key = || field.path.clone();
            let duration = parse_duration(text)
                .map_err(|problem| Problem::Duration { key: key(), problem })?;
            if duration < MIN_RETENTION {
                return Err(Problem::Text { key: key(), expected: "at least `1d`" });
            }
            Ok(duration)
        })
    });
    AuditSettings { retention }
}

/// How long events are kept when the text says nothing, and the bounds of what it may say.
const EVENTS_KEPT: Duration = Duration::from_secs(86_400);
const LEAST_EVENTS_KEPT: Duration = Duration::from_secs(3_600);
const MOST_EVENTS_KEPT: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn events(root: &Section<'_>, faults: &mut Faults<'_>) -> EventSettings {
    let section = root.section("events", faults);
    let retention = section.field("retention").and_then(|field| {
        field.parsed(faults, |text| {
            let key = || field.path.clone();
            let duration = parse_duration(text)
                .map_err(|problem| Problem::Duration { key: key(), problem })?;
            if !(LEAST_EVENTS_KEPT..=MOST_EVENTS_KEPT).contains(&duration) {
                return Err(Problem::Text { key: key(), expected: "between `1h` and `30d`" });
            }
            Ok(duration)
        })
    });
    EventSettings { retention: retention.unwrap_or(EVENTS_KEPT) }
}

pub(super) fn cron(root: &Section<'_>, faults: &mut Faults<'_>) -> CronSettings {
    let section = root.section("cron", faults);
    let enabled = section.field("enabled").and_then(|field| field.flag(faults)).unwrap_or(true);
    let max_concurrent = section
        .field("maxConcurrentRuns")
        .and_then(|field| field.number(1, 1_000, faults))
        .and_then(|number| usize::try_from(number).ok())
        .and_then(NonZeroUsize::new)
        .unwrap_or(NonZeroUsize::MIN.saturating_add(7));
    CronSettings { enabled, max_concurrent }
}

pub(super) fn exec(
    root: &Section<'_>,
    secrets: &BTreeSet<String>,
    faults: &mut Faults<'_>,
) -> ExecSettings {
    let section = root.section("tools", faults).section("exec", faults);
    let sandbox = section
        .field("sandbox")
        .and_then(|field| field.choice(&Sandbox::ALL, Sandbox::name, faults))
        .unwrap_or_default();
    let seconds = section
        .field("timeoutSeconds")
        .and_then(|field| field.number(1, 604_800, faults))
        .unwrap_or(1_800);
    let env_allow = section
        .field("envAllow")
        .and_then(|field| field.list(faults, |field, faults| variable(field, secrets, faults)))
        .unwrap_or_default();
    let ask = section
        .field("ask")
        .and_then(|field| field.choice(&ExecAsk::ALL, ExecAsk::name, faults))
        .unwrap_or_default();
    let unattended = section
        .field("unattended")
        .and_then(|field| field.choice(&Unattended::ALL, Unattended::name, faults))
        .unwrap_or_default();
    let allow =
        section.field("allow").and_then(|field| field.list(faults, command)).unwrap_or_default();
    let notify_on_exit =
        section.field("notifyOnExit").and_then(|field| field.flag(faults)).unwrap_or(true);
    ExecSettings {
        sandbox,
        timeout: Duration::from_secs(seconds),
        env_allow,
        ask,
        allow,
        unattended,
        notify_on_exit,
    }
}

/// Reads the first arguments of a command, the program first.
fn command(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<Vec<String>> {
    if !matches!(field.value, DeValue::Array(_)) {
        return field.wrong("a list", faults);
    }
    let words: Vec<_> = field.elements().map(|word| word.text(faults).map(str::to_owned)).collect();
    let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
    let is_well = words.first().is_some_and(|program| !program.is_empty())
        && words.iter().all(|word| word.len() <= 4_096 && !word.contains('\0'));
    if !is_well {
        let (key, expected) = (field.path.clone(), "a list of a program and its first arguments");
        faults.report(field.at, Problem::Text { key, expected });
        return None;
    }
    Some(words)
}

/// Reads the name of a variable that commands are given.
fn variable(
    field: &Field<'_>,
    secrets: &BTreeSet<String>,
    faults: &mut Faults<'_>,
) -> Option<String> {
    field.parsed(faults, |text| {
        let (key, variable) = (field.path.clone(), text.to_owned());
        if secrets.contains(text) {
            //= docs/threat-model.md#T15
            return Err(Problem::SecretForCommands { key, variable });
        }
        let expected = "the name of an environment variable: letters, digits and `_`";
        is_variable_name(text).then_some(variable).ok_or(Problem::Text { key, expected })
    })
}

/// Reads what sub-agents may have of the tools that they could have.
pub(super) fn tools_of_subagents(root: &Section<'_>, faults: &mut Faults<'_>) -> ToolPolicy {
    let section = root.section("tools", faults).section("subagents", faults);
    let section = section.section("tools", faults);
    let mut patterns =
        |name| section.field(name).and_then(|field| field.list(faults, tool_pattern));
    ToolPolicy {
        allow: patterns("allow").unwrap_or_else(|| vec![ToolPattern::every()]),
        deny: patterns("deny").unwrap_or_default(),
    }
}

pub(super) fn web_fetch(root: &Section<'_>, faults: &mut Faults<'_>) -> WebFetchSettings {
    let section = root.section("tools", faults).section("webFetch", faults);
    let allow_addresses = section
        .field("allowAddresses")
        .and_then(|field| field.list(faults, address))
        .unwrap_or_default();
    WebFetchSettings { allow_addresses }
}

/// Reads an IP address and a port. A name would be an exception for whatever it stands for next.
pub(super) fn address(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<SocketAddr> {
    field.parsed(faults, |text| {
        text.parse().ok().filter(|address: &SocketAddr| address.port() > 0).ok_or_else(|| {
            let expected = "an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`";
            Problem::Text { key: field.path.clone(), expected }
        })
    })
}

/// Reads a path that does not depend on where the gateway is started.
pub(super) fn path(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<PathBuf> {
    field.parsed(faults, |text| {
        let is_fixed = text.starts_with('/') || text.starts_with("~/");
        if is_fixed && text.len() <= 4_096 && !text.contains(char::is_control) {
            Ok(Path::new(text).to_path_buf())
        } else {
            Err(Problem::Path { key: field.path.clone() })
        }
    })
}
