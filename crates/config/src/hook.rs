//! What programs elsewhere may post to, and what comes of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use openclaw_scopes::{AgentId, HookName};

use crate::{SecretRef, Template, ToolPattern};

/// The settings of all hooks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HookSettings {
    /// Whether there are any.
    pub enabled: bool,
    /// Where the gateway listens for them.
    pub listen: SocketAddr,
    /// The hooks, by name.
    pub entries: BTreeMap<HookName, Hook>,
}

impl Default for HookSettings {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 18_790));
        Self { enabled: false, listen, entries: BTreeMap::new() }
    }
}

/// One hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hook {
    /// What a post does.
    pub action: HookAction,
    /// How callers show who they are.
    pub proof: HookProof,
    /// The agent that answers.
    pub agent: AgentId,
    /// The conversation, as people write its key; absent for the one of the action.
    pub session: Option<String>,
    /// What the agent is told; absent, what was posted.
    pub template: Option<Template>,
    /// How long its turn may take; absent, as long as the agent's runs.
    pub timeout: Option<Duration>,
    /// Where its answer goes: the channel, and who is told there.
    pub answers: Option<(String, String)>,
    /// The tools that its turns have.
    pub tools: Vec<ToolPattern>,
}

/// What a post to a hook does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HookAction {
    /// An agent's turn.
    #[default]
    Agent,
    /// A conversation is told of it, and woken.
    Wake,
}

impl HookAction {
    pub(crate) const ALL: [Self; 2] = [Self::Agent, Self::Wake];

    /// Returns the value of `action`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Wake => "wake",
        }
    }
}

/// How callers show who they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HookProof {
    /// By signing what they post.
    Signature {
        /// The key.
        secret: SecretRef,
        /// How.
        scheme: SignatureScheme,
    },
    /// By sending a token.
    Token(SecretRef),
}

impl HookProof {
    /// Returns where the secret is found.
    pub const fn secret(&self) -> &SecretRef {
        match self {
            Self::Signature { secret, .. } => secret,
            Self::Token(token) => token,
        }
    }
}

/// How a post is signed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SignatureScheme {
    /// As GitHub does: the body alone, in `x-hub-signature-256`.
    Github,
    /// As the Standard Webhooks specification says: id, time and body, in `webhook-signature`.
    #[default]
    StandardWebhooks,
}

impl SignatureScheme {
    pub(crate) const ALL: [Self; 2] = [Self::StandardWebhooks, Self::Github];

    /// Returns the value of `signature`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::StandardWebhooks => "standard-webhooks",
        }
    }
}
