//! Conversations over the wire.

use openclaw_config::ModelName;
use openclaw_proto::v1;
use openclaw_proto::v1::sessions_server::Sessions;
use openclaw_scopes::method::{
    CleanupSessions as CleanupMethod, CompactSession as CompactMethod, CreateSession,
    DeleteSession as DeleteMethod, ListSessions, Method as _, PatchSession as PatchMethod,
    ReadHistory, ReadSession,
};
use openclaw_scopes::target::{PatchTarget, SessionTarget, Whole};
use openclaw_scopes::{AgentId, Timestamp};
use openclaw_sessions::SendPolicy;
use openclaw_store::{
    Activity, Archive, Archived, CreateSession as Create, DeleteSession, GetSession, History,
    NewSendPolicy, Note, Patch, PatchSession, Reset, ResetSession, SessionCursor, SessionFilter,
    UndoReset,
};
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::engine::{CompactFailed, CompactRefused, Compacted, Purpose};
use crate::respond::{self, Reply};
use crate::{clock, convert, digest, gate, purge, upkeep};

/// Bytes of a label at most (`runtime.md` §1.8 of the reference).
const MAX_LABEL: usize = 512;
/// Bytes of a category at most.
const MAX_CATEGORY: usize = 64;
/// Bytes of a reason at most.
const MAX_REASON: usize = 256;
/// Entries of a conversation whose removal is waited for.
const AT_ONCE: u64 = 200;

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
            let target = SessionTarget::unowned(ask.key);
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
        let last = self.store.last_reset(&session.key).map_err(|error| respond::store(&error))?;
        let last_reset = last.map(convert::reset);
        Ok(Response::new(v1::Session { last_reset, ..convert::session(session) }))
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

    async fn patch(
        &self,
        request: Request<v1::PatchSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::named_session(&message.key, &message.agent_id)?;
        let ask = PatchSession { key, patch: parse_patch(message)? };
        if let Some(model) = ask.patch.model.as_deref().filter(|model| !model.is_empty()) {
            let known = ModelName::parse(model).ok();
            if known.and_then(|name| self.engine.roster().model(&name)).is_none() {
                let target = PatchTarget { key: ask.key, part: ask.patch.part() };
                drop(self.peek::<PatchMethod>(&caller, target).await?);
                let text = format!("no model `{}` is configured", model.escape_debug());
                return Err(Reply::invalid(text).next("openclaw models list").into());
            }
        }
        let is_back = ask.patch.archived == Some(false);
        let session = self.perform(&caller, ask, clock::now(), respond::session).await?;
        if is_back {
            // What its sub-agents said meanwhile.
            self.engine.announce_soon(session.key.clone());
        }
        Ok(Response::new(convert::session(session)))
    }

    async fn reset(
        &self,
        request: Request<v1::ResetSessionRequest>,
    ) -> Result<Response<v1::ResetSessionResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::named_session(&message.key, &message.agent_id)?;
        let reason = message.reason;
        if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            let text = format!("a reason is at most {MAX_REASON} bytes without control characters");
            return Err(Reply::invalid(text).next("say it shorter with --reason").into());
        }
        let ask = ResetSession { key: key.clone(), reason };
        let reset = self.perform(&caller, ask, clock::now(), respond::session).await?;
        self.engine.ended_outside(&reset.ended).await;
        self.engine.end_commands(&key).await;
        // Of a sub-agent: whoever waited for it hears that it begins anew.
        self.engine.announce_soon(key);
        Ok(Response::new(reset_response(reset)))
    }

    async fn compact(
        &self,
        request: Request<v1::CompactSessionRequest>,
    ) -> Result<Response<v1::CompactSessionResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::named_session(&message.key, &message.agent_id)?;
        let agent =
            openclaw_sessions::agent_of(&key).map_err(|error| Reply::malformed_key(&error))?;
        let roster = self.engine.roster();
        let worker = roster.agent(&agent).ok_or_else(|| Reply::unknown_agent(&agent))?;
        let purpose = if message.dry_run { Purpose::Show } else { Purpose::Do };
        let compacted = self.engine.compact_idle(&caller, &key, worker, purpose).await;
        let Compacted { tokens_before, tokens_folded, first_kept } =
            compacted.map_err(|refused| match refused {
                CompactRefused::Act(error) => {
                    respond::act(error, CompactMethod::ROW, respond::session)
                }
                CompactRefused::Failed(CompactFailed::Storage(error)) => respond::store(&error),
                CompactRefused::Failed(failed) => {
                    let reply = Reply::new(Code::FailedPrecondition, "", failed.to_string());
                    reply.next(format!("openclaw sessions history {key}"))
                }
            })?;
        let key = key.to_string();
        let done = purpose == Purpose::Do;
        Ok(Response::new(v1::CompactSessionResponse {
            key,
            tokens_before,
            tokens_folded,
            first_kept,
            done,
        }))
    }

    async fn cleanup(
        &self,
        request: Request<v1::CleanupRequest>,
    ) -> Result<Response<v1::CleanupResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        if message.dry_run {
            drop(self.peek::<CleanupMethod>(&caller, Whole).await?);
        } else {
            // Files leave no other trace.
            let noted = self.store.act(&caller, Note::<CleanupMethod>(Whole), clock::now()).await;
            drop(noted.map_err(|error| {
                respond::act(error, CleanupMethod::ROW, |never| match *never {})
            })?);
        }
        let settings = self.engine.roster().config.session().maintenance;
        let unneeded = upkeep::look(&self.store, &self.around.state_dir, &settings);
        let mut gone = unneeded.map_err(|error| respond::store(&error))?;
        if !message.dry_run {
            let removed = upkeep::remove(&self.engine, &caller, gone).await;
            gone = removed
                .map_err(|error| respond::act(error, DeleteMethod::ROW, respond::session))?;
        }
        let files = gone.files.iter().map(|(path, _)| path.to_string_lossy().into_owned());
        Ok(Response::new(v1::CleanupResponse {
            keys: gone.sessions.iter().map(ToString::to_string).collect(),
            files: files.collect(),
            file_bytes: gone.file_bytes(),
            disk_bytes: gone.bytes,
            done: !message.dry_run,
        }))
    }

    async fn undo_reset(
        &self,
        request: Request<v1::UndoResetRequest>,
    ) -> Result<Response<v1::ResetSessionResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::named_session(&message.key, &message.agent_id)?;
        let reset = self.perform(&caller, UndoReset(key), clock::now(), respond::session).await?;
        Ok(Response::new(reset_response(reset)))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteSessionRequest>,
    ) -> Result<Response<v1::DeleteSessionResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::named_session(&message.key, &message.agent_id)?;
        let archive = if message.no_archive { Archive::Drop } else { Archive::Keep };
        let ask = DeleteSession { key, archive, unused_since: None };
        let deleted = self.perform(&caller, ask, clock::now(), respond::session).await?;
        // From here on nothing of it can be written any more; what still works is waited for.
        self.engine.ended_outside(&deleted.ended).await;
        self.engine.end_commands(&deleted.key).await;
        self.engine.forget(&deleted.key);
        self.engine.told_of_end(deleted.parent);
        let state_dir = &self.around.state_dir;
        let (archive_path, purged) = match deleted.left {
            None => (None, true),
            Some(left) => {
                let kept =
                    (left.archive == Archive::Keep).then(|| purge::archive_path(state_dir, &left));
                let small = left.entries <= AT_ONCE;
                let (store, state_dir) = (self.store.clone(), state_dir.clone());
                let work = async move {
                    let purged = purge::purge(&store, &state_dir, &left).await;
                    let is_gone = purged.is_ok();
                    purge::log(&left, purged);
                    is_gone
                };
                // A long conversation takes its time, and is out of sight already.
                let is_gone = if small { work.await } else { self.engine.later(work) };
                (kept, is_gone)
            }
        };
        Ok(Response::new(v1::DeleteSessionResponse {
            key: deleted.key.to_string(),
            entries: deleted.entries,
            ended_run_ids: deleted.ended.iter().map(|ended| ended.run.to_string()).collect(),
            archive_path: archive_path
                .map(|path| path.to_string_lossy().into_owned())
                .unwrap_or_default(),
            purged,
        }))
    }
}

fn reset_response(reset: Reset) -> v1::ResetSessionResponse {
    v1::ResetSessionResponse {
        session: Some(convert::session(reset.session)),
        number: reset.number,
        context_from: reset.context_from,
        ended_run_ids: reset.ended.iter().map(|ended| ended.run.to_string()).collect(),
    }
}

fn parse_patch(message: v1::PatchSessionRequest) -> Result<Patch, Reply> {
    let v1::PatchSessionRequest {
        key: _,
        agent_id: _,
        label,
        category,
        pinned,
        archived,
        model,
        send_policy,
    } = message;
    for (name, text, max) in [("label", &label, MAX_LABEL), ("category", &category, MAX_CATEGORY)] {
        let text = text.as_deref().unwrap_or_default();
        if text.len() > max || text.chars().any(char::is_control) {
            let text = format!("{name} is at most {max} bytes without control characters");
            return Err(Reply::invalid(text).next("choose a shorter one"));
        }
    }
    if label.is_none()
        && category.is_none()
        && pinned.is_none()
        && archived.is_none()
        && model.is_none()
        && send_policy.is_none()
    {
        return Err(Reply::invalid("nothing is to change").next("openclaw sessions --help"));
    }
    let send_policy = send_policy.as_deref().map(parse_send_policy).transpose()?;
    Ok(Patch { label, category, pinned, archived, model, send_policy })
}

fn parse_send_policy(text: &str) -> Result<NewSendPolicy, Reply> {
    if text.is_empty() {
        return Ok(NewSendPolicy::Inherit);
    }
    SendPolicy::parse(text).map(NewSendPolicy::Own).ok_or_else(|| {
        let text = "a send policy is `allow` or `deny`, or empty for what the configuration says";
        Reply::invalid(text).next("openclaw sessions send-policy --help")
    })
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
    let archived = match v1::list_sessions_request::Archived::try_from(message.archived) {
        Ok(v1::list_sessions_request::Archived::Unspecified) => Archived::No,
        Ok(v1::list_sessions_request::Archived::Only) => Archived::Only,
        Ok(v1::list_sessions_request::Archived::All) => Archived::Too,
        Err(unknown) => return Err(Reply::invalid(unknown.to_string())),
    };
    Ok(SessionFilter { agent, search: message.search, activity, archived, after, limit })
}

fn cursor(token: &str) -> Option<SessionCursor> {
    let (at, rowid) = token.rsplit_once('-')?;
    let updated_at = Timestamp::from_millis(at.parse().ok()?);
    Some(SessionCursor { updated_at, rowid: rowid.parse().ok()? })
}
