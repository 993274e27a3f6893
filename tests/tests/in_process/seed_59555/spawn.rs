//! The spawn itself: without a single device, by hand and by a job.

use openclaw_proto::v1;
use openclaw_tests::{Setup, ask, request};

use super::super::cron::{add, settled, turn};
use super::super::spawning::{Decoy, SCRIPT, Turn, is_delegated};

const TOOLS: [&str; 2] = ["sessions_spawn", "write_file"];

/// From the main session, with nobody paired: "pairing required" is nothing that could be said.
#[tokio::test]
//= docs/threat-model.md#T16
async fn the_main_session_delegates_with_no_device_paired() {
    let config = "agents.defaults.tools.allow = [\"sessions_spawn\", \"write_file\"]";
    let gateway = Setup::new().socket().script(SCRIPT).config(config).start().await;
    let owner = gateway.owner().await;
    let listed = owner.devices().list(v1::ListDevicesRequest { own: false }).await.unwrap();
    assert_eq!(listed.into_inner(), v1::ListDevicesResponse::default());
    let decoy = Decoy::of(&gateway);
    ask(&owner, request("r", "main", "Delegate.")).await.unwrap();
    let turn = Turn { run: "r", holder: "owner", tools: &TOOLS };
    let gateway = is_delegated(gateway, decoy, turn).await;
    // The control: the same credential asks for a run under a key that nobody has used.
    let owner = gateway.owner().await;
    let fresh = ask(&owner, request("fresh", "explicit:fresh", "Hello.")).await.unwrap();
    assert_eq!((fresh.status(), fresh.run().on_behalf_of.as_str()), (v1::RunStatus::Ok, "owner"));
}

/// From a turn of a job, which has the tools that the job gives it.
#[tokio::test]
//= docs/threat-model.md#T16
async fn a_turn_of_a_job_delegates() {
    let gateway = Setup::new().socket().script(SCRIPT).start().await;
    let owner = gateway.owner().await;
    let decoy = Decoy::of(&gateway);
    let tools = Some(v1::ToolList { names: TOOLS.map(String::from).to_vec(), all: false });
    let spec = v1::JobSpec { tools, ..turn("smoke", "Delegate.") };
    let job = add(&owner, spec).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    let turn = Turn { run: &ran.run_id, holder: "owner", tools: &TOOLS };
    let gateway = is_delegated(gateway, decoy, turn).await;
    let owner = gateway.owner().await;
    let run = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    let run = run.into_iter().find(|run| run.run_id == ran.run_id).unwrap();
    assert!(run.session_key.starts_with("agent:main:cron:"), "{run:?}");
    let fresh = ask(&owner, request("fresh", "explicit:fresh", "Hello.")).await.unwrap();
    assert_eq!(fresh.status(), v1::RunStatus::Ok);
}
