//! Changes of the configuration file that somebody asks for: decided, written, in force at once, and recorded.

use openclaw_config::EditError;
use openclaw_scopes::method::Method;
use openclaw_scopes::{Caller, IdempotencyKey};
use openclaw_store::{ConflictError, Decision, Entry, NoteOnce, Noted};
use tonic::Code;

use crate::core::Core;
use crate::hooks;
use crate::respond::Reply;
use crate::roster::Roster;
use crate::settings::{Presence, Settings};
use crate::{clock, respond};

/// How a change is named, so that a retry is the same change.
pub(super) struct Once {
    pub(super) key: IdempotencyKey,
    pub(super) digest: [u8; 32],
    pub(super) result: String,
}

/// A change that was decided.
pub(super) struct Decided<T> {
    pub(super) target: T,
    /// What the first request was told, when this one is a retry.
    pub(super) before: Option<String>,
}

impl Core {
    /// Decides about a change, on disk before the file changes.
    pub(super) async fn decide<M: Method>(
        &self,
        caller: &Caller,
        target: M::Target,
        once: Once,
    ) -> Result<Decided<M::Target>, Reply> {
        if self.engine.is_draining() {
            return Err(Reply::draining());
        }
        let note = NoteOnce::<M> {
            idempotency_key: once.key,
            request_digest: once.digest,
            result: once.result,
            target,
        };
        let noted = self.store.act(caller, note, clock::now()).await;
        let noted = noted
            .map_err(|error| respond::act(error, M::ROW, |ConflictError| respond::conflict()))?;
        let (authorized, before) = match noted {
            Noted::Again(authorized, before) => (authorized, Some(before)),
            Noted::First(authorized) => (authorized, None),
        };
        let (_, target) = authorized.into_parts();
        Ok(Decided { target, before })
    }

    /// Records that an allowed change could not be made.
    pub(super) async fn recorded<M: Method, T>(
        &self,
        caller: &Caller,
        target: &M::Target,
        changed: Result<T, Reply>,
    ) -> Result<T, Reply> {
        if changed.is_err() {
            let entry = Entry::of(caller, M::ROW.name, target, Decision::Failed, "not-changed");
            let recorded = self.store.refuse(entry, clock::now()).await;
            recorded.map_err(|error| respond::store(&error))?;
        }
        changed
    }

    /// Changes the configuration file and puts it in force, or leaves both as they are.
    pub(super) async fn edit(
        &self,
        change: impl FnOnce(&str) -> Result<Option<String>, Reply>,
    ) -> Result<(), Reply> {
        let _one_at_a_time = self.config_writer.lock().await;
        let current = Settings::read(&self.config_path, Presence::Optional)
            .map_err(|error| Reply::new(Code::FailedPrecondition, "", error.to_string()))?;
        let Some(text) = change(&current.text)? else {
            return Ok(());
        };
        let config =
            openclaw_config::parse(&text).map_err(|error| Reply::invalid(error.to_string()))?;
        let roster = Roster::new(config, &self.around).map_err(|error| {
            let message = format!("the agents cannot work so: {error}");
            Reply::new(Code::FailedPrecondition, "", message)
        })?;
        Settings::write(&self.config_path, &text).map_err(|error| Reply::internal(&error))?;
        roster.succeed(&self.engine.roster());
        self.engine.replace_roster(roster);
        self.engine.keep_heartbeats().await;
        hooks::keep(&self.engine, &self.store).await;
        Ok(())
    }
}

/// The public face of what can go wrong with a change; `next` shows how it is.
pub(super) fn edit_error(error: &EditError, next: &'static str) -> Reply {
    let code = match error {
        EditError::AgentExists { .. } | EditError::ChannelExists { .. } => Code::AlreadyExists,
        EditError::UnknownAgent { .. } => Code::NotFound,
        EditError::Invalid { .. } | EditError::Refused { .. } => Code::InvalidArgument,
        EditError::MainStays | EditError::Unsupported => Code::FailedPrecondition,
    };
    let mut message = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        message = format!("{message}: {source}");
    }
    Reply::new(code, if code == Code::NotFound { "UNKNOWN_AGENT" } else { "" }, message).next(next)
}
