//! Jobs as TOML.

use expect_test::expect;
use openclaw_client::v1::{JobAnnounce, JobPayload, ToolList};

use super::*;

#[test]
fn jobs_as_toml() {
    let schedule = openclaw_client::v1::Schedule {
        when: Some(When::Cron("0 9 * * 1-5".into())),
        time_zone: "Europe/Berlin".into(),
        stagger: Some(prost_types::Duration { seconds: 137, nanos: 0 }),
        active_from: "09:00".into(),
        active_until: "17:00".into(),
        active_zone: "Europe/Berlin".into(),
        catch_up: "last".into(),
        ..Default::default()
    };
    let what = What::AgentTurn("Look at \"it\".\nThen \u{1b}[2J say so.".into());
    let to = JobAnnounce {
        channel: "telegram".into(),
        to: "-100123".into(),
        account_id: "default".into(),
        thread_id: "7".into(),
    };
    let sent = |r#where| Some(JobDelivery { r#where: Some(r#where) });
    let brief = Job {
        delivery: sent(Where::Announce(to)),
        id: "job-1".into(),
        key: "brief".into(),
        name: "Morning brief".into(),
        agent_id: "main".into(),
        owner: "owner".into(),
        enabled: true,
        schedule: Some(schedule),
        payload: Some(JobPayload { what: Some(what) }),
        session: "isolated".into(),
        tools: Some(ToolList { all: false, names: vec!["web_fetch".into()] }),
        timeout: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        budget: 5000,
        ..Job::default()
    };
    let hook = Job {
        id: "job-3".into(),
        delivery: sent(Where::Webhook("https://x.example/y".into())),
        ..Job::default()
    };
    let quiet = Job { id: "job-4".into(), delivery: sent(Where::None(true)), ..Job::default() };
    let broken = Job {
        problem: "its schedule cannot be read".into(),
        id: "job-2".into(),
        name: "x".into(),
        disabled_reason: "schedule-errors".into(),
        ..Job::default()
    };
    let text = written(&[brief, broken, hook, quiet]).unwrap();
    expect![[r#"
        [[job]]
        id = "job-1"
        key = "brief"
        name = "Morning brief"
        enabled = true
        owner = "owner"
        agent = "main"
        session = "isolated"
        message = """
        Look at "it".
        Then \u001B[2J say so."""
        tools = ["web_fetch"]
        timeout = "10m"
        budget = 5000
        deleteAfterRun = false

        [job.schedule]
        cron = "0 9 * * 1-5"
        tz = "Europe/Berlin"
        movedBy = "2m17s"
        active = "09:00-17:00"
        catchUp = "last"

        [job.delivery]
        announce = true
        channel = "telegram"
        to = "-100123"
        thread = "7"
        account = "default"

        [[job]]
        id = "job-2"
        name = "x"
        enabled = false
        disabledReason = "schedule-errors"
        problem = "its schedule cannot be read"
        owner = ""
        agent = ""
        deleteAfterRun = false

        [[job]]
        id = "job-3"
        name = ""
        enabled = false
        owner = ""
        agent = ""
        deleteAfterRun = false

        [job.delivery]
        webhook = "https://x.example/y"

        [[job]]
        id = "job-4"
        name = ""
        enabled = false
        owner = ""
        agent = ""
        deleteAfterRun = false

        [job.delivery]
        noDeliver = true
    "#]]
    .assert_eq(&text);
    let read: toml::Table = text.parse().unwrap();
    assert_eq!(read["job"].as_array().unwrap().len(), 4);
}
