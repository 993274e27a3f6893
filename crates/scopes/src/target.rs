//! What methods act on, as far as the rules look at it.

use std::fmt;

use crate::{AgentId, Capability, GrantHolder, RunId, SessionKey, ToolName};

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

/// A configured agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgentTarget(pub AgentId);

impl fmt::Display for AgentTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {}", self.0)
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

/// One call of a tool in a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolTarget {
    /// What the tool needs the run to be capable of.
    pub capability: Capability,
    /// The tool.
    pub tool: ToolName,
}

impl fmt::Display for ToolTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tool {}", self.tool)
    }
}
