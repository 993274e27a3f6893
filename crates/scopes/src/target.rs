//! What methods act on, as far as the rules look at it.

use std::fmt;

use crate::{
    AgentId, Capability, DeviceRole, GrantHolder, RunId, ScopeSet, SessionKey, Standing, ToolName,
};

/// The gateway as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Whole;

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gateway")
    }
}

/// A conversation, and who owns it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionTarget {
    /// Its canonical key.
    pub key: SessionKey,
    /// Who created it; absent when it does not exist yet, or not any more.
    pub owner: Option<GrantHolder>,
    /// Whether anybody keeps it.
    pub keeping: Keeping,
    /// Of a sub-agent's: who created the conversations that it comes from. Only deletion looks at it.
    pub above: Vec<GrantHolder>,
}

impl SessionTarget {
    /// A conversation that does not exist, or of which the owner does not matter.
    pub const fn unowned(key: SessionKey) -> Self {
        Self { key, owner: None, keeping: Keeping::Kept, above: Vec::new() }
    }
}

/// A change of a conversation, and which part of it changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PatchTarget {
    /// The canonical key of the conversation.
    pub key: SessionKey,
    /// What of it changes; of several, what needs the most.
    pub part: SessionPart,
}

/// What can be changed of a conversation. Who owns it and what it came from cannot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionPart {
    /// What it is called, where it is kept, and which model answers in it.
    Organization,
    /// What the gateway lets its runs do.
    RuntimePolicy,
}

impl fmt::Display for PatchTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            SessionPart::Organization => write!(f, "session {}", self.key),
            SessionPart::RuntimePolicy => write!(f, "runtime policy of session {}", self.key),
        }
    }
}

/// Whether a conversation is somebody's to keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keeping {
    /// People talk in it.
    Kept,
    /// It was made for one piece of work: of a sub-agent, a job, a hook or a plugin.
    Passing,
}

/// A delegation: who delegates, in which conversation, and to which agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpawnTarget {
    /// The conversation that is told what came of it.
    pub parent: SessionKey,
    /// Who created that; absent when it does not exist.
    pub owner: Option<GrantHolder>,
    /// The agent that does the work.
    pub agent: AgentId,
}

impl fmt::Display for SpawnTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sub-agent {} of session {}", self.agent, self.parent)
    }
}

impl fmt::Display for SessionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.key)
    }
}

/// A run, and on whose behalf it runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunTarget {
    /// Its id.
    pub run: RunId,
    /// The holder of the grant it rests on; absent when there is no such run.
    pub owner: Option<GrantHolder>,
}

impl fmt::Display for RunTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.run)
    }
}

/// Where something is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DestinationTarget {
    /// The channel.
    pub channel: Box<str>,
    /// Who or what it is sent to there.
    pub peer: Box<str>,
    /// How far that reaches.
    pub reach: Reach,
}

impl fmt::Display for DestinationTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.channel, self.peer)
    }
}

/// Something that was to leave the gateway, and on whose behalf.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryTarget {
    /// Its id, as the caller gave it.
    pub id: Box<str>,
    /// The holder of the grant that it rests on; absent when there is no such delivery.
    pub owner: Option<GrantHolder>,
}

impl fmt::Display for DeliveryTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delivery {}", self.id)
    }
}

/// A job, and on whose behalf it works.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobTarget {
    /// Its id, or what the caller called it.
    pub id: Box<str>,
    /// The holder of the grant that it rests on; absent when there is no such job.
    pub owner: Option<GrantHolder>,
    /// How far it reaches.
    pub reach: Reach,
}

impl JobTarget {
    /// The same with what it is to reach beside what it reaches.
    #[must_use]
    pub fn reaching(self, reach: Reach) -> Self {
        Self { reach: self.reach.max(reach), ..self }
    }
}

/// How far something reaches that is done for somebody.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reach {
    /// What an agent does, and what it says to people.
    #[default]
    Agents,
    /// Programs: webhooks anywhere, and commands on the gateway's machine.
    Programs,
}

impl fmt::Display for JobTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.id)
    }
}

/// A configured agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgentTarget(pub AgentId);

impl fmt::Display for AgentTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {}", self.0)
    }
}

/// A channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelTarget(pub Box<str>);

impl fmt::Display for ChannelTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}", self.0)
    }
}

/// Which part of the audit log is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuditRange {
    /// Everybody's rows.
    All,
    /// The rows that were written on behalf of the caller's own grant.
    Own,
}

impl fmt::Display for AuditRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "audit log",
            Self::Own => "own audit rows",
        })
    }
}

/// About whose authority somebody asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The caller's own.
    Itself,
    /// That of somebody else.
    Other(Box<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself => f.write_str("own access"),
            Self::Other(whose) => write!(f, "access of {whose}"),
        }
    }
}

/// Something that has happened, of which somebody may be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventTarget {
    /// The holder of the grant that it rests on; absent when there is none.
    pub owner: Option<GrantHolder>,
    /// As what whoever watches is connected: everybody but a node as an operator.
    pub role: DeviceRole,
}

impl fmt::Display for EventTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => write!(f, "event of {owner}"),
            None => f.write_str("event"),
        }
    }
}

/// Somebody's authority that is handed out, changed or withdrawn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authority {
    /// Whose it is; absent when it is nobody's yet.
    pub holder: Option<GrantHolder>,
    /// What it is called in the log.
    pub name: Box<str>,
    /// What was approved before and may be taken away.
    pub held: ScopeSet,
    /// What is to be handed out.
    pub granted: ScopeSet,
}

impl Authority {
    /// The authority of `holder`, of which nothing changes.
    pub fn of(holder: GrantHolder) -> Self {
        let name = holder.to_string().into();
        Self { holder: Some(holder), name, held: ScopeSet::EMPTY, granted: ScopeSet::EMPTY }
    }

    /// Something that is called so and is nobody's yet.
    pub fn named(name: impl Into<Box<str>>) -> Self {
        let (held, granted) = (ScopeSet::EMPTY, ScopeSet::EMPTY);
        Self { holder: None, name: name.into(), held, granted }
    }

    /// The same with scopes that are held already.
    #[must_use]
    pub fn holding(self, held: ScopeSet) -> Self {
        Self { held, ..self }
    }

    /// The same with scopes that are to be handed out.
    #[must_use]
    pub fn granting(self, granted: ScopeSet) -> Self {
        Self { granted, ..self }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.granted.is_empty() { Ok(()) } else { write!(f, ": {}", self.granted.reduced()) }
    }
}

/// Somebody in chats who is let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PersonTarget {
    /// What they are given.
    pub authority: Authority,
    /// As what they are let in.
    pub standing: Standing,
}

impl fmt::Display for PersonTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.standing {
            Standing::Guest => self.authority.fmt(f),
            Standing::Owner => write!(f, "{}, as an owner", self.authority),
        }
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listed {
    /// Everybody's.
    All,
    /// The caller's own.
    Own,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Own => "own",
        })
    }
}

/// One call of a tool in a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolTarget {
    /// What the tool needs the run to be capable of.
    pub capability: Capability,
    /// The tool.
    pub tool: ToolName,
}

/// An operation of a tool that somebody has to approve.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperationTarget {
    /// The tool.
    pub tool: ToolTarget,
    /// What it is to do, for the log.
    pub operation: Box<str>,
}

impl fmt::Display for OperationTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tool, self.operation)
    }
}

/// An approval that is answered or withdrawn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApprovalTarget {
    /// Its id, as the caller gave it.
    pub id: Box<str>,
    /// What it is for, for the log; empty when there is no such approval.
    pub operation: Box<str>,
}

impl fmt::Display for ApprovalTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "approval {}: {}", self.id, self.operation)
    }
}

impl fmt::Display for ToolTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tool {}", self.tool)
    }
}
