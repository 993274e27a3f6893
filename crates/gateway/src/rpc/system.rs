//! System events and wakes over the wire.

use openclaw_proto::v1::system_server::System;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::method::{self, Method as _};
use openclaw_scopes::target::SessionTarget;
use openclaw_store::{GetEvent, NewEvent, PutEvent, SystemEvent};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, convert, digest, gate, route};

/// Bytes of an event at most, and of what it is about.
const MAX_TEXT: usize = 32 * 1024;
const MAX_CONTEXT: usize = 200;

#[tonic::async_trait]
impl System for Core {
    async fn event(
        &self,
        request: Request<v1::SystemEventRequest>,
    ) -> Result<Response<v1::SystemEvent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::idempotency_key(&message.idempotency_key)?;
        let roster = self.engine.roster();
        let (named, agent) = route::named(&message.session_key, &message.agent_id, &roster.routes)?;
        if !self.engine.has_agent(&agent) {
            return Err(Reply::unknown_agent(&agent).into());
        }
        if message.text.trim().is_empty() {
            return Err(Reply::invalid("the event says nothing").next("say it with --text").into());
        }
        if message.text.len() > MAX_TEXT {
            return Err(Reply::invalid(format!("an event has {MAX_TEXT} bytes at most")).into());
        }
        let context = message.context_key;
        if context.len() > MAX_CONTEXT || context.chars().any(char::is_control) {
            let text = format!("context_key is at most {MAX_CONTEXT} bytes on one line");
            return Err(Reply::invalid(text).into());
        }
        let holder = caller.on_behalf_of().to_string();
        let id = digest::of(&[&holder, key.as_str()]);
        let id: String = data_encoding::HEXLOWER.encode(&id).chars().take(24).collect();
        let event = NewEvent {
            id: format!("event-{id}"),
            label: String::new(),
            text: message.text,
            context: context.to_lowercase(),
            // What it leads to is answered where the conversation leads that was named.
            reply_to: self.engine.reply_of(&named),
        };
        // The one that is told and the one that is woken are the same.
        let ask = PutEvent { session: self.engine.told_in(&named), event };
        let core = self.clone();
        let told = self.engine.whole(async move {
            let event = core.perform(&caller, ask, clock::now(), respond::event).await?;
            core.engine.announce_soon(event.session.clone());
            Ok::<_, Reply>(event)
        });
        let event = told.await.unwrap_or_else(|| Err(Reply::internal(&"a task panicked")))?;
        Ok(Response::new(shown(event)))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetSystemEventRequest>,
    ) -> Result<Response<v1::SystemEvent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let found = self.store.view(&caller, &GetEvent(message.id), clock::now()).await;
        let found =
            found.map_err(|error| respond::act(error, method::ReadEvent::ROW, respond::event))?;
        Ok(Response::new(shown(found)))
    }

    async fn wake(
        &self,
        request: Request<v1::WakeRequest>,
    ) -> Result<Response<v1::WakeResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let roster = self.engine.roster();
        let (named, _) = route::named(&message.session_key, &message.agent_id, &roster.routes)?;
        let session = self.engine.told_in(&named);
        let target = SessionTarget::unowned(session.clone());
        drop(self.peek::<method::WakeSession>(&caller, target).await?);
        let waiting =
            self.store.waiting_notices(&session).map_err(|error| respond::store(&error))?;
        self.engine.announce_soon(session.clone());
        Ok(Response::new(v1::WakeResponse { session_key: session.to_string(), waiting }))
    }
}

fn shown(event: SystemEvent) -> v1::SystemEvent {
    let state = if event.state == "consumed" { "told".to_owned() } else { event.state };
    v1::SystemEvent {
        id: event.id,
        session_key: event.session.to_string(),
        text: event.text,
        state,
        told_in_run_id: event.told_in.map(|run| run.to_string()).unwrap_or_default(),
        reason: event.reason,
        at: Some(to_timestamp(event.at)),
    }
}
