//! How an agent looks around by itself.

use std::time::Duration;

use openclaw_scheduler::ActiveHours;

use crate::{ModelName, ToolPattern};

/// What a heartbeat asks when nothing else is configured.
pub const HEARTBEAT_PROMPT: &str = "Look around. If there is a HEARTBEAT.md in your workspace, read it and do what it says; \
     do not go on with what earlier conversations were about. If nothing needs attention, answer HEARTBEAT_OK.";

/// The tools of heartbeats when nothing else is configured: those that look and change nothing.
pub const HEARTBEAT_TOOLS: [&str; 5] =
    ["read_file", "list_dir", "session_status", "sessions_list", "sessions_history"];

/// An agent's heartbeat.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// How often.
    pub every: Duration,
    /// What it is asked.
    pub prompt: String,
    /// The model that answers; absent, the agent's. Turns that an event leads to are answered by it, too.
    pub model: Option<ModelName>,
    /// Where what it has to say goes.
    pub target: HeartbeatTarget,
    /// The hours in which it looks; absent, always.
    pub active: Option<ActiveHours>,
    /// Whether it has a conversation of its own, beside the agent's main one.
    pub isolated_session: bool,
    /// Whether it is shown nothing of what was said before.
    pub light_context: bool,
    /// How long it may take; absent, `every` and ten minutes at most.
    pub timeout: Option<Duration>,
    /// How many tokens one may use; absent, as many as its agent's runs.
    pub budget: Option<u64>,
    /// The tools that it may use, of those of its agent.
    pub tools: Vec<ToolPattern>,
}

/// Where what a heartbeat has to say goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum HeartbeatTarget {
    /// To somebody on a channel.
    Chat {
        /// The channel.
        channel: String,
        /// Who, as `openclaw message send --to` takes it.
        to: String,
    },
    /// Nowhere: it stands in the conversation.
    None,
    /// To the first owner that `commands.ownerAllowFrom` names; nowhere when there is none.
    #[default]
    Owner,
}
