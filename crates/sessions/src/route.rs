//! Which agent answers, and in which session: one decision for everything that produces work.

mod binding;
mod event;
mod origin;
mod scope;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use openclaw_scopes::{AgentId, SessionKey};

use crate::key::{KeyError, agent_of, resolve_key, shortened};

pub use binding::{AccountPattern, Binding, DEFAULT_ACCOUNT, Match, MatchedBy, PeerPattern};
pub use event::Owners;
pub use origin::{Origin, OriginPart, Peer, ReplyTarget};
pub use scope::{DmScope, GroupScope};

/// Something that happened and asks for work.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// An agent started a sub-agent.
    Child {
        /// The agent that the sub-agent runs as.
        agent: &'a AgentId,
        /// The name of the sub-agent's session.
        id: &'a str,
    },
    /// Something that was begun in a session has ended.
    Completion {
        /// The session in which it was begun.
        session: &'a SessionKey,
        /// Whom the channel of that session lets in.
        owners: Owners<'a>,
    },
    /// A job works in a conversation of its own.
    JobRun {
        /// The agent that works.
        agent: &'a AgentId,
        /// The id of the job.
        job: &'a str,
        /// The name of its run.
        run: &'a str,
    },
    /// A message came in from a channel.
    Message(Origin<'a>),
    /// A caller named a session.
    Named {
        /// The agent that the caller chose, for a key that names none.
        agent: Option<&'a AgentId>,
        /// The key as the caller wrote it.
        key: &'a str,
    },
    /// A session is to be woken, so that it sees what has ended.
    Wake {
        /// The session in which the cause of it was begun.
        session: &'a SessionKey,
        /// Whom the channel of that session lets in.
        owners: Owners<'a>,
    },
}

/// What the configuration says about routing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Routes {
    /// The agents there are.
    pub agents: BTreeSet<AgentId>,
    /// Which agents answer whom, in the order of the configuration.
    pub bindings: Vec<Binding>,
    /// How direct messages are kept apart, unless the binding says otherwise.
    pub dm_scope: DmScope,
    /// The agent for what no binding matches; absent, the only agent, if there is only one.
    pub fallback: Option<AgentId>,
    /// How groups are kept apart, unless the binding says otherwise.
    pub group_scope: GroupScope,
    /// Who is one person: a name, and the `channel:peer` or bare `peer` that it stands for.
    pub identity_links: BTreeMap<String, Vec<String>>,
}

impl Routes {
    /// Returns the agent for what nobody else answers. With several, none is assumed.
    fn default_agent(&self) -> Result<&AgentId, RouteError> {
        let only = || self.agents.first().filter(|_| self.agents.len() == 1);
        self.fallback.as_ref().or_else(only).ok_or(RouteError::AgentRequired)
    }

    fn routed(
        &self,
        session: SessionKey,
        matched_by: MatchedBy,
        reply: Option<ReplyTarget>,
    ) -> Result<Routed, RouteError> {
        let agent = agent_of(&session)?;
        if !self.agents.contains(&agent) {
            return Err(RouteError::UnknownAgent { agent });
        }
        let main = resolve_key("main", Some(&agent))?;
        Ok(Routed { agent, main, matched_by, reply, session })
    }
}

/// Where work goes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct Routed {
    /// The agent that answers.
    pub agent: AgentId,
    /// The main session of that agent.
    pub main: SessionKey,
    /// Why it is that agent.
    pub matched_by: MatchedBy,
    /// Where an answer to the message goes; absent when there was no message, or no sender.
    pub reply: Option<ReplyTarget>,
    /// The session in which the work is done.
    pub session: SessionKey,
}

/// Decides which agent does the work that an event asks for, and in which session.
///
/// A completion and the wake that follows it are one case here, so the session that is told and the
/// session that is woken are the same.
///
/// # Errors
/// When no agent is chosen, the chosen one does not exist, the text is no key, or the parts of the
/// message make a key that means something else.
pub fn route(event: &Event<'_>, routes: &Routes) -> Result<Routed, RouteError> {
    match *event {
        Event::Child { agent, id } => {
            routes.routed(scope::child(agent, id)?, MatchedBy::Caller, None)
        }
        Event::Completion { session, owners } | Event::Wake { session, owners } => {
            let session = event::read_in(session, owners, routes)?;
            routes.routed(session, MatchedBy::Session, None)
        }
        Event::JobRun { agent, job, run } => {
            routes.routed(scope::job_run(agent, job, run)?, MatchedBy::Caller, None)
        }
        Event::Message(ref origin) => message(origin, routes),
        Event::Named { agent, key } => named(key, agent, routes),
    }
}

fn message(origin: &Origin<'_>, routes: &Routes) -> Result<Routed, RouteError> {
    let origin = origin.checked()?;
    let binding = binding::choose(&origin, &routes.bindings);
    let (agent, matched_by) = match binding {
        Some((binding, matched_by)) => (&binding.agent, matched_by),
        None => (routes.default_agent()?, MatchedBy::Default),
    };
    let binding = binding.map(|(binding, _)| binding);
    let dm_scope = binding.and_then(|binding| binding.dm_scope).unwrap_or(routes.dm_scope);
    let group_scope = binding.and_then(|binding| binding.group_scope).unwrap_or(routes.group_scope);
    let place = scope::Place::of(&origin, dm_scope, group_scope, &routes.identity_links)?;
    routes.routed(place.key(agent)?, matched_by, origin.reply_target())
}

fn named(key: &str, agent: Option<&AgentId>, routes: &Routes) -> Result<Routed, RouteError> {
    match resolve_key(key, agent) {
        Err(KeyError::AgentRequired { .. }) => {
            let session = resolve_key(key, Some(routes.default_agent()?))?;
            routes.routed(session, MatchedBy::Default, None)
        }
        session => routes.routed(session?, MatchedBy::Caller, None),
    }
}

/// Why an event leads nowhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RouteError {
    /// Several agents could answer, and nothing says which.
    #[error("agent selection required: nothing says which of the agents answers")]
    AgentRequired,
    /// The parts make a key that reads as another conversation.
    #[error("session key `{key}` would mean another conversation than the one it was made of")]
    Ambiguous {
        /// The key, shortened to 64 characters.
        key: String,
    },
    /// The text is no key, or the parts of the message make none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The id of a peer is the name of a linked identity to which it does not belong.
    #[error("peer `{peer}` bears the name of a linked identity that does not list it")]
    NameTaken {
        /// The id as given, shortened to 64 characters.
        peer: String,
    },
    /// A part of the message cannot stand in a key.
    #[error("{part} `{text}` must be text without `:`, control characters or spaces around it")]
    Part {
        /// Which part it is.
        part: OriginPart,
        /// The part as given, shortened to 64 characters.
        text: String,
    },
    /// The agent does not exist.
    #[error("there is no agent `{agent}`")]
    UnknownAgent {
        /// The agent.
        agent: AgentId,
    },
}

impl RouteError {
    fn part(part: OriginPart, text: &str) -> Self {
        Self::Part { part, text: shortened(text) }
    }
}
