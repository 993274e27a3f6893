//! What leaves the gateway, over the wire.

mod poll;

use openclaw_proto::v1::messages_server::Messages;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::method::{self, Method as _};
use openclaw_scopes::target::{DestinationTarget, Reach};
use openclaw_sessions::Poll;
use openclaw_store::{
    Delivery, DeliveryCursor, DeliveryFilter, DeliveryState, DiscardDelivery, GetDelivery,
    NewDelivery, ReplyTo, RetryDelivery, SendGuard, SendMessage, SendPoll, WEBHOOK,
};
use tonic::{Request, Response, Status};

use crate::channels::{DestinationError, destination};
use crate::core::Core;
use crate::respond::{self, Reply};
use crate::roster::Roster;
use crate::{clock, convert, digest, gate, route};

/// Bytes of a message at most: it is split into parts, each of which is a message on the platform.
const MAX_TEXT: usize = 64 * 1024;
/// Bytes of a URL at most.
const MAX_URL: usize = 2_000;

#[tonic::async_trait]
impl Messages for Core {
    async fn send(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<v1::Delivery>, Status> {
        let (caller, message) = gate::admit(request)?;
        let idempotency_key = convert::idempotency_key(&message.idempotency_key)?;
        let v1::SendMessageRequest { channel, to, account_id, thread_id, text, media_url, .. } =
            message;
        let answers = answered(message.reply_to_id)?;
        if text.trim().is_empty() && media_url.is_empty() {
            return Err(Reply::invalid("the message is empty")
                .next("say something with --message")
                .into());
        }
        if text.len() > MAX_TEXT {
            let text = format!("a message has {MAX_TEXT} bytes at most");
            return Err(Reply::invalid(text).next("send it in several messages").into());
        }
        if !media_url.is_empty() && !is_media(&media_url) {
            return Err(Reply::invalid("media_url is an https URL").into());
        }
        let roster = self.engine.roster();
        let fixed = destination(roster.config.channels(), &channel, &to, &account_id, &thread_id);
        let fixed = match fixed {
            Ok(fixed) => fixed,
            Err(error) => {
                // Whoever may not send is told that, and only that.
                let reach = if channel == WEBHOOK { Reach::Programs } else { Reach::Agents };
                let target =
                    DestinationTarget { channel: channel.into(), peer: "nobody".into(), reach };
                drop(self.peek::<method::SendMessage>(&caller, target).await?);
                return Err(nowhere(&error).into());
            }
        };
        let told =
            [&*fixed.channel, &fixed.kind, &fixed.peer, &fixed.thread, &text, &media_url, &answers];
        let request_digest = digest::of(&told);
        let new = NewDelivery {
            source: String::new(),
            digest: request_digest,
            to: ReplyTo { answers, ..fixed },
            text,
            media: media_url,
            session: String::new(),
            buttons: Vec::new(),
            poll: None,
        };
        let guard = Some(guard(&new.to, &roster));
        let ask = SendMessage { idempotency_key, new, guard };
        let delivery = self.perform(&caller, ask, clock::now(), respond::delivery).await?;
        self.engine.outbox().notify_waiters();
        Ok(Response::new(shown(delivery)))
    }

    async fn poll(
        &self,
        request: Request<v1::PollRequest>,
    ) -> Result<Response<v1::Delivery>, Status> {
        let (caller, message) = gate::admit(request)?;
        let channel: Box<str> = message.channel.as_str().into();
        let roster = self.engine.roster();
        let ask = match poll::ask(message, roster.config.channels()) {
            Ok(ask) => ask,
            Err(reply) => {
                // Whoever may not ask is told that, and only that.
                let reach = Reach::Agents;
                let target = DestinationTarget { channel, peer: "nobody".into(), reach };
                drop(self.peek::<method::SendPoll>(&caller, target).await?);
                return Err(reply.into());
            }
        };
        let ask = SendPoll { guard: Some(guard(&ask.to, &roster)), ..ask };
        let delivery = self.perform(&caller, ask, clock::now(), respond::delivery).await?;
        self.engine.outbox().notify_waiters();
        Ok(Response::new(shown(delivery)))
    }

    async fn list(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> Result<Response<v1::ListDeliveriesResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let state = wanted(message.state());
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(DeliveryCursor(token.parse().map_err(|_error| convert::bad_token())?)),
        };
        let limit = convert::page_size(message.page_size)?;
        let filter = DeliveryFilter { channel: message.channel, state, after, limit };
        let listed = self.store.scan(&caller, filter, clock::now()).await;
        let page = listed.map_err(|error| {
            respond::act(error, method::ListDeliveries::ROW, |never| match *never {})
        })?;
        let next = page.next.map(|DeliveryCursor(row)| row.to_string());
        Ok(Response::new(v1::ListDeliveriesResponse {
            deliveries: page.deliveries.into_iter().map(shown).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn get(
        &self,
        request: Request<v1::GetDeliveryRequest>,
    ) -> Result<Response<v1::Delivery>, Status> {
        let (caller, message) = gate::admit(request)?;
        let found = self.store.view(&caller, &GetDelivery(message.id), clock::now()).await;
        let found = found
            .map_err(|error| respond::act(error, method::ReadDelivery::ROW, respond::delivery))?;
        Ok(Response::new(shown(found)))
    }

    async fn retry(
        &self,
        request: Request<v1::RetryDeliveryRequest>,
    ) -> Result<Response<v1::Delivery>, Status> {
        let (caller, message) = gate::admit(request)?;
        let rules = self.engine.roster().send_rules.clone();
        let ask = RetryDelivery { id: message.id, rules };
        let delivery = self.perform(&caller, ask, clock::now(), respond::delivery).await?;
        self.engine.outbox().notify_waiters();
        Ok(Response::new(shown(delivery)))
    }

    async fn discard(
        &self,
        request: Request<v1::DiscardDeliveryRequest>,
    ) -> Result<Response<v1::Delivery>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ask = DiscardDelivery(message.id);
        let delivery = self.perform(&caller, ask, clock::now(), respond::delivery).await?;
        // What waited behind it may go.
        self.engine.outbox().notify_waiters();
        Ok(Response::new(shown(delivery)))
    }
}

/// Returns what may hold back what is sent to a place: the policy of the conversation that is answered there.
fn guard(to: &ReplyTo, roster: &Roster) -> SendGuard {
    let session = match to.channel.as_str() {
        WEBHOOK => None,
        _ => route::answers_at(to, &roster.routes),
    };
    SendGuard { rules: roster.send_rules.clone(), session }
}

/// Reads which message is answered.
fn answered(id: String) -> Result<String, Reply> {
    if id.len() > 64 || id.chars().any(char::is_control) {
        return Err(Reply::invalid("reply_to_id is the id of a message"));
    }
    Ok(id)
}

fn nowhere(error: &DestinationError) -> Reply {
    Reply::invalid(error.to_string()).next("openclaw channels status lists the channels")
}

fn is_media(url: &str) -> bool {
    url.len() <= MAX_URL
        && url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn wanted(state: v1::delivery::State) -> Option<DeliveryState> {
    use v1::delivery::State;
    Some(match state {
        State::Unspecified => return None,
        State::Waiting => DeliveryState::Waiting,
        State::Sending => DeliveryState::Sending,
        State::Sent => DeliveryState::Sent,
        State::Partial => DeliveryState::Partial,
        State::Unknown => DeliveryState::Unknown,
        State::Dead => DeliveryState::Dead,
        State::Discarded => DeliveryState::Discarded,
    })
}

/// Writes a delivery.
fn shown(delivery: Delivery) -> v1::Delivery {
    use v1::delivery::State;
    let state = match delivery.state {
        DeliveryState::Dead => State::Dead,
        DeliveryState::Discarded => State::Discarded,
        DeliveryState::Partial => State::Partial,
        DeliveryState::Sending => State::Sending,
        DeliveryState::Sent => State::Sent,
        DeliveryState::Unknown => State::Unknown,
        DeliveryState::Waiting => State::Waiting,
    };
    let ReplyTo { channel, account, kind, peer, thread, .. } = delivery.to;
    v1::Delivery {
        id: delivery.id,
        source: delivery.source,
        to: Some(v1::ReplyTarget {
            channel,
            account_id: account,
            peer_kind: kind,
            peer_id: peer,
            thread_id: thread,
        }),
        text: delivery.poll.as_ref().map_or(delivery.text, Poll::words),
        media_url: delivery.media,
        session_key: delivery.session.map(|key| key.to_string()).unwrap_or_default(),
        on_behalf_of: delivery.on_behalf_of.to_string(),
        state: state.into(),
        parts: delivery.parts,
        receipts: delivery.receipts,
        attempts: delivery.attempts,
        next_at: delivery.next_at.map(to_timestamp),
        error: delivery.error,
        created_at: Some(to_timestamp(delivery.created_at)),
        settled_at: delivery.settled_at.map(to_timestamp),
        poll: delivery.poll.as_ref().map(poll::shown),
    }
}
