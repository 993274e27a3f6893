//! `delivery`: what was to leave the gateway, and what has become of it.

mod shown;

use std::time::Duration;

use openclaw_client::Client;
use openclaw_client::v1::delivery::State;
use openclaw_client::v1::{
    Delivery, DiscardDeliveryRequest, GetDeliveryRequest, ListDeliveriesRequest,
    RetryDeliveryRequest,
};

use super::{Step, confirmed, text};
use crate::cli::{DeliveryStateName, DeliveryVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{looks, pages, wish};

/// The channel of webhooks.
pub(super) const WEBHOOK: &str = "webhook";

pub(super) async fn run(
    verb: DeliveryVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        DeliveryVerb::List { channel, state, rows } => {
            let request = ListDeliveriesRequest {
                channel: text(channel),
                state: state.map_or(State::Unspecified, wire).into(),
                ..ListDeliveriesRequest::default()
            };
            let mut messages = place.connect_for(&["delivery.list"]).await?.messages();
            let list = pages::collect(&rows, async |page_size, page_token| {
                let request = ListDeliveriesRequest { page_size, page_token, ..request.clone() };
                Ok(messages.list(request).await?.into_inner())
            });
            let list = list.await?;
            match output.format() {
                Format::Human if list.deliveries.is_empty() => output.note("no deliveries")?,
                Format::Human => output.block(&shown::rows(&list.deliveries))?,
                Format::Json => output.message(&list)?,
            }
        }
        DeliveryVerb::Show { id } => {
            let client = place.connect_for(&["delivery.get"]).await?;
            let delivery = find(&client, &id).await?;
            show(&delivery, output)?;
            if let Some(hint) = hint(&delivery, place) {
                output.note(&hint)?;
            }
        }
        DeliveryVerb::Retry { id } => {
            let client = connect_to_decide("delivery.retry", &id, place).await?;
            let request = RetryDeliveryRequest { id };
            told(&client.messages().retry(request).await?.into_inner(), output)?;
        }
        DeliveryVerb::Discard { id, removal } => {
            let command = place.command(&format!("delivery discard {id}"));
            if confirmed(&removal, &format!("delivery `{id}`"), &command)? == Step::Show {
                let client = place.connect_for(&["delivery.get"]).await?;
                show(&find(&client, &id).await?, output)?;
                return Ok(Exit::Ok);
            }
            let client = connect_to_decide("delivery.discard", &id, place).await?;
            let request = DiscardDeliveryRequest { id };
            told(&client.messages().discard(request).await?.into_inner(), output)?;
        }
    }
    Ok(Exit::Ok)
}

async fn find(client: &Client, id: &str) -> Result<Delivery, Failure> {
    let request = GetDeliveryRequest { id: id.to_owned() };
    Ok(client.messages().get(request).await?.into_inner())
}

fn show(delivery: &Delivery, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => Ok(output.block(&shown::facts(delivery))?),
        Format::Json => output.message(delivery),
    }
}

/// Tells what a person can do about a delivery that nothing is done about by itself.
fn hint(delivery: &Delivery, place: &Place) -> Option<String> {
    let first = match delivery.state() {
        State::Dead => "It did not arrive.",
        State::Partial => "The parts that arrived are not sent again.",
        State::Unknown => {
            "It may have arrived, and is then told twice: ask whoever should have got it first."
        }
        State::Discarded | State::Sending | State::Sent | State::Unspecified | State::Waiting => {
            return None;
        }
    };
    let command = |verb: &str| place.command(&format!("delivery {verb} {}", delivery.id));
    let (retry, discard) = (command("retry"), command("discard"));
    Some(format!("{first} To send it again: {retry}; to give it up: {discard} --yes"))
}

/// Tells what a delivery is now.
fn told(delivery: &Delivery, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => {
            let state = shown::state(delivery);
            Ok(output.line(&format!("{} is {state}", delivery.id))?)
        }
        Format::Json => output.message(delivery),
    }
}

/// Connects to decide about a delivery: as whoever it is of if that is this device, else as an administrator.
async fn connect_to_decide(method: &str, id: &str, place: &Place) -> Result<Client, Failure> {
    let client = place.connect_for(&["delivery.get"]).await?;
    let Some(admission) = client.admission() else { return Ok(client) };
    let delivery = find(&client, id).await?;
    let is_own = delivery.on_behalf_of == format!("device:{}", admission.device);
    let when = if is_own { "own delivery" } else { "delivery of others" };
    place.connect(wish::when(method, when)).await
}

/// Waits until nothing more is done with a delivery or the time is up, and returns it as it then is.
pub(super) async fn settled(
    client: &Client,
    id: &str,
    limit: Duration,
) -> Result<Delivery, Failure> {
    looks::until(limit, async || find(client, id).await, is_open).await
}

fn is_open(delivery: &Delivery) -> bool {
    match delivery.state() {
        State::Sending | State::Unspecified | State::Waiting => true,
        State::Dead | State::Discarded | State::Partial | State::Sent | State::Unknown => false,
    }
}

/// Tells of a message that was accepted, and may have been before.
pub(super) fn accepted(
    delivery: &Delivery,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if is_open(delivery) {
        told(delivery, output)?;
        return Ok(Exit::Ok);
    }
    ended(delivery, place, output)
}

/// Tells what has become of a message, and decides by that how the program ends.
pub(super) fn ended(
    delivery: &Delivery,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if output.format() == Format::Json || delivery.state() == State::Sent {
        told(delivery, output)?;
    }
    let Delivery { id, error, .. } = delivery;
    let (exit, cause) = match delivery.state() {
        State::Sent => return Ok(Exit::Ok),
        State::Sending | State::Unspecified | State::Waiting => {
            (Exit::Retry, format!("delivery `{id}` is still {}", shown::state(delivery)))
        }
        State::Dead => (Exit::Failed, format!("delivery `{id}` is dead: it did not arrive")),
        State::Discarded => (Exit::Failed, format!("delivery `{id}` is discarded")),
        State::Partial => {
            (Exit::Failed, format!("delivery `{id}` is partial: not all of it arrived"))
        }
        State::Unknown => {
            let cause = format!("delivery `{id}` is unknown: whether it arrived cannot be told");
            (Exit::Failed, cause)
        }
    };
    let colon = if error.is_empty() { "" } else { ": " };
    let next = place.command(&format!("delivery show {id}"));
    Err(Failure::advised(exit, format!("{cause}{colon}{error}"), next))
}

const fn wire(state: DeliveryStateName) -> State {
    match state {
        DeliveryStateName::Waiting => State::Waiting,
        DeliveryStateName::Sending => State::Sending,
        DeliveryStateName::Sent => State::Sent,
        DeliveryStateName::Partial => State::Partial,
        DeliveryStateName::Unknown => State::Unknown,
        DeliveryStateName::Dead => State::Dead,
        DeliveryStateName::Discarded => State::Discarded,
    }
}
