//! Stops: what runs may finish, what does not finish is said, and nothing is lost.

use std::time::Duration;

use openclaw_client::v1::{Run, RunStatus, StartRunRequest, WaitRunRequest, run_event};
use openclaw_client::{CallError, Client};

use super::harness::{Home, PATIENCE, Script, Signal, eventually, processes_with, signal};

/// `held` works until [`release`], `long` far longer than any test lasts.
fn home() -> Home {
    let mut home = Home::new();
    let released = home.workspace().join("released");
    let held = format!("while [ ! -e {} ]; do sleep 0.02; done; echo done", released.display());
    let script = Script::default().answer("The gateway stopped", "went on");
    let script = script.slowly("long", 600).answer("hi", "hello");
    home.play(&script.command("held", &held).tell_results());
    // So that it works where the kernel has no sandbox, too.
    home.configure("[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n");
    home
}

/// Lets `held` come to its end.
fn release(home: &Home) {
    std::fs::write(home.workspace().join("released"), "").unwrap();
}

/// Waits until the gateway takes nothing new.
async fn until_draining(client: &Client) {
    let refused = eventually("the gateway drains", async || {
        client.runs().start(request("new", "hi")).await.err()
    });
    let refused = CallError::from(refused.await);
    assert_eq!(refused.reason(), Some("DRAINING"), "{refused}");
}

fn request(key: &str, message: &str) -> StartRunRequest {
    StartRunRequest {
        idempotency_key: key.to_owned(),
        message: message.to_owned(),
        ..StartRunRequest::default()
    }
}

/// Starts a run and goes away once it is accepted.
async fn accepted(client: &Client, key: &str, message: &str) {
    let mut events = client.runs().start(request(key, message)).await.unwrap().into_inner();
    let first = events.message().await.unwrap().unwrap().event.unwrap();
    assert!(matches!(first, run_event::Event::Accepted(_)), "{first:?}");
}

async fn wait(client: &Client, key: &str) -> Run {
    let timeout = Some(openclaw_proto::to_duration(PATIENCE));
    let request = WaitRunRequest { run_id: key.to_owned(), timeout };
    client.runs().wait(request).await.unwrap().into_inner()
}

async fn until_running(client: &Client, key: &str) {
    eventually("the run works", async || {
        let timeout = Some(openclaw_proto::to_duration(Duration::ZERO));
        let request = WaitRunRequest { run_id: key.to_owned(), timeout };
        let run = client.runs().wait(request).await.unwrap().into_inner();
        (run.status() == RunStatus::Running).then_some(())
    })
    .await;
}

/// Stops a daemon in which `short` works and `hi` waits behind it.
async fn stop_while_it_works(how: Signal) {
    let home = home();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    accepted(&client, "works", "held").await;
    until_running(&client, "works").await;
    accepted(&client, "waits", "hi").await;
    signal(daemon.pid(), how);
    until_draining(&client).await;
    release(&home);
    assert_eq!(daemon.ended().await, 0);
    assert!(!home.socket().exists(), "the socket is still there");
    assert_eq!(home.run("health").await.code, 69);

    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    let works = wait(&client, "works").await;
    assert_eq!(works.status(), RunStatus::Ok, "{works:?}");
    assert!(works.text.contains("done"), "{works:?}");
    // Accepted before the stop, and answered after it.
    let waits = wait(&client, "waits").await;
    assert_eq!((waits.status(), waits.text.as_str()), (RunStatus::Ok, "hello"));
    assert_eq!(home.run("audit verify").await.code, 0);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn a_termination_lets_runs_finish() {
    stop_while_it_works(Signal::Terminate).await;
}

#[tokio::test]
async fn an_interrupt_lets_runs_finish() {
    stop_while_it_works(Signal::Interrupt).await;
}

/// Stops a daemon in which `long` works, past its deadline.
async fn stop_too_late(how: Signal) {
    let mut home = home();
    home.configure("[gateway]\ndrainSeconds = 1\n");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    accepted(&client, "works", "long").await;
    until_running(&client, "works").await;
    accepted(&client, "waits", "hi").await;
    assert_eq!(daemon.stop(how).await, 75);
    assert!(!home.socket().exists(), "the socket is still there");

    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    // The interrupted one goes on, and is told that it was interrupted.
    let works = wait(&client, "works").await;
    assert_eq!((works.status(), works.text.as_str()), (RunStatus::Ok, "went on"), "{works:?}");
    let waits = wait(&client, "waits").await;
    assert_eq!((waits.status(), waits.text.as_str()), (RunStatus::Ok, "hello"));
    let again = home.tell(&["agent", "-m", "long", "--idempotency-key", "works"]).await;
    assert_eq!(again.ok(), "went on\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn a_termination_interrupts_what_takes_too_long() {
    stop_too_late(Signal::Terminate).await;
}

#[tokio::test]
async fn an_interrupt_interrupts_what_takes_too_long() {
    stop_too_late(Signal::Interrupt).await;
}

#[tokio::test]
async fn a_command_ends_with_the_gateway_that_could_not_wait() {
    let mut home = home();
    home.configure("[gateway]\ndrainSeconds = 1\n");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    accepted(&client, "works", "held").await;
    let mark = home.workspace().join("released").display().to_string();
    eventually("it works", async || (!processes_with(&mark).is_empty()).then_some(())).await;
    assert_eq!(daemon.stop(Signal::Terminate).await, 75);
    assert_eq!(processes_with(&mark), Vec::<u32>::new());

    let mut daemon = home.start().await;
    let works = wait(&daemon.connect().await, "works").await;
    // It goes on from a journal whose last call has no result; so does the next run.
    assert_eq!((works.status(), works.text.as_str()), (RunStatus::Ok, "went on"), "{works:?}");
    assert_eq!(home.tell(&["agent", "-m", "hi"]).await.ok(), "hello\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn a_stopping_gateway_takes_nothing_new() {
    let home = home();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    accepted(&client, "works", "held").await;
    until_running(&client, "works").await;
    signal(daemon.pid(), Signal::Terminate);
    until_draining(&client).await;
    assert_eq!(home.tell(&["agent", "-m", "hi"]).await.code, 75);
    assert_eq!(home.run("health").await.code, 75);
    // Looking on is allowed.
    assert_eq!(home.run("status --json").await.json()["phase"], "draining");
    release(&home);
    assert_eq!(wait(&client, "works").await.status(), RunStatus::Ok);
    assert_eq!(daemon.ended().await, 0);
}

#[tokio::test]
async fn what_a_killed_gateway_leaves_is_replaced() {
    let home = home();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    accepted(&client, "works", "long").await;
    until_running(&client, "works").await;
    daemon.kill().await;
    assert!(home.socket().exists(), "nobody could have removed the socket");
    assert_eq!(home.run("health").await.code, 69);

    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    assert_eq!(wait(&client, "works").await.text, "went on");
    assert_eq!(home.tell(&["agent", "-m", "hi"]).await.ok(), "hello\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// What takes the gateway down with it is begun again once, and no more.
#[tokio::test]
async fn what_is_interrupted_twice_ends() {
    let text = format!("\"{}\"", "slow ".repeat(600));
    let slow = [("text", text), ("chunks", "600".to_owned()), ("delayMs", "1000".to_owned())];
    let home = Home::with(&Script::default().reply(&slow));
    let mut daemon = home.start().await;
    accepted(&daemon.connect().await, "works", "long").await;
    for _ in 0..2 {
        until_running(&daemon.connect().await, "works").await;
        daemon.kill().await;
        daemon = home.start().await;
    }
    let works = wait(&daemon.connect().await, "works").await;
    assert_eq!(works.status(), RunStatus::Interrupted, "{works:?}");
    assert!(works.error.contains("not begun once more"), "{works:?}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
