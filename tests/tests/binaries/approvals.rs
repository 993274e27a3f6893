//! Commands that somebody has to approve: exactly what was asked for is done, once, or nothing is.

use std::os::unix::fs::PermissionsExt as _;

use openclaw_client::Client;
use openclaw_client::v1::{
    Approval, ApproveCallRequest, ListApprovalsRequest, Run, RunStatus, StartRunRequest,
    WaitRunRequest,
};

use super::harness::{Home, PATIENCE, Script, Signal, eventually, quoted};

/// `tool` runs a program of the workspace as arguments, `shell` a text, `listed` what the list allows.
fn home(more: &str) -> Home {
    let call = |part: &str, arguments: &str| {
        let call = format!("[{{ name = \"exec\", arguments = {{ {arguments} }} }}]");
        [("match", quoted(part)), ("toolCalls", call)]
    };
    let script = Script::default()
        .reply(&call("The gateway stopped", "argv = [\"./tool\", \"one\"]"))
        .reply(&call("other", "argv = [\"./tool\", \"two\"]"))
        .reply(&call("tool", "argv = [\"./tool\", \"one\"]"))
        .reply(&call("inside", "argv = [\"../tool\", \"one\"], cwd = \"inside\""))
        .reply(&call("shell", "command = \"echo shell >> effects\""))
        .reply(&call("listed", "argv = [\"sh\", \"-c\", \"echo listed >> effects\"]"))
        .tell_results();
    let mut home = Home::with(&script);
    home.configure(&format!("[tools.exec]\nsandbox = \"off\"\n{more}"));
    home
}

/// The program writes what it is called with, and where from, into `effects`.
fn tool(home: &Home, mark: &str) {
    let effects = home.workspace().join("effects");
    let text = format!("#!/bin/sh\necho {mark} \"$@\" >> {}\n", effects.display());
    std::fs::write(home.workspace().join("tool"), text).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(home.workspace().join("tool"), mode).unwrap();
}

fn effects(home: &Home) -> String {
    std::fs::read_to_string(home.workspace().join("effects")).unwrap_or_default()
}

async fn begin(client: &Client, key: &str, session: &str, message: &str) {
    let request = StartRunRequest {
        idempotency_key: key.to_owned(),
        session_key: session.to_owned(),
        message: message.to_owned(),
        ..StartRunRequest::default()
    };
    let mut events = client.runs().start(request).await.unwrap().into_inner();
    events.message().await.unwrap().unwrap();
}

async fn end(client: &Client, key: &str) -> Run {
    let timeout = Some(openclaw_proto::to_duration(PATIENCE));
    let request = WaitRunRequest { run_id: key.to_owned(), timeout };
    let run = client.runs().wait(request).await.unwrap().into_inner();
    assert_eq!(run.status(), RunStatus::Ok, "{run:?}");
    run
}

/// Waits for what a run asks.
async fn asked(client: &Client, run: &str) -> Approval {
    eventually("it asks", async || {
        let list = client.approvals().list(ListApprovalsRequest { all: false }).await.unwrap();
        list.into_inner().approvals.into_iter().find(|it| it.run_id == run)
    })
    .await
}

#[tokio::test]
async fn an_approved_command_is_done_once() {
    let home = home("");
    tool(&home, "ran");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    begin(&client, "a", "main", "tool").await;
    let approval = asked(&client, "a").await;
    let operation = approval.operation.clone().unwrap();
    assert_eq!(operation.argv, ["./tool", "one"]);
    assert_eq!(operation.cwd, home.workspace().display().to_string());
    assert!(operation.binary.ends_with("/tool") && operation.binary.starts_with('/'));
    assert_eq!((operation.sandbox.as_str(), operation.binary_digest.len()), ("off", 64));
    assert_eq!(effects(&home), "", "nothing before the answer");
    let listed = home.run("approvals list").await.ok();
    assert!(listed.contains(&approval.id) && listed.contains("./tool one"), "{listed}");
    assert!(
        home.run(&format!("approvals approve {}", approval.id)).await.ok().contains("approved")
    );
    end(&client, "a").await;
    assert_eq!(effects(&home), "ran one\n");
    let again = home.run(&format!("approvals approve {}", approval.id)).await;
    assert_eq!(again.code, 1, "{again}");
    // The same once more is asked for anew.
    begin(&client, "b", "main", "tool").await;
    let second = asked(&client, "b").await;
    assert_ne!(second.id, approval.id);
    let deny = format!("approvals deny {} --reason no-more", second.id);
    assert!(home.run(&deny).await.ok().contains("denied"));
    let denied = end(&client, "b").await;
    assert!(denied.text.contains("it was not approved: no-more"), "{denied:?}");
    assert_eq!(effects(&home), "ran one\n");
    let all = home.run("approvals list --all --json").await.json();
    let states: Vec<_> =
        all["approvals"].as_array().unwrap().iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["denied", "used"]);
    assert_eq!(all["approvals"][1]["usedByRunId"], "a");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// The program, its arguments: what is changed between the question and the answer is not run.
#[tokio::test]
//= docs/threat-model.md#T37
async fn what_has_changed_is_not_run() {
    let home = home("");
    tool(&home, "first");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    begin(&client, "a", "explicit:a", "tool").await;
    let approval = asked(&client, "a").await;
    tool(&home, "planted");
    let request = ApproveCallRequest { id: approval.id, always: false };
    client.approvals().approve(request).await.unwrap();
    let run = end(&client, "a").await;
    assert!(run.text.contains("the program has changed since it was asked for"), "{run:?}");
    assert_eq!(effects(&home), "");

    // Another argument is another question.
    begin(&client, "b", "explicit:b", "tool").await;
    let one = asked(&client, "b").await;
    begin(&client, "c", "explicit:c", "other one").await;
    let two = asked(&client, "c").await;
    let request = ApproveCallRequest { id: one.id, always: false };
    client.approvals().approve(request).await.unwrap();
    end(&client, "b").await;
    assert_eq!(effects(&home), "planted one\n");
    assert!(asked(&client, "c").await.id == two.id, "it waits still");
    assert_eq!(home.run("runs abort c").await.code, 0);
    // With the run goes what it asked: an answer that comes late is for nothing.
    let late = home.run(&format!("approvals approve {}", two.id)).await;
    assert!(late.code == 1 && late.err.contains("is expired already"), "{late}");
    let log = home.run("audit list --all --json --limit 200").await.json();
    let targets: Vec<_> = log["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["method"] == "approvals.approve")
        .collect();
    let target = targets.last().unwrap()["target"].as_str().unwrap();
    assert!(target.contains("approval ap-") && target.contains("./tool"), "{target}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// Where it works: another directory in its place, by a link or by its name, is not where somebody said that it may.
#[tokio::test]
//= docs/threat-model.md#T37
async fn what_works_elsewhere_is_not_run() {
    let home = home("");
    tool(&home, "ran");
    let inside = home.workspace().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(home.workspace().join("elsewhere")).unwrap();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    for (key, is_link) in [("a", true), ("b", false)] {
        begin(&client, key, &format!("explicit:{key}"), "inside").await;
        let approval = asked(&client, key).await;
        let cwd = approval.operation.unwrap().cwd;
        assert_eq!(cwd, inside.canonicalize().unwrap().display().to_string());
        std::fs::rename(&inside, home.workspace().join(format!("aside-{key}"))).unwrap();
        if is_link {
            std::os::unix::fs::symlink("elsewhere", &inside).unwrap();
        } else {
            std::fs::create_dir(&inside).unwrap();
        }
        let request = ApproveCallRequest { id: approval.id, always: false };
        client.approvals().approve(request).await.unwrap();
        let run = end(&client, key).await;
        assert_eq!(effects(&home), "", "{run:?}");
        assert!(run.text.contains("where it works has changed since it was asked for"), "{run:?}");
        if is_link {
            std::fs::remove_file(&inside).unwrap();
            std::fs::create_dir(&inside).unwrap();
        }
    }
    // The same, and nobody touched it.
    begin(&client, "c", "explicit:c", "inside").await;
    let request = ApproveCallRequest { id: asked(&client, "c").await.id, always: false };
    client.approvals().approve(request).await.unwrap();
    end(&client, "c").await;
    assert_eq!(effects(&home), "ran one\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// A restart between the answer and the run, or before the answer: once, all the same.
#[tokio::test]
async fn an_approval_survives_a_restart() {
    for answered in ["before", "after"] {
        let home = home("");
        tool(&home, "ran");
        let mut daemon = home.start().await;
        let client = daemon.connect().await;
        begin(&client, "a", "main", "tool").await;
        let approval = asked(&client, "a").await;
        let approve = format!("approvals approve {}", approval.id);
        daemon.kill().await;
        let mut daemon = home.start().await;
        if answered == "before" {
            // The run is begun again, and asks for the same: it is the same question.
            let again = asked(&daemon.connect().await, "a").await;
            assert_eq!(again.id, approval.id);
        }
        home.run(&approve).await.ok();
        let client = daemon.connect().await;
        end(&client, "a").await;
        assert_eq!(effects(&home), "ran one\n", "{answered}");
        assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    }
}

/// A stop in order waits for no person, and whoever waits for one comes back each time.
#[tokio::test]
async fn a_stop_does_not_wait_for_an_answer() {
    // A run at work would be waited for longer than anything here has patience for.
    let home = home("[gateway]\ndrainSeconds = 3600\n");
    tool(&home, "ran");
    let mut daemon = home.start().await;
    begin(&daemon.connect().await, "a", "main", "tool").await;
    let first = asked(&daemon.connect().await, "a").await;
    for _ in 0..3 {
        assert_eq!(daemon.stop(Signal::Terminate).await, 0);
        daemon = home.start().await;
        let again = asked(&daemon.connect().await, "a").await;
        assert_eq!(again.id, first.id);
    }
    let shown = home.run(&format!("approvals show {}", first.id)).await.ok();
    let program = home.workspace().canonicalize().unwrap().join("tool");
    for part in ["./tool one", &program.display().to_string(), "pending", "agent:main:main"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    home.run(&format!("approvals approve {}", first.id)).await.ok();
    end(&daemon.connect().await, "a").await;
    assert_eq!(effects(&home), "ran one\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// For good is for exactly this; it can be withdrawn, and is counted.
#[tokio::test]
async fn an_approval_for_good_is_for_one_operation() {
    let home = home("unattended = \"deny\"\n");
    tool(&home, "ran");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    // Nobody is there in a turn of a hook: it is refused, and nothing waits.
    begin(&client, "h1", "hook:mail", "tool").await;
    let refused = end(&client, "h1").await;
    assert!(refused.text.contains("nobody is there who could give it"), "{refused:?}");
    let waits = home.run("approvals list --json").await.json();
    assert_eq!(waits["approvals"].as_array().unwrap().len(), 0);

    begin(&client, "a", "main", "tool").await;
    let approval = asked(&client, "a").await;
    home.run(&format!("approvals approve {} --always", approval.id)).await.ok();
    end(&client, "a").await;
    for (key, session) in [("b", "main"), ("h2", "hook:mail")] {
        begin(&client, key, session, "tool").await;
        end(&client, key).await;
    }
    assert_eq!(effects(&home), "ran one\n".repeat(3));
    let standing = home.run("approvals standing --json").await.json();
    assert_eq!(standing["standing"][0]["uses"], 2);
    begin(&client, "h3", "hook:mail", "other one").await;
    end(&client, "h3").await;
    assert_eq!(effects(&home), "ran one\n".repeat(3), "another operation is not approved");
    // Another program under the same name is another operation, too.
    tool(&home, "planted");
    begin(&client, "h4", "hook:mail", "tool").await;
    end(&client, "h4").await;
    assert_eq!(effects(&home), "ran one\n".repeat(3));
    tool(&home, "ran");
    let id = standing["standing"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        home.run(&format!("approvals revoke {id}")).await.code,
        2,
        "it says how sure one is"
    );
    home.run(&format!("approvals revoke {id} --yes")).await.ok();
    begin(&client, "h5", "hook:mail", "tool").await;
    end(&client, "h5").await;
    assert_eq!(effects(&home), "ran one\n".repeat(3));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// What is listed needs no approval, and a text for the shell is never listed.
#[tokio::test]
async fn a_list_says_what_needs_no_approval() {
    let home = home("allow = [[\"sh\", \"-c\"]]\n");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    begin(&client, "l", "explicit:l", "listed").await;
    end(&client, "l").await;
    assert_eq!(effects(&home), "listed\n");
    begin(&client, "s", "explicit:s", "shell").await;
    let approval = asked(&client, "s").await;
    assert_eq!(approval.operation.unwrap().argv, ["sh", "-c", "echo shell >> effects"]);
    // Its time does not run meanwhile, and another run has its place.
    assert_eq!(home.run("runs abort s").await.code, 0);
    assert_eq!(effects(&home), "listed\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
