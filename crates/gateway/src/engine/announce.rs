//! What waits for conversations, and who tells them: the turns that nobody but the gateway asks for.

use std::time::Duration;

use openclaw_scopes::{Caller, Cause, Component, RunId, SessionKey};
use openclaw_sessions::{Dropped, LaneClass, QueueMode};
use openclaw_store::{AcceptRun, ActError, ContinueSession, Continued, Due, Precedence, TOLD};

use super::Engine;
use super::turns::Enlisted;
use crate::{clock, secrets};

/// Attempts to hand something over while the lanes are full, and the wait between them.
const ATTEMPTS: u32 = 60;
/// How the runs are called that answer events.
pub(super) const EVENT: &str = "event-";
/// What stands in the ids of those that are told the end of a command.
const COMMAND: &str = "exec-";

/// Whether a run answers what nobody asked: an event, or the end of a command.
pub(super) fn is_of_event(run: &RunId) -> bool {
    let is_of_command = |rest: &str| rest.starts_with(COMMAND);
    run.as_str().starts_with(EVENT) || run.as_str().strip_prefix(TOLD).is_some_and(is_of_command)
}
const WAIT: Duration = Duration::from_secs(5);

impl Engine {
    /// What follows the end of a run: its conversation may have something to be told, and so may the one
    /// that delegated to it; and what was told may let the conversation of a sub-agent go.
    pub(super) async fn after(&self, session: &SessionKey) {
        self.0.ends.notify_waiters();
        if LaneClass::of(session) == LaneClass::Background {
            // One of a job has ended: others of it may wait for that.
            self.0.jobs.notify_waiters();
        }
        self.announce(session).await;
        self.reap().await;
    }

    /// Goes on with a conversation that has something to be told, and with those above it.
    pub(crate) async fn announce(&self, session: &SessionKey) {
        let mut session = session.clone();
        loop {
            self.announce_in(&session).await;
            if LaneClass::of(&session) != LaneClass::Subagent {
                return;
            }
            session = match self.0.store.parent_of(&session) {
                Ok(Some(parent)) => parent,
                Ok(None) => return,
                Err(error) => {
                    return tracing::error!(%session, %error, "a parent could not be found");
                }
            };
        }
    }

    /// The same, while whoever asks does something else.
    pub(crate) fn announce_soon(&self, session: SessionKey) {
        let engine = self.clone();
        self.0.tasks.spawn(async move { engine.announce(&session).await });
    }

    /// Goes on with a conversation that has something to be told, if nobody works there who will be.
    async fn announce_in(&self, session: &SessionKey) {
        for _ in 0..ATTEMPTS {
            if self.is_draining() {
                // It waits on the disk: the next start tells it.
                return;
            }
            let due = match self.0.store.due(session) {
                Ok(Some(due)) => due,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%session, %error, "what waits for a conversation is unknown");
                    return;
                }
            };
            if let Some(told) = self.told_elsewhere(&due) {
                return self.move_to(told, due).await;
            }
            match self.tell(&due).await {
                Told::Done => {}
                Told::Later => tokio::time::sleep(WAIT).await,
                Told::Never(reason) => {
                    tracing::warn!(%session, source = due.source, reason, "a conversation is not told");
                    if due.is_command {
                        // No list shows it, as there is one of sub-agents.
                        let text = format!(
                            "A command of session `{session}` has ended, and the session could not be told: {reason}."
                        );
                        self.tell_owner_soon(format!("alert:untold:{}", due.source), text);
                    }
                    let buried = self.0.store.bury_notices(&due, reason, clock::now()).await;
                    if let Err(error) = buried {
                        tracing::error!(%session, ?error, "what waits could not be given up");
                        return;
                    }
                }
            }
        }
    }

    /// Returns the conversation that is told instead, where nobody reads what a direct conversation is told. What a
    /// job's turn began stays with it: there it has the tools of the job, and no others.
    fn told_elsewhere(&self, due: &Due) -> Option<SessionKey> {
        let is_end = due.run.is_some() && due.grant.is_some();
        if !is_end || LaneClass::of(&due.session) != LaneClass::Main {
            return None;
        }
        Some(self.told_in(&due.session)).filter(|told| *told != due.session)
    }

    async fn move_to(&self, told: SessionKey, due: Due) {
        let Some(grant) = due.grant else { return };
        let to = (grant.holder().clone(), self.reply_of(&due.session));
        let moved = self.0.store.move_notices(due.session, told.clone(), to, clock::now()).await;
        match moved {
            Ok(()) => self.announce_soon(told),
            Err(error) => tracing::error!(%told, ?error, "what waits could not be told elsewhere"),
        }
    }

    async fn tell(&self, due: &Due) -> Told {
        let Some(grant) = due.grant.clone() else {
            return Told::Never("the grant that it rests on has ended".into());
        };
        let Some(worker) = self.worker_of(&due.session) else {
            return Told::Never("its agent is not configured any more".into());
        };
        // What an event leads to is nothing that the conversation began by itself.
        let prefix = match (&due.run, due.is_command) {
            (None, _) => EVENT.to_owned(),
            (Some(_), false) => TOLD.to_owned(),
            (Some(_), true) => format!("{TOLD}{COMMAND}"),
        };
        let Ok(run) = secrets::id(&prefix, RunId::parse) else { return Told::Later };
        let cause =
            due.run.clone().map_or_else(|| Cause::Event(due.source.as_str().into()), Cause::Run);
        let caller = Caller::delegate(Component::Announcer, grant, cause);
        let digest = crate::digest::of(&[&due.source]);
        let live = match self.enlist(&run, digest, &due.session, &caller) {
            Enlisted::New(live) => live,
            Enlisted::Full(_) | Enlisted::There(_) => return Told::Later,
        };
        let precedence = if live.has_turn() { Precedence::Start } else { Precedence::Wait };
        let accept = AcceptRun {
            run,
            request_digest: digest,
            session: due.session.clone(),
            message: String::new(),
            timeout: worker.agent.timeout,
            precedence,
            reply_to: self.reply_of(&due.session),
            queue: QueueMode::Followup,
            dropped: Dropped::default(),
            join: None,
            fresh_since: None,
        };
        let ask = ContinueSession { accept, source: due.source.clone() };
        let accepted = match self.0.store.act(&caller, ask, clock::now()).await {
            Ok(Continued::Accepted(accepted)) => Ok(*accepted),
            Ok(Continued::Nothing) => {
                self.dismiss(&live);
                live.accept_failed();
                return Told::Done;
            }
            Err(error) => Err(error),
        };
        match self.begin(&live, accepted) {
            Ok((_view, Some(begin))) => {
                self.spawn(live, worker, begin);
                Told::Done
            }
            Ok((_view, None)) => Told::Done,
            Err(ActError::Denied(denial)) => Told::Never(denial.to_string()),
            Err(ActError::Failed(error)) => Told::Never(error.to_string()),
            Err(ActError::Store(error)) => {
                tracing::error!(session = %due.session, %error, "a conversation could not be told");
                Told::Later
            }
        }
    }

    /// After a start: tells every conversation what came of what it delegated.
    pub(crate) async fn announce_all(&self) {
        let due = match self.0.store.all_due() {
            Ok(due) => due,
            Err(error) => {
                return tracing::error!(%error, "what waits for conversations is unknown");
            }
        };
        // Each by itself: one for which there is no place holds up no other.
        due.into_iter().for_each(|session| self.announce_soon(session));
        self.reap().await;
    }
}

/// What came of telling a conversation.
enum Told {
    /// A run does, or nothing was left to be told.
    Done,
    /// There is no place for a run now.
    Later,
    /// It cannot be, for this reason.
    Never(String),
}
