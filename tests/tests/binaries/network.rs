//! Two machines and TLS between them: the guide to pairing, done with the real programs.

mod disk;
mod life;
mod managing;
mod offline;
mod pairing;
mod reports;
mod tokens;

use serde_json::Value;

use super::harness::{Home, Told, eventually, finish};

/// A place for a gateway that listens on the network, on a port of the system's choice.
fn gateway_home() -> Home {
    let mut home = Home::with(&super::verbs::script());
    home.configure("[listen]\ntcp = \"127.0.0.1:0\"\n");
    home
}

/// Where a gateway listens, and by what it is known, as its owner learns it.
async fn reached(home: &Home) -> (String, String) {
    let status = home.run("status --json").await.json();
    let text = |name: &str| status[name].as_str().unwrap().to_owned();
    (format!("https://{}", text("listen")), text("fingerprint"))
}

/// Runs a command with these variables in its environment.
async fn told_with(home: &Home, variables: &[(&str, &str)], line: &str) -> Told {
    let mut command = home.openclaw(&line.split_whitespace().collect::<Vec<_>>());
    finish(command.envs(variables.iter().copied()).spawn().unwrap()).await
}

/// Makes an invitation for these scopes, and returns its link.
async fn invite(home: &Home, scopes: &str) -> String {
    let line = format!("devices invite --scopes {scopes} --json");
    home.run(&line).await.json()["link"].as_str().unwrap().to_owned()
}

/// Pairs a machine by an invitation, and returns its device's id.
async fn join(home: &Home, machine: &Home, scopes: &str) -> String {
    let link = invite(home, scopes).await;
    let connected = machine.run(&format!("connect {link} --json")).await.json();
    connected["deviceId"].as_str().unwrap().to_owned()
}

/// Waits for the request that waits, and returns it as an approval names it.
async fn waits(home: &Home) -> (String, Value) {
    eventually("a request waits", async || {
        let pending = home.run("devices pending --json").await.json()["pending"].take();
        let request = pending.as_array().unwrap().first()?.clone();
        let named = format!("{}@{}", request["id"].as_str().unwrap(), request["revision"]);
        Some((named, request))
    })
    .await
}

/// The words in a JSON list.
fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// The beginning of an id.
fn first(id: &str, characters: usize) -> &str {
    id.get(..characters).unwrap()
}
