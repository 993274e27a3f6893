//! What leaves the gateway of this test, and what its conversations are told: an id says what becomes of it.

use std::time::Duration;

use openclaw_client::Code;
use openclaw_client::v1::delivery::State;
use openclaw_client::v1::messages_server::Messages;
use openclaw_client::v1::system_server::System;
use openclaw_client::v1::{
    Delivery, DiscardDeliveryRequest, GetDeliveryRequest, GetSystemEventRequest,
    ListDeliveriesRequest, ListDeliveriesResponse, Poll, PollRequest, ReplyTarget,
    RetryDeliveryRequest, SendMessageRequest, SystemEvent, SystemEventRequest, WakeRequest,
    WakeResponse,
};
use openclaw_proto::to_duration;
use tonic::{Request, Response, Status};

use super::{Fake, refusal};

fn delivery(id: &str, state: State) -> Delivery {
    let (error, receipts) = match state {
        State::Dead => ("status 403, 50001: \u{1b}[2JMissing Access", vec![]),
        State::Partial => ("rate limited", vec!["1".to_owned()]),
        State::Unknown => ("no answer in time", vec![]),
        State::Sent => ("", vec!["1".to_owned(), "2".to_owned()]),
        _ => ("", vec![]),
    };
    Delivery {
        id: id.into(),
        source: "send:owner:k".into(),
        to: Some(ReplyTarget {
            channel: "telegram".into(),
            account_id: "default".into(),
            peer_kind: "group".into(),
            peer_id: "-100123".into(),
            thread_id: "7".into(),
        }),
        text: "It is \u{1b}[2Jbuilt.".into(),
        on_behalf_of: "owner".into(),
        state: state.into(),
        parts: u32::from(matches!(state, State::Partial | State::Sent)) * 2,
        receipts,
        attempts: 3,
        error: error.into(),
        ..Delivery::default()
    }
}

/// What has become of a delivery, by its id.
fn found(id: &str) -> Result<Delivery, Status> {
    Ok(match id {
        "absent" => return Err(refusal(Code::NotFound, "", "no delivery `absent`")),
        "dl-dead" => delivery(id, State::Dead),
        "dl-given-up" => delivery(id, State::Discarded),
        "dl-poll" => Delivery {
            text: "Lunch\u{1b}[2J? (Pizza / Soup)".into(),
            poll: Some(Poll {
                question: "Lunch\u{1b}[2J?".into(),
                options: vec!["Pizza".into(), "Soup".into()],
                max_selections: Some(2),
                duration: Some(to_duration(Duration::from_secs(5_400))),
                is_anonymous: Some(true),
                silent: true,
            }),
            ..delivery(id, State::Sent)
        },
        "dl-partial" => delivery(id, State::Partial),
        "dl-slow" => delivery(id, State::Waiting),
        "dl-unknown" => delivery(id, State::Unknown),
        _ => delivery(id, State::Sent),
    })
}

#[tonic::async_trait]
impl Messages for Fake {
    async fn send(&self, asked: Request<SendMessageRequest>) -> Result<Response<Delivery>, Status> {
        let asked = asked.into_inner();
        assert!(!asked.idempotency_key.is_empty());
        if asked.text == "deny" {
            let message = "missing scope: operator.write";
            return Err(refusal(Code::PermissionDenied, "MISSING_SCOPE", message));
        }
        let id = format!("dl-{}", asked.text);
        if asked.idempotency_key == "again" {
            return Ok(Response::new(found(&id)?));
        }
        Ok(Response::new(Delivery {
            source: format!("send:owner:{}:{}", asked.idempotency_key, asked.reply_to_id),
            to: Some(ReplyTarget {
                channel: asked.channel,
                account_id: asked.account_id,
                peer_kind: String::new(),
                peer_id: asked.to,
                thread_id: asked.thread_id,
            }),
            text: asked.text,
            media_url: asked.media_url,
            ..delivery(&id, State::Waiting)
        }))
    }

    async fn poll(&self, asked: Request<PollRequest>) -> Result<Response<Delivery>, Status> {
        let PollRequest { idempotency_key, channel, to, account_id, thread_id, reply_to_id, poll } =
            asked.into_inner();
        assert!(!idempotency_key.is_empty());
        let poll = poll.unwrap();
        if poll.question == "deny" {
            let message = "missing scope: operator.write";
            return Err(refusal(Code::PermissionDenied, "MISSING_SCOPE", message));
        }
        let id = format!("dl-{}", poll.question);
        if idempotency_key == "again" {
            return Ok(Response::new(found(&id)?));
        }
        let peer_kind = String::new();
        Ok(Response::new(Delivery {
            source: format!("send:owner:{idempotency_key}:{reply_to_id}"),
            to: Some(ReplyTarget { channel, account_id, peer_kind, peer_id: to, thread_id }),
            text: format!("{} ({})", poll.question, poll.options.join(" / ")),
            poll: Some(poll),
            ..delivery(&id, State::Waiting)
        }))
    }

    async fn list(
        &self,
        asked: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let asked = asked.into_inner();
        let of = |id: &str, next: &str| -> Result<_, Status> {
            let deliveries = vec![found(id)?];
            Ok(ListDeliveriesResponse { deliveries, next_page_token: next.into() })
        };
        let state = asked.state();
        Ok(Response::new(match (asked.channel.as_str(), state, asked.page_token.as_str()) {
            ("discord", ..) => ListDeliveriesResponse::default(),
            (_, State::Dead, _) => of("dl-dead", "")?,
            (_, _, "") => of("dl-ok", "2")?,
            _ => of("dl-partial", "")?,
        }))
    }

    async fn get(&self, asked: Request<GetDeliveryRequest>) -> Result<Response<Delivery>, Status> {
        Ok(Response::new(found(&asked.into_inner().id)?))
    }

    async fn retry(
        &self,
        asked: Request<RetryDeliveryRequest>,
    ) -> Result<Response<Delivery>, Status> {
        let id = asked.into_inner().id;
        if id == "dl-ok" {
            let message = "delivery `dl-ok` is sent: there is nothing to do about it";
            return Err(Status::failed_precondition(message));
        }
        found(&id)?;
        Ok(Response::new(delivery(&id, State::Waiting)))
    }

    async fn discard(
        &self,
        asked: Request<DiscardDeliveryRequest>,
    ) -> Result<Response<Delivery>, Status> {
        let id = asked.into_inner().id;
        found(&id)?;
        Ok(Response::new(delivery(&id, State::Discarded)))
    }
}

fn event(id: &str) -> Result<SystemEvent, Status> {
    let (state, run, reason) = match id {
        "absent" => return Err(refusal(Code::NotFound, "", "no event `absent`")),
        "ev-dead" => ("dead", "", "too many events waited; it gave way to newer ones"),
        "ev-gone" => ("discarded", "", ""),
        "ev-slow" => ("waiting", "", ""),
        _ => ("told", "told-1", ""),
    };
    Ok(SystemEvent {
        id: id.into(),
        session_key: "agent:main:main".into(),
        text: "The door\u{1b}[2J is open.".into(),
        state: state.into(),
        told_in_run_id: run.into(),
        reason: reason.into(),
        at: None,
    })
}

#[tonic::async_trait]
impl System for Fake {
    async fn event(
        &self,
        asked: Request<SystemEventRequest>,
    ) -> Result<Response<SystemEvent>, Status> {
        let SystemEventRequest { idempotency_key, session_key, agent_id, text, context_key } =
            asked.into_inner();
        assert!(!idempotency_key.is_empty());
        if text == "deny" {
            let message = "missing scope: operator.write";
            return Err(refusal(Code::PermissionDenied, "MISSING_SCOPE", message));
        }
        let id = format!("ev-{text}");
        if idempotency_key == "again" {
            return Ok(Response::new(event(&id)?));
        }
        let session_key = match (session_key.as_str(), agent_id.as_str()) {
            ("", "") => "agent:main:main".into(),
            (key, agent) => format!("agent:{agent}:{key}"),
        };
        let event = SystemEvent { id, session_key, text, ..event("ev-slow")? };
        let text = format!("{} {context_key}", event.text).trim().to_owned();
        Ok(Response::new(SystemEvent { text, ..event }))
    }

    async fn get_event(
        &self,
        asked: Request<GetSystemEventRequest>,
    ) -> Result<Response<SystemEvent>, Status> {
        Ok(Response::new(event(&asked.into_inner().id)?))
    }

    async fn wake(&self, asked: Request<WakeRequest>) -> Result<Response<WakeResponse>, Status> {
        let WakeRequest { session_key, agent_id } = asked.into_inner();
        let session_key = match (session_key.as_str(), agent_id.as_str()) {
            ("", "") => "agent:main:main".into(),
            (key, agent) => format!("agent:{agent}:{key}"),
        };
        Ok(Response::new(WakeResponse { session_key, waiting: 2 }))
    }
}
