//! Conversations over the wire.

use openclaw_proto::v1;
use openclaw_proto::v1::sessions_server::Sessions;
use openclaw_scopes::method::{CreateSession, ListSessions, Method as _, ReadHistory, ReadSession};
use openclaw_scopes::target::SessionTarget;
use openclaw_scopes::{AgentId, Timestamp};
use openclaw_store::{
    Activity, CreateSession as Create, GetSession, History, SessionCursor, SessionFilter,
};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, convert, digest, gate};

/// Bytes of a label at most (`runtime.md` §1.8 of the reference).
const MAX_LABEL: usize = 512;

#[tonic::async_trait]
impl Sessions for Core {
    async fn create(
        &self,
        request: Request<v1::CreateSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let (caller, message) = gate::admit(request)?;
        if self.engine.is_draining() {
            return Err(Reply::draining().into());
        }
        let (ask, agent) = parse_create(message)?;
        if self.engine.roster().agent(&agent).is_none() {
            // Nothing was decided yet: whoever may not open conversations is told that, and only that.
            let target = SessionTarget { key: ask.key, owner: None };
            drop(self.peek::<CreateSession>(&caller, target).await?);
            return Err(Reply::unknown_agent(&agent).into());
        }
        let session = self.perform(&caller, ask, clock::now(), respond::session).await?;
        Ok(Response::new(convert::session(session)))
    }

    async fn list(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let filter = parse_list(message)?;
        let listed = self.store.scan(&caller, filter, clock::now()).await;
        let page = listed
            .map_err(|error| respond::act(error, ListSessions::ROW, |never| match *never {}))?;
        let next_page_token = page
            .next
            .map(|next| format!("{}-{}", next.updated_at.as_millis(), next.rowid))
            .unwrap_or_default();
        let sessions = page.sessions.into_iter().map(convert::session).collect();
        Ok(Response::new(v1::ListSessionsResponse { sessions, next_page_token }))
    }

    async fn get(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let (caller, message) = gate::admit(request)?;
        let (key, _agent) = convert::session_key(&message.key, &message.agent_id)?;
        let found = self.store.view(&caller, &GetSession(key), clock::now()).await;
        let session =
            found.map_err(|error| respond::act(error, ReadSession::ROW, respond::session))?;
        Ok(Response::new(convert::session(session)))
    }

    async fn history(
        &self,
        request: Request<v1::SessionHistoryRequest>,
    ) -> Result<Response<v1::SessionHistoryResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let (session, _agent) = convert::session_key(&message.key, &message.agent_id)?;
        let before = match message.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_error| convert::bad_token())?),
        };
        let history = History { session, before, limit: convert::page_size(message.page_size)? };
        let read = self.store.scan(&caller, history, clock::now()).await;
        let page = read.map_err(|error| respond::act(error, ReadHistory::ROW, respond::session))?;
        Ok(Response::new(v1::SessionHistoryResponse {
            entries: page.entries.into_iter().map(convert::history_entry).collect(),
            next_page_token: page.next_before.map(|entry| entry.to_string()).unwrap_or_default(),
        }))
    }
}

fn parse_create(message: v1::CreateSessionRequest) -> Result<(Create, AgentId), Reply> {
    let idempotency_key = convert::idempotency_key(&message.idempotency_key)?;
    let (key, agent) = convert::session_key(&message.key, &message.agent_id)?;
    if message.label.len() > MAX_LABEL || message.label.chars().any(char::is_control) {
        let text = format!("label is at most {MAX_LABEL} bytes without control characters");
        return Err(Reply::invalid(text));
    }
    let request_digest = digest::of(&[key.as_str(), &message.label]);
    Ok((Create { idempotency_key, request_digest, key, label: message.label }, agent))
}

fn parse_list(message: v1::ListSessionsRequest) -> Result<SessionFilter, Reply> {
    let agent = match message.agent_id.as_str() {
        "" => None,
        agent => Some(convert::agent_id(agent)?),
    };
    let after = match message.page_token.as_str() {
        "" => None,
        token => Some(cursor(token).ok_or_else(convert::bad_token)?),
    };
    let activity = if message.active_only { Activity::Active } else { Activity::Any };
    let limit = convert::page_size(message.page_size)?;
    Ok(SessionFilter { agent, search: message.search, activity, after, limit })
}

fn cursor(token: &str) -> Option<SessionCursor> {
    let (at, rowid) = token.rsplit_once('-')?;
    let updated_at = Timestamp::from_millis(at.parse().ok()?);
    Some(SessionCursor { updated_at, rowid: rowid.parse().ok()? })
}
