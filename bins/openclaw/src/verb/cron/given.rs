//! What the command line says of a job, as the wire wants it.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use openclaw_client::v1::job_payload::What;
use openclaw_client::v1::schedule::When;
use openclaw_client::v1::{JobCommand, JobPayload, JobSpec, Schedule, ToolList};
use openclaw_proto::to_duration;
use openclaw_scopes::target::Reach;

use crate::cli::{JobArgs, WhenArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::length;
use crate::verb::ask::standard_input;

/// By whose clocks a time was read that named no instant by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Clocks {
    /// By those of the zone that was named.
    Named(String),
    /// By those of this machine.
    OfMachine(String),
}

/// A schedule, and how it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Timed {
    /// The schedule; `None` when nothing was said of it.
    pub(super) schedule: Option<Schedule>,
    /// By whose clocks `--at` was read, if it needed any.
    pub(super) clocks: Option<Clocks>,
}

/// Returns what was said of a schedule.
pub(super) fn timed(
    args: &WhenArgs,
    catch_up: Option<&str>,
    now: jiff::Timestamp,
) -> Result<Timed, Failure> {
    let WhenArgs { at, every, cron, tz, stagger, exact, active } = args;
    let mut clocks = None;
    let when = match (at, every, cron) {
        (Some(text), _, _) => {
            let (instant, read_by) = instant(text, tz.as_deref(), now).map_err(wrong)?;
            clocks = read_by;
            Some(When::At(to_timestamp(instant)))
        }
        (None, Some(every), _) => Some(When::Every(to_duration(*every))),
        (None, None, Some(expression)) => Some(When::Cron(expression.clone())),
        (None, None, None) => None,
    };
    let window = if *exact { Some(std::time::Duration::ZERO) } else { *stagger };
    let schedule = Schedule {
        when,
        time_zone: tz.clone().unwrap_or_default(),
        stagger: window.map(to_duration),
        active_from: active.as_ref().map(|hours| hours.from.clone()).unwrap_or_default(),
        active_until: active.as_ref().map(|hours| hours.until.clone()).unwrap_or_default(),
        catch_up: catch_up.unwrap_or_default().to_owned(),
        ..Schedule::default()
    };
    Ok(Timed { schedule: Some(schedule).filter(|it| *it != Schedule::default()), clocks })
}

fn wrong(cause: String) -> Failure {
    Failure::advised(Exit::Usage, cause, "openclaw cron preview --help")
}

/// Returns what was said of the rest, without a name.
pub(super) async fn spec(args: JobArgs, schedule: Option<Schedule>) -> Result<JobSpec, Failure> {
    let JobArgs { message, system_event, command, webhook_payload, agent, session, .. } = args;
    let JobArgs { model, tools, timeout, budget, .. } = args;
    let from_input = [&message, &webhook_payload].into_iter().flatten().any(|text| text == "-");
    let input = if from_input { Some(standard_input().await?) } else { None };
    let read = |text: String| input.clone().filter(|_| text == "-").unwrap_or(text);
    let what = match (message, system_event, command, webhook_payload) {
        (Some(text), ..) => Some(What::AgentTurn(read(text))),
        (None, Some(text), ..) => Some(What::SystemEvent(text)),
        (None, None, Some(line), _) => Some(What::Command(JobCommand { argv: words(&line)? })),
        (None, None, None, Some(body)) => Some(What::Webhook(read(body))),
        (None, None, None, None) => None,
    };
    if let Some(What::AgentTurn(text) | What::SystemEvent(text)) = &what
        && text.trim().is_empty()
    {
        return Err(Failure::told(Exit::Usage, "the job says nothing"));
    }
    Ok(JobSpec {
        agent_id: agent.map(|agent| agent.to_string()),
        schedule,
        payload: what.map(|what| JobPayload { what: Some(what) }),
        session,
        model,
        tools: (!tools.is_empty()).then_some(ToolList { all: false, names: tools }),
        timeout: timeout.map(to_duration),
        budget,
        ..JobSpec::default()
    })
}

/// Returns the words of a command, as a shell would group them.
fn words(line: &str) -> Result<Vec<String>, Failure> {
    shlex::split(line).filter(|words| !words.is_empty()).ok_or_else(|| {
        let next = "openclaw cron add --command 'PROGRAM ARGUMENTS'";
        Failure::advised(
            Exit::Usage,
            "the command has no words, or a quote that nothing ends",
            next,
        )
    })
}

/// Returns how far a job reaches that does what is said.
pub(super) const fn reach(args: &JobArgs) -> Reach {
    if args.command.is_some() || args.webhook_payload.is_some() {
        Reach::Programs
    } else {
        Reach::Agents
    }
}

pub(super) fn to_timestamp(at: jiff::Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    // The wire counts the part of a second forward.
    if nanos < 0 {
        let (seconds, nanos) = (seconds.saturating_sub(1), nanos.saturating_add(1_000_000_000));
        return prost_types::Timestamp { seconds, nanos };
    }
    prost_types::Timestamp { seconds, nanos }
}

/// Reads an instant: one by itself, a time on the clocks of a zone, or a length of time from now.
fn instant(
    text: &str,
    zone: Option<&str>,
    now: jiff::Timestamp,
) -> Result<(jiff::Timestamp, Option<Clocks>), String> {
    let text = text.trim();
    let after = text.strip_prefix("in ").unwrap_or(text).trim();
    if let Ok(length) = length::parse(after) {
        let late = |_| format!("`{text}` from now is beyond the calendar");
        return Ok((now.checked_add(length).map_err(late)?, None));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok((at, None));
    }
    let is_plain = |c: char| c.is_ascii_digit() || " T:-.".contains(c);
    let civil = text.parse::<DateTime>().ok();
    let civil = civil.filter(|_| text.contains(':') && text.chars().all(is_plain));
    let civil = civil.ok_or_else(|| {
        format!(
            "`{text}` is not a time: write `2026-12-01T09:00:00Z`, `2026-12-01 09:00`, or `20m` for as \
             long from now"
        )
    })?;
    let (zone, clocks) = match zone {
        Some(name) => {
            let zone = TimeZoneDatabase::bundled().get(name).map_err(|_unknown| {
                format!(
                    "`{name}` is not a known time zone: use an IANA name such as `Europe/Berlin`"
                )
            })?;
            let name = zone.iana_name().unwrap_or(name).to_owned();
            (zone, Clocks::Named(name))
        }
        None => (TimeZone::system(), Clocks::OfMachine(machine().unwrap_or_default())),
    };
    let read = zone.to_ambiguous_timestamp(civil);
    if let AmbiguousOffset::Gap { .. } = read.offset() {
        let clocks = match &clocks {
            Clocks::Named(name) => format!("of `{name}`"),
            Clocks::OfMachine(_) => "of this machine".to_owned(),
        };
        return Err(format!("the clocks {clocks} never show `{text}`: they are set past it"));
    }
    // Of a time that comes twice, the first.
    let at = read.compatible().map_err(|_late| format!("`{text}` is beyond the calendar"))?;
    Ok((at, Some(clocks)))
}

/// Returns the name of this machine's zone, if it has one.
pub(super) fn machine() -> Option<String> {
    TimeZone::system().iana_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[rustfmt::skip]
    fn instants() {
        let now: jiff::Timestamp = "2026-11-01T12:00:00.5Z".parse().unwrap();
        let named = |name: &str| Some(Clocks::Named(name.to_owned()));
        for (text, zone, expected) in [
            ("2026-12-01T09:00:00Z",      None,                  Some(("2026-12-01T09:00:00Z", None))),
            ("2026-12-01T09:00:00+02:00", Some("Asia/Tokyo"),    Some(("2026-12-01T07:00:00Z", None))),
            ("2026-12-01 09:00",          Some("Europe/Berlin"), Some(("2026-12-01T08:00:00Z", named("Europe/Berlin")))),
            ("2026-12-01T09:00:30",       Some("europe/berlin"), Some(("2026-12-01T08:00:30Z", named("Europe/Berlin")))),
            ("2026-07-01 09:00",          Some("Europe/Berlin"), Some(("2026-07-01T07:00:00Z", named("Europe/Berlin")))),
            ("2026-10-25 02:30",          Some("Europe/Berlin"), Some(("2026-10-25T00:30:00Z", named("Europe/Berlin")))),
            ("2026-03-29 02:30",          Some("Europe/Berlin"), None),
            ("2026-12-01 09:00",          Some("Europe/Nowhere"), None),
            ("20m",                       None,                  Some(("2026-11-01T12:20:00.5Z", None))),
            ("in 20m",                    None,                  Some(("2026-11-01T12:20:00.5Z", None))),
            (" in  1d12h ",               Some("Europe/Berlin"), Some(("2026-11-03T00:00:00.5Z", None))),
            ("99999999d",                 None,                  None),
            ("2026-12-01",                Some("UTC"),           None),
            ("2026-12-01T09:00[Europe/Berlin]", Some("UTC"),     None),
            ("2026-02-30 09:00",          Some("UTC"),           None),
            ("-20m",                      None,                  None),
            ("tomorrow",                  None,                  None),
            ("",                          None,                  None),
        ] {
            let expected = expected.map(|(at, clocks)| (at.parse().unwrap(), clocks));
            assert_eq!(instant(text, zone, now).ok(), expected, "{text}");
        }
        let (_, clocks) = instant("2026-12-01 09:00", None, now).unwrap();
        assert!(matches!(clocks, Some(Clocks::OfMachine(_))));
    }

    #[test]
    fn words_of_commands() {
        for (line, expected) in [
            ("git fetch --all", Some(&["git", "fetch", "--all"][..])),
            (r#"sh -c 'a b; c "d"' x\ y """#, Some(&["sh", "-c", "a b; c \"d\"", "x y", ""])),
            ("echo $HOME | cat *", Some(&["echo", "$HOME", "|", "cat", "*"])),
            ("   ", None),
            ("echo 'a", None),
            ("echo a\\", None),
        ] {
            assert_eq!(
                words(line)
                    .ok()
                    .as_deref()
                    .map(|it| it.iter().map(String::as_str).collect::<Vec<_>>()),
                expected.map(<[_]>::to_vec),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_not_said_is_absent() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        assert_eq!(timed(&WhenArgs::default(), None, now).unwrap(), Timed::default());
        let exact = WhenArgs { exact: true, ..WhenArgs::default() };
        let schedule = timed(&exact, Some("none"), now).unwrap().schedule.unwrap();
        assert_eq!(schedule.stagger, Some(prost_types::Duration::default()));
        assert_eq!((schedule.when, schedule.catch_up.as_str()), (None, "none"));
        let every =
            WhenArgs { every: Some(Duration::from_secs(90)), tz: Some("UTC".into()), ..exact };
        let schedule = timed(&every, None, now).unwrap().schedule.unwrap();
        let length = prost_types::Duration { seconds: 90, nanos: 0 };
        assert_eq!(
            (schedule.when, schedule.time_zone.as_str()),
            (Some(When::Every(length)), "UTC")
        );
    }

    #[test]
    fn parts_of_seconds_count_forward() {
        for (text, seconds, nanos) in [
            ("2026-11-01T12:00:00.5Z", 1_793_534_400, 500_000_000),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
        ] {
            let at = text.parse().unwrap();
            assert_eq!(to_timestamp(at), prost_types::Timestamp { seconds, nanos });
        }
    }
}
