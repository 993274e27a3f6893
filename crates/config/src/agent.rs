//! An agent as its entry and the defaults make it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use openclaw_scopes::AgentId;

use crate::{Budget, Heartbeat, ModelRoute, ToolPolicy};

/// The id of the agent that exists without being configured.
pub(crate) const MAIN: &str = "main";

/// One agent: the settings of its entry, and the defaults where it has none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Where its files are; absent, `agents/<id>/workspace` in the state directory.
    pub workspace: Option<PathBuf>,
    /// Which models it uses.
    pub model: ModelRoute,
    /// Who it says it is.
    pub identity: Identity,
    /// Which tools it may use.
    pub tools: ToolPolicy,
    /// How long one of its runs may take; absent, without limit.
    pub timeout: Option<Duration>,
    /// The tokens of its model's context window.
    pub context_tokens: u64,
    /// How much its work may cost.
    pub budget: Budget,
    /// Which other agents it may delegate to: their ids, or `*` for every one.
    pub allow_agents: Vec<String>,
    /// How it looks around by itself; absent, not at all.
    pub heartbeat: Option<Heartbeat>,
}

impl Agent {
    /// Whether its conversations may delegate to an agent. To itself it always may.
    pub fn may_delegate_to(&self, other: &AgentId) -> bool {
        let is_meant = |name: &String| name == "*" || name == other.as_str();
        self.id == *other || self.allow_agents.iter().any(is_meant)
    }
}

/// Who an agent says it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// Its name; absent, it has none.
    pub name: Option<String>,
}

/// What agents have when their entries say nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgentDefaults {
    /// Which models they use.
    pub model: ModelRoute,
    /// Who they say they are.
    pub identity: Identity,
    /// Which tools they may use; what is denied here is denied to each of them.
    pub tools: ToolPolicy,
    /// How long one of their runs may take; absent, without limit.
    pub timeout: Option<Duration>,
    /// The tokens of their models' context windows.
    pub context_tokens: u64,
    /// How much their work may cost.
    pub budget: Budget,
    /// Which other agents they may delegate to: their ids, or `*` for every one.
    pub allow_agents: Vec<String>,
    /// How they look around by themselves, unless one of them has its own words for it; absent, not at all.
    pub heartbeat: Option<Heartbeat>,
    /// Whether conversations are compacted before they fill the window.
    pub compaction: bool,
    /// How many runs may go on at once; absent, as many as the machine's processors suggest.
    pub max_concurrent: Option<NonZeroUsize>,
    /// How far they delegate.
    pub subagents: SubagentLimits,
}

/// How far delegation may go. The numbers are the reference's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubagentLimits {
    /// Delegations above a sub-agent at most; 0, nothing is delegated.
    pub max_spawn_depth: u32,
    /// Sub-agents of one conversation that may be at work or wait at once.
    pub max_children_per_agent: u32,
    /// Runs of sub-agents that may go on at once, over all agents.
    pub max_concurrent: NonZeroUsize,
}

impl Default for SubagentLimits {
    fn default() -> Self {
        Self {
            max_spawn_depth: 5,
            max_children_per_agent: 5,
            max_concurrent: NonZeroUsize::MIN.saturating_add(7),
        }
    }
}
