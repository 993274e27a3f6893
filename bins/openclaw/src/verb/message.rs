//! `message`: what leaves the gateway for chat platforms and webhooks.

use openclaw_client::fresh_key;
use openclaw_client::v1::SendMessageRequest;

use super::ask::standard_input;
use super::delivery::{self, WEBHOOK};
use super::text;
use crate::cli::{MessageVerb, SendArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::place::Place;
use crate::wish;

pub(super) async fn run(
    verb: MessageVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        MessageVerb::Send(args) => Box::pin(send(*args, place, output)).await,
    }
}

async fn send(args: SendArgs, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let SendArgs {
        channel,
        target,
        thread,
        account,
        message,
        media,
        reply_to,
        idempotency_key,
        wait,
    } = args;
    let message = match message.as_deref() {
        Some("-") => standard_input().await?,
        _ => text(message),
    };
    if message.trim().is_empty() && media.is_none() {
        let next = "openclaw message send --help";
        return Err(Failure::advised(Exit::Usage, "the message is empty", next));
    }
    let when = if channel.as_deref() == Some(WEBHOOK) { "webhook" } else { "chat platform" };
    // Whoever may send may also look what became of it.
    let client = place.connect(wish::when("send", when)).await?;
    let key = match idempotency_key {
        Some(key) => key,
        None => fresh_key()?,
    };
    let request = SendMessageRequest {
        idempotency_key: key.to_string(),
        channel: text(channel),
        to: target,
        account_id: text(account),
        thread_id: text(thread),
        text: message,
        media_url: text(media),
        reply_to_id: text(reply_to),
    };
    let accepted = client.messages().send(request).await?.into_inner();
    if wait.is_zero() {
        return delivery::accepted(&accepted, place, output);
    }
    let seen = delivery::settled(&client, &accepted.id, wait).await?;
    delivery::ended(&seen, place, output)
}
