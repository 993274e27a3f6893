//! Kills at random points under load: what was acknowledged is there after every restart.

mod access;
mod journal;
mod load;
mod outbox;
mod promises;

use std::time::Duration;

use openclaw_client::v1::StatusRequest;

use super::harness::{Home, Script, Signal, eventually};
use load::Dice;
use promises::Promises;

/// How often the gateway is killed.
const ROUNDS: u64 = 50;
/// After so many rounds everything since the first round is looked at again.
const FULL_LOOK: u64 = 10;

/// `plain` is answered at once, `slow` over some time, `tool` after two calls, and `exec` after a
/// command.
fn script() -> Script {
    let write = "[{ name = \"write_file\", arguments = { path = \"a/b\", content = \"x\" } }, \
        { name = \"list_dir\", arguments = { path = \".\" } }]";
    Script::default()
        .reply(&[
            ("match", "\"tool\"".into()),
            ("text", "\"I look.\"".into()),
            ("toolCalls", write.into()),
        ])
        .command("exec", "echo once >> effects")
        .reply(&[
            ("afterTool", "\"*\"".into()),
            ("text", "\"found\"".into()),
            ("delayMs", "5".into()),
        ])
        .reply(&[
            ("match", "\"slow\"".into()),
            ("text", "\"slow answer to {message}\"".into()),
            ("chunks", "4".into()),
            ("delayMs", "10".into()),
        ])
        .reply(&[("text", "\"answer to {message}\"".into())])
}

/// The seed is printed; `OPENCLAW_TEST_SEED` plays the same sizes and kinds of load again.
fn seed() -> u64 {
    let given = std::env::var("OPENCLAW_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| -> u64 {
        let key = openclaw_client::fresh_key().unwrap();
        key.as_str().bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let seed = seed();
    println!("OPENCLAW_TEST_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut home = Home::with(&script());
    // So that commands run where the kernel has no sandbox, too.
    home.configure("[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n");
    let mut promises = Promises::default();
    for round in 0..ROUNDS {
        if dice.below(4) == 0 {
            // A start may be killed as well, wherever it then is.
            let starting = home.spawn();
            tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
            starting.kill().await;
        }
        let mut daemon = home.spawn();
        let client = daemon.connect().await;
        promises.check_newest(&client).await;
        if round % FULL_LOOK == FULL_LOOK - 1 {
            promises.check_all(&client).await;
        }
        promises.check_chain(&client).await;
        promises.check_sessions_work(&client, round).await;
        let head = client.gateway().status(StatusRequest {}).await.unwrap().into_inner().audit_head;
        promises.remember_head(head.unwrap());

        let span = Duration::from_millis(5 + dice.below(76));
        let load = load::start(&home.socket(), &mut dice, round).await;
        // The span is not waited out for anything to happen: it is how long the load lasts.
        tokio::time::sleep(span).await;
        daemon.kill().await;
        promises.add(load.acknowledged().await);
    }
    let mut daemon = home.spawn();
    let client = daemon.connect().await;
    promises.check_newest(&client).await;
    promises.check_all(&client).await;
    promises.check_chain(&client).await;
    let effects = std::fs::read_to_string(home.workspace().join("effects")).unwrap_or_default();
    promises.check_effects(&client, effects.lines().count()).await;
    drop(client);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    // The chain holds for whoever looks without a gateway, too.
    let verified =
        home.run(&format!("audit verify --json --head {}", promises.head())).await.json();
    assert_eq!(verified["ok"], true, "{verified}");
    let left = async || std::fs::read_dir(home.path("tmp")).unwrap().next().is_none().then_some(());
    eventually("commands leave nothing behind", left).await;
    println!("{promises}");
}
