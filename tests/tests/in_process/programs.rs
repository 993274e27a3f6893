//! Jobs that no agent has a turn for: commands and posts, and who may have them.

mod applied;

use openclaw_platforms::WebSink;
use openclaw_proto::v1;
use openclaw_proto::v1::delivery::State;
use openclaw_proto::v1::job_delivery::Where;
use openclaw_proto::v1::job_payload::What;
use openclaw_proto::v1::occurrence::Outcome;
use openclaw_scopes::Scope;
use openclaw_tests::{
    Behavior, Device, Provider, Refusal, Setup, TestGateway, ask, names, request,
};
use serde_json::json;
use tonic::Code;

use super::cron::{add, at_once, job, settled, turn};
use super::delivery::delivered;
use super::stage::later;

fn what(spec: v1::JobSpec, what: What) -> v1::JobSpec {
    v1::JobSpec { payload: Some(v1::JobPayload { what: Some(what) }), ..spec }
}

fn command(spec: v1::JobSpec, argv: &[&str]) -> v1::JobSpec {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    what(spec, What::Command(v1::JobCommand { argv }))
}

fn post(spec: v1::JobSpec, url: &str, body: &str) -> v1::JobSpec {
    let delivery = v1::JobDelivery { r#where: Some(Where::Webhook(url.into())) };
    v1::JobSpec { delivery: Some(delivery), ..what(spec, What::Webhook(body.into())) }
}

fn now(spec: v1::JobSpec) -> v1::JobSpec {
    v1::JobSpec { schedule: Some(at_once()), ..spec }
}

#[track_caller]
fn needs_admin(refusal: &Refusal) {
    assert_eq!(
        (refusal.reason.as_str(), refusal.message.as_str()),
        ("MISSING_SCOPE", "missing scope: operator.admin")
    );
}

/// A device that may only write adds none, makes none of what is its own, and does nothing with one.
#[tokio::test]
//= docs/threat-model.md#T16
async fn a_device_that_writes_has_none() {
    let gateway = Setup::new().network().start().await;
    let owner = gateway.owner().await;
    let writer = Device::new(1).paired(&gateway, &[Scope::Write]).await.client;
    let own = add(&writer, later("own")).await.unwrap();
    let theirs = add(&owner, command(later("theirs"), &["true"])).await.unwrap();
    for far in [command(later("far"), &["true"]), post(later("far"), "https://x.example/y", "{}")] {
        needs_admin(&add(&writer, far.clone()).await.unwrap_err());
        let update = v1::UpdateJobRequest {
            job: own.id.clone(),
            spec: Some(v1::JobSpec {
                payload: far.payload.clone(),
                delivery: far.delivery.clone(),
                ..v1::JobSpec::default()
            }),
            expected_revision: 0,
        };
        needs_admin(&writer.cron().update(update).await.unwrap_err().into());
        let jobs = vec![v1::GivenJob { key: "k".into(), spec: Some(far) }];
        for dry_run in [true, false] {
            let request = v1::ApplyJobsRequest { jobs: jobs.clone(), dry_run };
            needs_admin(&writer.cron().apply(request).await.unwrap_err().into());
        }
    }
    let id = || theirs.id.clone();
    let run = v1::RunJobRequest { job: id(), idempotency_key: "r".into() };
    needs_admin(&writer.cron().run(run).await.unwrap_err().into());
    let cancel = v1::CancelJobRequest { job: id() };
    needs_admin(&writer.cron().cancel(cancel).await.unwrap_err().into());
    needs_admin(
        &writer.cron().remove(v1::RemoveJobRequest { job: id() }).await.unwrap_err().into(),
    );
    assert_eq!(job(&owner, &own.id).await.payload, later("own").payload);
    let all = v1::ListJobsRequest { all: true, ..Default::default() };
    assert_eq!(owner.cron().list(all).await.unwrap().into_inner().jobs.len(), 2);
}

/// What its creator may not have any more is not begun, whoever asks for it.
#[tokio::test]
//= docs/threat-model.md#T17
async fn a_command_goes_with_its_creators_word() {
    let gateway = Setup::new().network().config("tools.exec.sandbox = \"off\"").start().await;
    let owner = gateway.owner().await;
    let laptop = Device::new(1);
    let device = laptop.paired(&gateway, &[Scope::Admin]).await;
    let added = add(&device.client, command(later("far"), &["true"])).await.unwrap();
    assert_eq!(added.scopes, ["operator.admin"]);
    let rotate = v1::RotateDeviceRequest {
        device: laptop.id().to_string(),
        role: "operator".into(),
        scopes: names(&[Scope::Write]),
        keep: false,
    };
    owner.devices().rotate(rotate).await.unwrap();
    let run = v1::RunJobRequest { job: added.id.clone(), idempotency_key: "r".into() };
    owner.cron().run(run).await.unwrap();
    let left_out = settled(&owner, &added.id).await;
    assert_eq!(
        (left_out.outcome(), left_out.reason.as_str()),
        (Outcome::Skipped, "creator-revoked")
    );
    let disabled = job(&owner, &added.id).await;
    assert_eq!((disabled.enabled, disabled.disabled_reason.as_str()), (false, "creator-revoked"));
    // Nothing of it was decided as a call of the tool, so nothing of it began.
    let method = "tools.invoke".to_owned();
    let request = v1::ListAuditRequest { all: true, method, ..Default::default() };
    assert_eq!(owner.audit().list(request).await.unwrap().into_inner().records, []);
}

/// What a turn that nobody attends may not run is not run here either, and the row says what to allow.
#[tokio::test]
//= docs/threat-model.md#T37
async fn what_is_not_allowed_has_its_row() {
    let settings = [
        "tools.exec = { sandbox = \"off\" }",
        "tools.exec = { sandbox = \"off\", allow = [[\"true\", \"1\"]] }",
        "tools.exec = { sandbox = \"off\", ask = \"always\", allow = [[\"true\"]] }",
        "tools.exec = { sandbox = \"off\", unattended = \"wait\" }",
    ];
    for config in settings {
        let path = "PATH";
        let search = std::env::var(path).unwrap_or_default();
        let gateway = Setup::new().config(config).variable(path, &search).start().await;
        let owner = gateway.owner().await;
        let added = add(&owner, command(now(later("far")), &["true", "2"])).await.unwrap();
        let failed = settled(&owner, &added.id).await;
        assert_eq!(
            (failed.outcome(), failed.reason.as_str()),
            (Outcome::Failed, "error"),
            "{config}"
        );
        for words in ["needs an approval", r#"add ["true","2"] to `tools.exec.allow`"#, "--always"]
        {
            assert!(failed.text.contains(words), "{failed:?} by {config}");
        }
        assert_eq!((failed.run_id.as_str(), failed.session_key.as_str()), ("", ""));
        // Another attempt would be refused, too.
        assert_eq!(job(&owner, &added.id).await.disabled_reason, "one-shot-failed");
        let list = v1::ListApprovalsRequest { all: true };
        let asked = owner.approvals().list(list).await.unwrap().into_inner().approvals;
        assert_eq!(asked, [], "nobody is asked");
        let sessions = v1::ListSessionsRequest::default();
        assert_eq!(owner.sessions().list(sessions).await.unwrap().into_inner().sessions, []);
        let (method, decision) = ("tools.invoke".to_owned(), v1::audit_record::Decision::Allowed);
        let request = v1::ListAuditRequest {
            all: true,
            method,
            decision: decision.into(),
            ..Default::default()
        };
        let records = owner.audit().list(request).await.unwrap().into_inner().records;
        assert_eq!(records.len(), 1, "each call of the tool is decided: {records:?}");
        assert!(
            records[0].principal.starts_with(&format!("run:cron-{}-", added.id)),
            "{records:?}"
        );
        assert_eq!(records[0].on_behalf_of, "owner");
    }
}

/// A chat makes none: its tool knows no such argument, and one that was made of its own job is not its own any more.
#[tokio::test]
//= docs/threat-model.md#T11
async fn a_chat_has_none() {
    let call = |arguments| Behavior::call("cron", arguments);
    let add = json!({ "action": "add", "at": "5h", "message": "Tea?", "name": "tea" });
    let far = json!({ "action": "add", "at": "1s", "message": "x", "command": ["true"] });
    let posted = json!({ "action": "add", "at": "1s", "message": "x", "webhookPayload": "{}" });
    let said = || Behavior::text("Done.");
    let provider = Provider::openai([
        call(far),
        said(),
        call(posted),
        said(),
        call(add),
        said(),
        call(json!({ "action": "list" })),
        said(),
        call(json!({ "action": "remove", "job": "tea" })),
        said(),
    ])
    .await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    for (key, outcome) in [("a", "error"), ("b", "error"), ("c", "ok")] {
        let asked = ask(&owner, request(key, "explicit:chat", "Do it.")).await.unwrap();
        assert_eq!(asked.tools, [("cron".to_owned(), outcome.to_owned())], "{key}");
    }
    let all = v1::ListJobsRequest { all: true, ..Default::default() };
    let jobs = owner.cron().list(all).await.unwrap().into_inner().jobs;
    let [tea] = jobs.as_slice() else { panic!("{jobs:?}") };
    let spec = Some(command(v1::JobSpec::default(), &["secret-program", "secret-word"]));
    let update = v1::UpdateJobRequest { job: tea.id.clone(), spec, expected_revision: 0 };
    owner.cron().update(update).await.unwrap();
    for key in ["d", "e"] {
        ask(&owner, request(key, "explicit:chat", "Look.")).await.unwrap();
    }
    let told = format!("{:?}", provider.received().last().unwrap().body);
    assert!(told.contains("this conversation has no job"), "{told}");
    assert!(!told.contains("secret-"), "{told}");
    assert!(job(&owner, &tea.id).await.enabled, "it is there");
}

#[tokio::test]
async fn what_goes_with_neither_is_refused() {
    let config = "agents.entries.tame.tools.deny = [\"exec\"]";
    let gateway = Setup::new().config(config).start().await;
    let owner = gateway.owner().await;
    let run = || command(later("bad"), &["true"]);
    let hook = |body: &str| post(later("bad"), "https://x.example/y", body);
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let tools = Some(v1::ToolList { all: false, names: vec!["exec".into()] });
    let cases = [
        (v1::JobSpec { session: Some("main".into()), ..run() }, "a command has no conversation"),
        (
            v1::JobSpec { session: Some("isolated".into()), ..hook("{}") },
            "a post has no conversation",
        ),
        (v1::JobSpec { model: Some("offline/offline".into()), ..run() }, "a command has no model"),
        (v1::JobSpec { tools, ..run() }, "a command has no tools"),
        (v1::JobSpec { budget: Some(1), ..hook("{}") }, "a post has no budget"),
        (v1::JobSpec { timeout: seconds(1), ..hook("{}") }, "a post has no time limit"),
        (v1::JobSpec { timeout: seconds(999_999), ..run() }, "as tools.exec.timeout says"),
        (v1::JobSpec { agent_id: Some("tame".into()), ..run() }, "has not the tool `exec`"),
        (command(later("bad"), &[]), "a program and its arguments"),
        (command(later("bad"), &["a\0b"]), "a program and its arguments"),
        (v1::JobSpec { delivery: None, ..hook("{}") }, "needs a URL"),
        (hook("{"), "is not JSON"),
        (hook(&format!("\"{}\"", "x".repeat(65_535))), "65536 bytes at most"),
        (post(later("bad"), "file:///etc/passwd", "{}"), "https"),
    ];
    for (spec, says) in &cases {
        let refusal = add(&owner, spec.clone()).await.unwrap_err();
        assert!(refusal.message.contains(says), "{refusal:?}");
        assert_eq!(refusal.code, Code::InvalidArgument, "{refusal:?}");
    }
    // What does not fit into a message at all is refused before anything looks at it.
    let refusal = add(&owner, hook(&"x".repeat(64 << 20))).await.unwrap_err();
    assert!([Code::OutOfRange, Code::ResourceExhausted].contains(&refusal.code), "{refusal:?}");
    let list = v1::ListJobsRequest { all: true, ..Default::default() };
    assert_eq!(owner.cron().list(list).await.unwrap().into_inner().jobs, []);
    // A turn that is made a command loses what only a turn has, and gets nothing of it back.
    let turned = v1::JobSpec {
        model: Some("offline/offline".into()),
        session: Some("main".into()),
        budget: Some(9),
        ..turn("turned", "Hello.")
    };
    let turned =
        add(&owner, v1::JobSpec { schedule: later("x").schedule, ..turned }).await.unwrap();
    let update = |spec| v1::UpdateJobRequest {
        job: turned.id.clone(),
        spec: Some(spec),
        expected_revision: 0,
    };
    let made = update(command(v1::JobSpec::default(), &["true"]));
    let made = owner.cron().update(made).await.unwrap().into_inner();
    assert_eq!((made.session.as_str(), made.model.as_str(), made.budget), ("", "", 0));
    let back = v1::JobSpec { session: Some("main".into()), ..v1::JobSpec::default() };
    let refusal: Refusal = owner.cron().update(update(back)).await.unwrap_err().into();
    assert!(refusal.message.contains("a command has no conversation"), "{refusal:?}");
    let posts = what(v1::JobSpec::default(), What::Webhook("{}".into()));
    let refusal: Refusal = owner.cron().update(update(posts)).await.unwrap_err().into();
    assert!(refusal.message.contains("needs a URL"), "{refusal:?}");
}

/// The body that was given and nothing else, signed, once for each instant; and no address of the inside.
#[tokio::test]
//= docs/threat-model.md#T10
async fn a_post_is_what_was_given() {
    let sink = WebSink::start().await;
    let gateway = Setup::new()
        .variable("HOOK_KEY", "the key")
        .config(&format!(
            "channels.webhook = {{ secret = {{ env = \"HOOK_KEY\" }}, allowAddresses = [\"{}\"] }}",
            sink.address()
        ))
        .start()
        .await;
    let owner = gateway.owner().await;
    let body = "{\"text\": \"It is \\u00fcp.\",\n \"n\": [1, 2.50]}";
    let added = add(&owner, post(now(later("ping")), &sink.url(), body)).await.unwrap();
    let ran = settled(&owner, &added.id).await;
    assert_eq!(ran.outcome(), Outcome::Ran, "{ran:?}");
    assert_eq!((ran.run_id.as_str(), ran.session_key.as_str(), ran.text.as_str()), ("", "", ""));
    let sent = delivered(&owner, &ran.delivery_id).await;
    assert_eq!(sent.state(), State::Sent, "{sent:?}");
    let received = sink.received();
    assert_eq!(received.len(), 1);
    assert_eq!(String::from_utf8_lossy(&received[0].body), body);
    assert!(WebSink::is_signed(&received[0], b"the key"), "{received:?}");
    let by_hand =
        |key: &str| v1::RunJobRequest { job: added.id.clone(), idempotency_key: key.into() };
    for key in ["a", "a", "b"] {
        owner.cron().run(by_hand(key)).await.unwrap();
        let ran = settled(&owner, &added.id).await;
        assert_eq!(delivered(&owner, &ran.delivery_id).await.state(), State::Sent);
    }
    assert_eq!(sink.received().len(), 3, "a retry is the same");
    // Whether it ran is one thing, and whether it arrived another.
    for (name, url) in [
        ("metadata", "https://169.254.169.254/latest/meta-data"),
        ("inside", "https://127.0.0.1:1/"),
    ] {
        let added = add(&owner, post(now(later(name)), url, "{}")).await.unwrap();
        let ran = settled(&owner, &added.id).await;
        assert_eq!(ran.outcome(), Outcome::Ran);
        let dead = delivered(&owner, &ran.delivery_id).await;
        assert_eq!((dead.state(), dead.attempts), (State::Dead, 1), "{dead:?}");
        assert!(dead.error.contains("the URL"), "{dead:?}");
    }
}

/// An agent that has lost its tool runs no command: the row says so.
#[tokio::test]
async fn an_agent_without_commands_runs_none() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let added = add(&owner, command(later("far"), &["true"])).await.unwrap();
    let stopped = gateway.stop().await;
    let deny = "agents.defaults.tools.deny = [\"exec\"]\n";
    std::fs::write(stopped.state().join("openclaw.toml"), deny).unwrap();
    let gateway = stopped.start().await;
    let owner = gateway.owner().await;
    let run = v1::RunJobRequest { job: added.id.clone(), idempotency_key: "r".into() };
    owner.cron().run(run).await.unwrap();
    let failed = settled(&owner, &added.id).await;
    assert_eq!((failed.outcome(), failed.reason.as_str()), (Outcome::Failed, "not-begun"));
    assert!(failed.text.contains("the tool `exec`"), "{failed:?}");
}
