//! `system`: what conversations are told that nobody asked in them.

use openclaw_client::v1::{
    GetSystemEventRequest, SystemEvent, SystemEventRequest, WakeRequest, WakeResponse,
};
use openclaw_client::{Client, fresh_key};

use super::ask::standard_input;
use super::text;
use crate::cli::{EventArgs, SystemVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{looks, screen, table};

/// The state of an event that waits to be told.
const WAITING: &str = "waiting";
/// That of one that was.
const TOLD: &str = "told";

pub(super) async fn run(
    verb: SystemVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        SystemVerb::Event(args) => Box::pin(event(*args, place, output)).await,
        SystemVerb::Show { id } => {
            let client = place.connect_for(&["system.event.get"]).await?;
            let event = find(&client, &id).await?;
            match output.format() {
                Format::Human => output.block(&facts(&event))?,
                Format::Json => output.message(&event)?,
            }
            Ok(Exit::Ok)
        }
        SystemVerb::Wake { session, agent } => {
            let client = place.connect_for(&["wake"]).await?;
            let request = WakeRequest { session_key: text(session), agent_id: text(agent) };
            let woken = client.system().wake(request).await?.into_inner();
            match output.format() {
                Format::Human => {
                    let WakeResponse { session_key, waiting } = &woken;
                    output.line(&format!("{session_key} is woken; {waiting} wait there"))?;
                }
                Format::Json => output.message(&woken)?,
            }
            Ok(Exit::Ok)
        }
    }
}

async fn event(args: EventArgs, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let EventArgs { text: said, session, agent, context, idempotency_key, wait } = args;
    let said = match said.as_str() {
        "-" => standard_input().await?,
        _ => said,
    };
    if said.trim().is_empty() {
        let next = "openclaw system event --help";
        return Err(Failure::advised(Exit::Usage, "the event says nothing", next));
    }
    // Whoever may tell may also look what became of it.
    let client = place.connect_for(&["system.event"]).await?;
    let key = match idempotency_key {
        Some(key) => key,
        None => fresh_key()?,
    };
    let request = SystemEventRequest {
        idempotency_key: key.to_string(),
        session_key: text(session),
        agent_id: text(agent),
        text: said,
        context_key: text(context),
    };
    let put = client.system().event(request).await?.into_inner();
    if wait.is_zero() && put.state == WAITING {
        told(&put, output)?;
        return Ok(Exit::Ok);
    }
    let look = async || find(&client, &put.id).await;
    let seen = looks::until(wait, look, |event| event.state == WAITING).await?;
    ended(&seen, place, output)
}

async fn find(client: &Client, id: &str) -> Result<SystemEvent, Failure> {
    let request = GetSystemEventRequest { id: id.to_owned() };
    Ok(client.system().get_event(request).await?.into_inner())
}

fn told(event: &SystemEvent, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => {
            let SystemEvent { id, state, session_key, told_in_run_id: run, .. } = event;
            let run = if run.is_empty() { String::new() } else { format!(" in run {run}") };
            Ok(output.line(&format!("{id} is {state} in {session_key}{run}"))?)
        }
        Format::Json => output.message(event),
    }
}

/// Tells what has become of an event, and decides by that how the program ends.
fn ended(event: &SystemEvent, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let SystemEvent { id, state, reason, .. } = event;
    if output.format() == Format::Json || state == TOLD {
        told(event, output)?;
    }
    let next = place.command(&format!("system show {id}"));
    match state.as_str() {
        TOLD => Ok(Exit::Ok),
        WAITING => {
            let cause = format!("event `{id}` is still waiting");
            Err(Failure::advised(Exit::Retry, cause, next))
        }
        state => {
            let colon = if reason.is_empty() { "" } else { ": " };
            let cause = format!("event `{id}` is {state}{colon}{reason}");
            Err(Failure::advised(Exit::Failed, cause, next))
        }
    }
}

fn facts(event: &SystemEvent) -> String {
    table::facts(&[
        ("id", event.id.clone()),
        ("state", event.state.clone()),
        ("reason", event.reason.clone()),
        ("session", event.session_key.clone()),
        ("text", screen::shortened(&event.text, 200)),
        ("told in run", event.told_in_run_id.clone()),
        ("came", table::ago(event.at.as_ref(), jiff::Timestamp::now())),
    ])
}
