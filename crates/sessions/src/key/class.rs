//! What a canonical session key says about its session.

use openclaw_scopes::{AgentId, SessionKey};

use super::{KeyError, THREAD, heartbeat_base, shortened, split_agent, strip_head};

/// What kind of session a key names: the most telling of the shapes that it has.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum KeyClass {
    /// A session of an external agent harness.
    Acp,
    /// A channel or room of a chat.
    Channel,
    /// The base session of a scheduled job.
    Cron,
    /// The session of one run of a scheduled job.
    CronRun,
    /// A session that was made in a user interface.
    Dashboard,
    /// A conversation with one person.
    Direct,
    /// A session that its caller named.
    Explicit,
    /// The one session that all senders share.
    Global,
    /// A group of a chat.
    Group,
    /// A session that a harness plugin owns.
    Harness,
    /// The isolated session of a heartbeat.
    Heartbeat,
    /// A session that an HTTP hook opened.
    Hook,
    /// A session that is never written to disk and that only admins see.
    Incognito,
    /// The hidden container of runs whose effects are not shown.
    InternalEffects,
    /// The agent's main session.
    Main,
    /// Any other name.
    Other,
    /// A session in the namespace of a plugin.
    Plugin,
    /// A session of a sub-agent.
    Subagent,
    /// A thread below another conversation.
    Thread,
    /// The session of those whose sender could not be told.
    Unknown,
}

/// With how many a conversation is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ChatType {
    /// A channel or room.
    Channel,
    /// One person.
    Direct,
    /// A group.
    Group,
}

impl ChatType {
    /// Returns the word for it in a key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Direct => "direct",
            Self::Group => "group",
        }
    }

    /// Returns the kind of this word; `dm` is another for `direct`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "channel" => Some(Self::Channel),
            "direct" | "dm" => Some(Self::Direct),
            "group" => Some(Self::Group),
            _ => None,
        }
    }
}

/// The conversation to which a key leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route<'a> {
    /// The account of the gateway on that channel, where the key names it.
    pub account: Option<&'a str>,
    /// The channel, such as `telegram`.
    pub channel: &'a str,
    /// With how many the conversation is.
    pub kind: ChatType,
    /// The person, group or room on the other side.
    pub peer: &'a str,
    /// The thread below the conversation.
    pub thread: Option<&'a str>,
}

/// A canonical key, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParsedKey<'a> {
    agent: AgentId,
    rest: &'a str,
}

impl<'a> ParsedKey<'a> {
    /// Takes a key apart that [`super::resolve_key`] made.
    ///
    /// # Errors
    /// When the key names no agent, or no session.
    pub fn of(key: &'a SessionKey) -> Result<Self, KeyError> {
        let text = key.as_str();
        let scoped =
            strip_head(text).ok_or_else(|| KeyError::AgentRequired { key: shortened(text) })?;
        let (agent, rest) = split_agent(text, scoped)?;
        Ok(Self { agent, rest })
    }

    /// Returns the agent that owns the session.
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// Returns what stands after the agent.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// Decides what kind of session this is.
    pub fn class(&self) -> KeyClass {
        let (base, thread) = self.split_thread();
        match self.rest.split(':').next().unwrap_or(self.rest) {
            _ if self.is_incognito() => KeyClass::Incognito,
            _ if self.heartbeat_base().is_some() => KeyClass::Heartbeat,
            "acp" if self.is_acp() => KeyClass::Acp,
            "cron" if self.is_cron_run() => KeyClass::CronRun,
            "cron" if self.is_cron() => KeyClass::Cron,
            "dashboard" if self.has_head("dashboard:") => KeyClass::Dashboard,
            "explicit" if self.has_head("explicit:") => KeyClass::Explicit,
            "harness" if self.has_head("harness:") => KeyClass::Harness,
            "hook" if self.has_head("hook:") => KeyClass::Hook,
            INTERNAL if self.has_head("internal-session-effects:") => KeyClass::InternalEffects,
            "plugin" if self.has_head("plugin:") => KeyClass::Plugin,
            "subagent" if self.is_subagent() => KeyClass::Subagent,
            _ if thread.is_some() => KeyClass::Thread,
            _ if base == "global" => KeyClass::Global,
            _ if base == "main" => KeyClass::Main,
            _ if base == "unknown" => KeyClass::Unknown,
            _ => match self.chat_type() {
                Some(ChatType::Channel) => KeyClass::Channel,
                Some(ChatType::Direct) => KeyClass::Direct,
                Some(ChatType::Group) => KeyClass::Group,
                None => KeyClass::Other,
            },
        }
    }

    /// Whether this is the agent's main session.
    pub fn is_main(&self) -> bool {
        self.rest == "main"
    }

    /// Whether this is a session of an external agent harness.
    pub fn is_acp(&self) -> bool {
        self.has_head("acp:")
    }

    /// Whether the session belongs to a scheduled job, or to one run of it.
    pub fn is_cron(&self) -> bool {
        self.has_head("cron:")
    }

    /// Whether the session belongs to one run of a scheduled job.
    pub fn is_cron_run(&self) -> bool {
        let mut segments = self.rest.split(':');
        segments.next() == Some("cron")
            && segments.next().is_some_and(|job| !job.is_empty())
            && segments.next() == Some("run")
            && segments.next().is_some_and(|run| !run.is_empty())
    }

    /// Whether the session is never written to disk, and seen by admins only.
    pub fn is_incognito(&self) -> bool {
        ["dashboard:", "subagent:", "internal-session-effects:"]
            .iter()
            .filter_map(|head| self.rest.strip_prefix(head))
            .any(|name| name.starts_with("incognito-"))
    }

    /// Whether this is a session of a sub-agent.
    pub fn is_subagent(&self) -> bool {
        self.has_head("subagent:")
    }

    /// Returns how deep a legacy key nests sub-agents; new keys are flat, and have one at most.
    pub fn subagent_depth(&self) -> usize {
        self.rest.split(':').filter(|segment| *segment == "subagent").count()
    }

    /// Returns what the key is without the suffix of a heartbeat session, if it has it.
    pub fn heartbeat_base(&self) -> Option<&'a str> {
        heartbeat_base(self.rest)
    }

    /// Splits off the id of a thread: what stands after the last `:thread:`.
    pub fn split_thread(&self) -> (&'a str, Option<&'a str>) {
        let rest = self.heartbeat_base().unwrap_or(self.rest);
        match rest.rsplit_once(THREAD) {
            Some((base, id)) if !ends_open(base) && !id.is_empty() => (base, Some(id)),
            _ => (rest, None),
        }
    }

    /// Returns with how many the conversation is, if the key says so.
    pub fn chat_type(&self) -> Option<ChatType> {
        let (base, _) = self.split_thread();
        match base.split_once(':') {
            Some(("direct" | "dm", peer)) if !peer.is_empty() => Some(ChatType::Direct),
            _ => self.route().map(|route| route.kind),
        }
    }

    /// Returns the conversation to which the key leads, if it names a channel.
    pub fn route(&self) -> Option<Route<'a>> {
        let (base, thread) = self.split_thread();
        let mut segments = base.splitn(3, ':');
        let (channel, second, third) = (segments.next()?, segments.next()?, segments.next()?);
        if channel.is_empty() || wants_id(channel) {
            return None;
        }
        if let Some(kind) = peer_kind(second) {
            let route = Route { account: None, channel, kind, peer: third, thread };
            return (!third.is_empty()).then_some(route);
        }
        let (word, peer) = third.split_once(':')?;
        // Only a direct conversation names the account: a group is the same one for all of them.
        let kind = peer_kind(word).filter(|kind| *kind == ChatType::Direct)?;
        let route = Route { account: Some(second), channel, kind, peer, thread };
        (!second.is_empty() && !peer.is_empty()).then_some(route)
    }

    fn has_head(&self, head: &str) -> bool {
        self.rest.strip_prefix(head).is_some_and(|name| !name.is_empty())
    }
}

/// Returns the agent that owns a session.
///
/// # Errors
/// When the key is not one that [`super::resolve_key`] makes; no agent is assumed for it.
pub fn agent_of(key: &SessionKey) -> Result<AgentId, KeyError> {
    ParsedKey::of(key).map(|parsed| parsed.agent)
}

/// Decides what kind of session a key names; [`KeyClass::Other`] where it is not canonical.
pub fn classify(key: &SessionKey) -> KeyClass {
    ParsedKey::of(key).map_or(KeyClass::Other, |parsed| parsed.class())
}

/// Whether a key names a session that was made for one piece of work, and that nobody keeps: of a
/// sub-agent, a job, a hook or a plugin.
pub fn is_passing(key: &SessionKey) -> bool {
    ParsedKey::of(key).is_ok_and(|parsed| match parsed.class() {
        KeyClass::Cron
        | KeyClass::CronRun
        | KeyClass::Hook
        | KeyClass::InternalEffects
        | KeyClass::Plugin
        | KeyClass::Subagent => true,
        KeyClass::Acp
        | KeyClass::Channel
        | KeyClass::Dashboard
        | KeyClass::Direct
        | KeyClass::Explicit
        | KeyClass::Global
        | KeyClass::Group
        | KeyClass::Harness
        | KeyClass::Heartbeat
        | KeyClass::Incognito
        | KeyClass::Main
        | KeyClass::Other
        | KeyClass::Thread
        | KeyClass::Unknown => false,
    })
}

/// Whether a key names the main session of an agent.
pub fn is_main(key: &SessionKey) -> bool {
    ParsedKey::of(key).is_ok_and(|parsed| parsed.is_main())
}

const INTERNAL: &str = "internal-session-effects";

/// Whether what follows `base` is an id, and not a suffix: an id may look like any suffix.
pub(super) fn ends_open(base: &str) -> bool {
    base.is_empty() || base.rsplit(':').next().is_some_and(wants_id)
}

/// Whether an id stands after this word.
fn wants_id(word: &str) -> bool {
    peer_kind(word).is_some()
        || matches!(
            word,
            "acp"
                | "cron"
                | "dashboard"
                | "explicit"
                | "harness"
                | "hook"
                | INTERNAL
                | "plugin"
                | "run"
                | "subagent"
                | "thread"
                | "topic"
        )
}

fn peer_kind(word: &str) -> Option<ChatType> {
    match word {
        "channel" | "room" => Some(ChatType::Channel),
        "direct" | "dm" => Some(ChatType::Direct),
        "group" => Some(ChatType::Group),
        _ => None,
    }
}
