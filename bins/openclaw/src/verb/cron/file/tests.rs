//! Jobs as a file says.

use openclaw_client::v1::job_delivery::Where as To;
use openclaw_client::v1::schedule::When as Due;
use openclaw_client::v1::{Job, JobAnnounce};

use super::*;
use crate::verb::cron::export::written;

fn now() -> jiff::Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

/// What a job is given as that is told so: with the length by which it is moved at its other place.
fn given(job: &Job) -> GivenJob {
    let told = job.schedule.clone().unwrap();
    let is_cron = matches!(told.when, Some(Due::Cron(_)));
    let time_zone = if is_cron { told.time_zone } else { told.active_zone };
    let schedule = Schedule {
        moved_by: told.stagger,
        stagger: None,
        active_zone: String::new(),
        dst_policy: String::new(),
        time_zone,
        ..told
    };
    let spec = JobSpec {
        name: Some(job.name.clone()),
        agent_id: Some(job.agent_id.clone()),
        schedule: Some(schedule),
        payload: job.payload.clone(),
        session: Some(job.session.clone()).filter(|session| !session.is_empty()),
        model: Some(job.model.clone()).filter(|model| !model.is_empty()),
        tools: job.tools.clone(),
        timeout: job.timeout,
        budget: Some(job.budget).filter(|tokens| *tokens > 0),
        delete_after_run: Some(job.delete_after_run),
        enabled: Some(job.enabled),
        delivery: job.delivery.clone(),
    };
    GivenJob { key: job.key.clone(), spec: Some(spec) }
}

#[test]
fn what_is_exported_is_given_again() {
    let length = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let instant = |nanos| Some(prost_types::Timestamp { seconds: 1_796_115_600, nanos });
    let to = JobAnnounce {
        channel: "telegram".into(),
        to: "-100123".into(),
        account_id: "default".into(),
        thread_id: "7".into(),
    };
    let job = |key: &str, due, what| Job {
        id: format!("job-{key}"),
        key: key.into(),
        name: format!("The {key}"),
        agent_id: "main".into(),
        owner: "owner".into(),
        enabled: true,
        schedule: Some(Schedule {
            when: Some(due),
            catch_up: "last".into(),
            ..Schedule::default()
        }),
        payload: Some(JobPayload { what: Some(what) }),
        ..Job::default()
    };
    let mut brief = job(
        "brief",
        Due::Cron("0 9 * * 1-5".into()),
        What::AgentTurn("Look at \"it\".\nThen \u{1b} say so.".into()),
    );
    brief.session = "isolated".into();
    brief.tools = Some(ToolList { all: false, names: vec!["web_fetch".into()] });
    brief.timeout = length(3_723, 0);
    brief.budget = 5_000;
    brief.model = "a/b".into();
    brief.delivery = Some(JobDelivery { r#where: Some(To::Announce(to)) });
    let schedule = brief.schedule.as_mut().unwrap();
    schedule.time_zone = "Europe/Berlin".into();
    schedule.active_zone = "Europe/Berlin".into();
    (schedule.active_from, schedule.active_until) = ("09:00".into(), "17:00".into());
    schedule.stagger = length(3_737, 501_000_000);
    let mut look = job(
        "look",
        Due::Every(length(5_401, 0).unwrap()),
        What::Command(JobCommand { argv: vec!["sh".into(), "-c".into(), "a 'b'".into()] }),
    );
    look.enabled = false;
    look.disabled_reason = "finished".into();
    let schedule = look.schedule.as_mut().unwrap();
    schedule.anchor = instant(123_000_000);
    schedule.active_zone = "Asia/Tokyo".into();
    (schedule.active_from, schedule.active_until) = ("22:00".into(), "06:00".into());
    let mut ping =
        job("ping", Due::At(instant(5_000_000).unwrap()), What::Webhook("{\"up\": true}".into()));
    ping.delivery = Some(JobDelivery { r#where: Some(To::Webhook("https://x.example/y".into())) });
    ping.delete_after_run = true;
    let mut tell = job("tell", Due::Cron("@daily".into()), What::SystemEvent("Tea.".into()));
    tell.session = "main".into();
    tell.schedule.as_mut().unwrap().time_zone = "UTC".into();
    tell.delivery = Some(JobDelivery { r#where: Some(To::None(true)) });
    let jobs = [brief, look, ping, tell];
    let text = written(&jobs).unwrap();
    let read = read(&text, now()).unwrap();
    let expected: Vec<_> = jobs.iter().map(given).collect();
    assert_eq!(read, expected, "{text}");
}

#[test]
#[rustfmt::skip]
fn what_cannot_be_used_is_named() {
    let job = |rest: &str| format!("[[job]]\nkey = \"k\"\nname = \"n\"\n{rest}");
    let due = "\n[job.schedule]\nevery = \"1h\"\n";
    for (text, says) in [
        (String::new(),                                               "no `[[job]]`"),
        ("jobs = 1".to_owned(),                                       "unknown field `jobs`"),
        (job("message = \"x\""),                                      "missing field `schedule`"),
        (job(due),                                                    "job `n`: it has one of"),
        (job(&format!("message = \"x\"\ncommand = [\"y\"]{due}")),    "job `n`: it has one of"),
        (job(&format!("command = \"git pull\"{due}")),                "expected a sequence"),
        (job(&format!("massage = \"x\"{due}")),                       "unknown field `massage`"),
        (job(&format!("message = \"x\"\nproblem = \"torn\"{due}")),   "unknown field `problem`"),
        (job(&format!("message = \"x\"\ntimeout = \"soon\"{due}")),   "a length of time is written"),
        (job("message = \"x\"\n[job.schedule]\nat = \"20m\""),       "is another each time"),
        (job("message = \"x\"\n[job.schedule]\nat = \"in 2h\""),     "is another each time"),
        (job("message = \"x\"\n[job.schedule]\nat = \"then\""),      "is not a time"),
        (job("message = \"x\"\n[job.schedule]\ntz = \"UTC\""),       "has one of `at`, `every` and `cron`"),
        (job(&format!("message = \"x\"{due}stagger = \"1m\"\nexact = true")), "has one of `movedBy`, `stagger` and `exact`"),
        (job(&format!("message = \"x\"{due}[job.delivery]\nto = \"1\"")), "its delivery has one of"),
        (job(&format!("message = \"x\"{due}active = \"9\"")),        "hours of the day"),
    ] {
        let failure = read(&text, now()).unwrap_err().to_string();
        assert!(failure.contains(says), "{failure} for {text}");
    }
}
