//! `message`: what leaves the gateway for chat platforms and webhooks.

use std::time::Duration;

use openclaw_client::v1::{Delivery, Poll, PollRequest, SendMessageRequest};
use openclaw_client::{Client, fresh_key};
use openclaw_proto::to_duration;
use openclaw_scopes::IdempotencyKey;

use super::ask::standard_input;
use super::delivery::{self, WEBHOOK};
use super::text;
use crate::cli::{MessageVerb, PollArgs, SendArgs, SendingArgs, ToArgs};
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
        MessageVerb::Poll(args) => Box::pin(poll(*args, place, output)).await,
        MessageVerb::Send(args) => Box::pin(send(*args, place, output)).await,
    }
}

async fn send(args: SendArgs, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let SendArgs { to, message, media, sending } = args;
    let ToArgs { channel, target, thread, account } = to;
    let SendingArgs { reply_to, idempotency_key, wait } = sending;
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
    let request = SendMessageRequest {
        idempotency_key: name(idempotency_key)?,
        channel: text(channel),
        to: target,
        account_id: text(account),
        thread_id: text(thread),
        text: message,
        media_url: text(media),
        reply_to_id: text(reply_to),
    };
    let accepted = client.messages().send(request).await?.into_inner();
    tell(&client, accepted, wait, place, output).await
}

async fn poll(args: PollArgs, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let PollArgs { to, question, options, multi, max_selections, duration, .. } = args;
    let ToArgs { channel, target, thread, account } = to;
    let SendingArgs { reply_to, idempotency_key, wait } = args.sending;
    let all = u32::try_from(options.len()).unwrap_or(u32::MAX);
    let poll = Poll {
        question,
        max_selections: if multi { Some(all) } else { max_selections },
        duration: duration.map(to_duration),
        is_anonymous: args.ballot.is_anonymous(),
        silent: args.silent,
        options,
    };
    let client = place.connect_for(&["poll"]).await?;
    let request = PollRequest {
        idempotency_key: name(idempotency_key)?,
        channel: text(channel),
        to: target,
        account_id: text(account),
        thread_id: text(thread),
        reply_to_id: text(reply_to),
        poll: Some(poll),
    };
    let accepted = client.messages().poll(request).await?.into_inner();
    tell(&client, accepted, wait, place, output).await
}

/// Returns what a request is called: as somebody said, or else by a name of its own.
fn name(key: Option<IdempotencyKey>) -> Result<String, Failure> {
    Ok(match key {
        Some(key) => key.to_string(),
        None => fresh_key()?.to_string(),
    })
}

/// Tells of what was accepted, or, once somebody has waited for it, what has become of it.
async fn tell(
    client: &Client,
    accepted: Delivery,
    wait: Duration,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if wait.is_zero() {
        return delivery::accepted(&accepted, place, output);
    }
    let seen = delivery::settled(client, &accepted.id, wait).await?;
    delivery::ended(&seen, place, output)
}
