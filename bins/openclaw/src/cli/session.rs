//! Arguments of verbs about one conversation.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use openclaw_scopes::AgentId;

/// Whether what a conversation says leaves.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SendPolicyName {
    /// It leaves.
    Allow,
    /// It stays there.
    Deny,
    /// What the configuration says.
    Inherit,
}

impl SendPolicyName {
    /// Returns how the wire writes it.
    pub(crate) const fn wire(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Inherit => "",
        }
    }
}

/// Which conversation is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct SessionArg {
    /// Its full or short key.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: String,
    /// The agent that a short key belongs to.
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
}
