//! Jobs: due once, in the right conversation, with the authority of whoever added them.

use openclaw_proto::v1;
use openclaw_proto::v1::job_payload::What;
use openclaw_proto::v1::occurrence::Outcome;
use openclaw_proto::v1::schedule::When;
use openclaw_scopes::Scope;
use openclaw_tests::{
    Behavior, Client, Device, Provider, Refusal, Setup, TestGateway, ask, request, seconds_now,
    soon,
};
use tonic::Code;

use super::stage::later;

/// A schedule that is due now.
pub(super) fn at_once() -> v1::Schedule {
    let seconds = seconds_now();
    let at = prost_types::Timestamp { seconds, nanos: 0 };
    v1::Schedule { when: Some(When::At(at)), ..v1::Schedule::default() }
}

/// A job that asks this, now.
pub(super) fn turn(name: &str, message: &str) -> v1::JobSpec {
    v1::JobSpec {
        schedule: Some(at_once()),
        payload: Some(v1::JobPayload { what: Some(What::AgentTurn(message.into())) }),
        ..later(name)
    }
}

/// A job that tells this, now.
pub(super) fn event(name: &str, text: &str) -> v1::JobSpec {
    v1::JobSpec {
        payload: Some(v1::JobPayload { what: Some(What::SystemEvent(text.into())) }),
        ..turn(name, "")
    }
}

pub(super) async fn add(client: &Client, spec: v1::JobSpec) -> Result<v1::Job, Refusal> {
    let name = spec.name.clone().unwrap_or_default();
    let key = format!("add-{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let request = v1::AddJobRequest { idempotency_key: key, key: String::new(), spec: Some(spec) };
    Ok(client.cron().add(request).await?.into_inner().job.unwrap())
}

pub(super) async fn job(client: &Client, id: &str) -> v1::Job {
    client.cron().get(v1::GetJobRequest { job: id.into() }).await.unwrap().into_inner()
}

async fn occurrences(client: &Client, id: &str) -> Vec<v1::Occurrence> {
    let request = v1::ListOccurrencesRequest { job: id.into(), ..Default::default() };
    client.cron().runs(request).await.unwrap().into_inner().occurrences
}

/// Waits until nothing of a job is at work or waits; returns its newest due instant.
pub(super) async fn settled(client: &Client, id: &str) -> v1::Occurrence {
    soon(async {
        loop {
            let newest = occurrences(client, id).await.into_iter().next();
            if let Some(newest) = newest.filter(|it| it.outcome() != Outcome::Claimed) {
                return newest;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn history(client: &Client, session: &str) -> Vec<v1::HistoryEntry> {
    let request = v1::SessionHistoryRequest { key: session.into(), ..Default::default() };
    client.sessions().history(request).await.unwrap().into_inner().entries
}

#[tokio::test]
async fn a_job_runs_once_in_a_conversation_of_its_own() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let spec = turn("look", "Look at the sky.");
    let job = add(&owner, spec.clone()).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    assert_eq!(ran.outcome(), Outcome::Ran, "{ran:?}");
    assert_eq!((ran.count, ran.attempts, ran.requested), (1, 1, false));
    let key = format!("agent:main:cron:{}:run:{}", job.id, ran.run_id);
    assert_eq!(ran.session_key, key);
    assert!(ran.text.contains("Look at the sky."), "the echo answers: {ran:?}");
    let said = history(&owner, &key).await;
    assert_eq!(said[0].text, "Look at the sky.");
    // It has nothing ahead of it, and says so.
    let done = self::job(&owner, &job.id).await;
    assert_eq!((done.enabled, done.disabled_reason.as_str()), (false, "finished"));
    assert_eq!(done.next_at, None);
    assert_eq!(occurrences(&owner, &job.id).await.len(), 1);
    // Asking again adds nothing: a retry is the same job.
    assert_eq!(add(&owner, spec.clone()).await.unwrap().id, job.id);
    assert_eq!(occurrences(&owner, &job.id).await.len(), 1);
    let other = v1::JobSpec { model: Some("offline/offline".into()), ..spec };
    assert_eq!(add(&owner, other).await.unwrap_err().reason, "IDEMPOTENCY_CONFLICT");
}

#[tokio::test]
//= docs/threat-model.md#T11
async fn an_event_is_told_in_the_main_conversation_and_stands_there() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let job = add(&owner, event("tea", "The tea is ready.")).await.unwrap();
    assert_eq!(settled(&owner, &job.id).await.outcome(), Outcome::Ran);
    // The conversation goes on by itself, on behalf of whoever added the job.
    let told = soon(async {
        loop {
            let list = v1::ListRunsRequest::default();
            let runs = owner.runs().list(list).await.unwrap().into_inner().runs;
            if let Some(run) = runs.into_iter().find(|run| run.status() == v1::RunStatus::Ok) {
                return run;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(told.session_key, "agent:main:main");
    assert_eq!(told.on_behalf_of, "owner");
    let said = history(&owner, "main").await;
    assert!(said[0].text.contains("> The tea is ready."), "{said:?}");
    assert!(said[0].text.contains("`tea`"), "{said:?}");
}

#[tokio::test]
async fn what_is_removed_leaves_its_history() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let spec = v1::JobSpec { delete_after_run: Some(true), ..turn("once", "Hello.") };
    let job = add(&owner, spec).await.unwrap();
    assert_eq!(settled(&owner, &job.id).await.outcome(), Outcome::Ran);
    let gone = owner.cron().get(v1::GetJobRequest { job: job.id.clone() }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    assert_eq!(occurrences(&owner, &job.id).await.len(), 1);
    let facts = owner.cron().status(v1::CronStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((facts.enabled, facts.jobs, facts.running, facts.waiting), (true, 0, 0, 0));
}

#[tokio::test]
async fn whoever_asks_for_it_has_it_run_now() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let job = add(&owner, later("seldom")).await.unwrap();
    assert!(job.next_at.is_some());
    for (key, count) in [("a", 1), ("a", 1), ("b", 2)] {
        let request = v1::RunJobRequest { job: "seldom".into(), idempotency_key: key.into() };
        owner.cron().run(request).await.unwrap();
        let ran = settled(&owner, &job.id).await;
        assert_eq!((ran.outcome(), ran.requested), (Outcome::Ran, true));
        assert_eq!(occurrences(&owner, &job.id).await.len(), count, "a retry is the same");
    }
    // The schedule is as it was.
    assert_eq!(self::job(&owner, &job.id).await.next_at, job.next_at);
}

#[tokio::test]
//= docs/threat-model.md#T17
async fn a_job_has_never_more_than_its_creator_has_by_then() {
    let gateway = Setup::new().network().start().await;
    let owner = gateway.owner().await;
    let phone = Device::new(1);
    let device = phone.paired(&gateway, &[Scope::Write]).await;
    let job = add(&device.client, later("others")).await.unwrap();
    assert_eq!(job.owner, format!("device:{}", phone.id()));
    assert_eq!(job.scopes, ["operator.write"]);
    let request = v1::RunJobRequest { job: job.id.clone(), idempotency_key: "a".into() };
    device.client.cron().run(request).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    assert_eq!(ran.outcome(), Outcome::Ran, "{ran:?}");
    let wait = v1::WaitRunRequest { run_id: ran.run_id, timeout: None };
    let run = owner.runs().wait(wait).await.unwrap().into_inner();
    assert_eq!(run.on_behalf_of, format!("device:{}", phone.id()));
    // Nobody who may only write changes what is not theirs.
    let writer = Device::new(2).paired(&gateway, &[Scope::Write]).await;
    let request = v1::RemoveJobRequest { job: job.id.clone() };
    let refusal: Refusal = writer.client.cron().remove(request).await.unwrap_err().into();
    assert_eq!(
        (refusal.reason.as_str(), refusal.message.as_str()),
        ("MISSING_SCOPE", "missing scope: operator.admin")
    );

    let revoke = v1::RevokeDeviceRequest { device: phone.id().to_string(), ..Default::default() };
    owner.devices().revoke(revoke).await.unwrap();
    let request = v1::RunJobRequest { job: job.id.clone(), idempotency_key: "b".into() };
    owner.cron().run(request).await.unwrap();
    let left_out = settled(&owner, &job.id).await;
    assert_eq!(
        (left_out.outcome(), left_out.reason.as_str()),
        (Outcome::Skipped, "creator-revoked")
    );
    assert_eq!(left_out.run_id, "");
    let suspended = self::job(&owner, &job.id).await;
    assert_eq!((suspended.enabled, suspended.disabled_reason.as_str()), (false, "creator-revoked"));
    let facts = owner.cron().status(v1::CronStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(facts.suspended_jobs, 1);
}

#[tokio::test]
async fn cancel_frees_a_job_that_hangs() {
    let provider = Provider::openai([Behavior::held("never")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let job = add(&owner, turn("stuck", "Hello.")).await.unwrap();
    provider.requests(1).await;
    let running = occurrences(&owner, &job.id).await.remove(0);
    assert_eq!(running.outcome(), Outcome::Claimed);
    assert!(running.started_at.is_some());
    let request = v1::CancelJobRequest { job: "stuck".into() };
    let cancelled = soon(owner.cron().cancel(request.clone())).await.unwrap().into_inner();
    assert_eq!(cancelled.outcome(), Outcome::Cancelled);
    let idle = owner.cron().cancel(request).await.unwrap_err();
    assert_eq!(idle.code(), Code::FailedPrecondition);
    let wait = v1::WaitRunRequest { run_id: cancelled.run_id, timeout: None };
    let run = owner.runs().wait(wait).await.unwrap().into_inner();
    assert_eq!(
        (run.status(), run.error.as_str()),
        (v1::RunStatus::Aborted, "the job was cancelled")
    );
}

#[tokio::test]
async fn without_the_scheduler_jobs_stay_and_are_left_out() {
    let gateway = Setup::new().config("cron.enabled = false").start().await;
    let owner = gateway.owner().await;
    let job = add(&owner, turn("look", "Hello.")).await.unwrap();
    let left_out = settled(&owner, &job.id).await;
    assert_eq!((left_out.outcome(), left_out.reason.as_str()), (Outcome::Skipped, "disabled"));
    let facts = owner.cron().status(v1::CronStatusRequest {}).await.unwrap().into_inner();
    assert!(!facts.enabled);
    let gateway = Setup::new().variable("OPENCLAW_SKIP_CRON", "1").start().await;
    let owner = gateway.owner().await;
    let facts = owner.cron().status(v1::CronStatusRequest {}).await.unwrap().into_inner();
    assert!(!facts.enabled);
}

/// A model that adds a job when it is asked to, and says what came of it.
const SCRIPT: &str = r#"
[[reply]]
match = "remind"
toolCalls = [{ name = "cron", arguments = { action = "add", at = "1s", message = "Time for tea." } }]

[[reply]]
match = "jobs"
toolCalls = [{ name = "cron", arguments = { action = "list" } }]

[[reply]]
afterTool = "cron"
text = "The tool said: {result}"

[[reply]]
match = "Time for tea"
text = "Tea!"
"#;

#[tokio::test]
async fn a_conversation_reminds_itself() {
    let gateway = Setup::new().script(SCRIPT).start().await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("a", "explicit:chat", "Please remind me.")).await.unwrap();
    let said = asked.text.split_once("The tool said: ").unwrap().1;
    let added: serde_json::Value = serde_json::from_str(said).unwrap();
    assert_eq!(added["status"], "added", "{added}");
    let id = added["id"].as_str().unwrap();
    let ran = settled(&owner, id).await;
    assert_eq!(
        (ran.outcome(), ran.session_key.as_str()),
        (Outcome::Ran, "agent:main:explicit:chat")
    );
    assert_eq!(ran.text, "Tea!");
    // Only what a conversation added is its own to see.
    let asked = ask(&owner, request("b", "explicit:other", "Which jobs?")).await.unwrap();
    assert!(asked.text.contains(r#"{"jobs":[]}"#), "{}", asked.text);
    add(&owner, later("not the chat's")).await.unwrap();
    let asked = ask(&owner, request("c", "explicit:chat", "Which jobs?")).await.unwrap();
    assert!(asked.text.contains(r#"{"jobs":[]}"#), "{}", asked.text);
}

/// What a job's turn adds, and what it delegates, is given no more than that turn was.
#[tokio::test]
//= docs/threat-model.md#T16
async fn a_job_of_a_job_has_no_more_tools() {
    let order = serde_json::json!({
        "action": "add", "at": "1s", "message": "Now do it.", "name": "second",
    });
    let child = serde_json::json!({ "task": "Do it for me." });
    let provider = Provider::openai([
        Behavior::call("cron", order),
        Behavior::call("sessions_spawn", child),
        Behavior::text("Both are on their way."),
        Behavior::text("Done."),
        Behavior::text("Done."),
        Behavior::text("Done."),
    ])
    .await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let names = ["cron", "sessions_spawn", "read_file"].map(str::to_owned).to_vec();
    let tools = Some(v1::ToolList { all: false, names });
    let first = v1::JobSpec { tools, ..turn("first", "Look around.") };
    let first = add(&owner, first).await.unwrap();
    assert_eq!(settled(&owner, &first.id).await.outcome(), Outcome::Ran);
    let second = job(&owner, "second").await;
    let allowed = second.tools.as_ref().unwrap();
    assert!(!allowed.all && allowed.names.len() == 3, "{second:?}");
    provider.requests(5).await;
    for asked in provider.received() {
        let tools = asked.body["tools"].as_array().cloned().unwrap_or_default();
        for tool in &tools {
            let name = tool["function"]["name"].as_str().unwrap();
            assert!(["cron", "sessions_spawn", "read_file"].contains(&name), "{name}");
        }
    }
}

#[tokio::test]
async fn bad_jobs_are_refused_with_what_to_do() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let cron = |text: &str| {
        Some(v1::Schedule { when: Some(When::Cron(text.into())), ..Default::default() })
    };
    let with = |schedule| v1::JobSpec { schedule, ..later("bad") };
    let every = |seconds| {
        let every = prost_types::Duration { seconds, nanos: 0 };
        Some(v1::Schedule { when: Some(When::Every(every)), ..Default::default() })
    };
    for (spec, says) in [
        (with(cron("0 0 31 2 *")), "never due"),
        (with(cron("99 * * * *")), "not a cron expression"),
        (with(cron("* * * * * * 2027")), "not a cron expression"),
        (with(every(0)), "interval"),
        (with(every(-1)), "negative"),
        (with(every(999_999_999_999)), "interval"),
        (
            with(cron("0 9 * * *").map(|it| v1::Schedule { time_zone: "Mars/Base".into(), ..it })),
            "not a known time zone",
        ),
        (
            with(cron("0 9 * * *").map(|it| v1::Schedule {
                active_from: "09:00".into(),
                active_until: "09:00".into(),
                ..it
            })),
            "are empty",
        ),
        (with(None), "a schedule"),
        (v1::JobSpec { payload: None, ..later("bad") }, "something to do"),
        (v1::JobSpec { name: None, ..later("bad") }, "a name"),
        (v1::JobSpec { name: Some("a\nb".into()), ..later("bad") }, "on one line"),
        (v1::JobSpec { agent_id: Some("nobody".into()), ..later("bad") }, "nobody"),
        (v1::JobSpec { model: Some("none/none".into()), ..later("bad") }, "no model"),
        (v1::JobSpec { session: Some("current".into()), ..later("bad") }, "current"),
    ] {
        let refusal = add(&owner, spec.clone()).await.unwrap_err();
        assert!(refusal.message.contains(says), "{refusal:?} for {spec:?}");
        let code = if says == "nobody" { Code::NotFound } else { Code::InvalidArgument };
        assert_eq!(refusal.code, code, "{refusal:?}");
    }
    let list = v1::ListJobsRequest { all: true, ..Default::default() };
    assert_eq!(owner.cron().list(list).await.unwrap().into_inner().jobs, []);
}
