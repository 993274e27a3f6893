//! How conversations are kept apart, and which agents answer them.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_scopes::AgentId;

/// How conversations are kept apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SessionSettings {
    /// How direct messages are kept apart.
    pub dm_scope: DmScope,
    /// How groups and channels are kept apart.
    pub group_scope: GroupScope,
    /// Who is one person: a name in lower case, and the `channel:peer` or `peer` it stands for.
    pub identity_links: BTreeMap<String, Vec<String>>,
    /// What goes by itself.
    pub maintenance: Maintenance,
    /// When conversations begin anew by themselves.
    pub reset: ResetPolicy,
    /// What leaves of what is said in conversations.
    pub send_policy: SendSettings,
}

/// What leaves of what is said in conversations that have no policy of their own. Without any, all does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SendSettings {
    /// What holds where no rule matches.
    pub default: SendAction,
    /// The rules. One that denies goes before all that allow.
    pub rules: Vec<SendRule>,
}

/// What becomes of something that would leave.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SendAction {
    /// It leaves.
    #[default]
    Allow,
    /// It stays in its conversation.
    Deny,
}

impl SendAction {
    pub(crate) const ALL: [Self; 2] = [Self::Allow, Self::Deny];

    /// Returns the value of `session.sendPolicy.default`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What is decided about what has all of what a rule says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SendRule {
    /// What is decided.
    pub action: SendAction,
    /// The channel.
    pub channel: Option<String>,
    /// With how many the conversation there is.
    pub chat_type: Option<PeerKind>,
    /// How the conversation's key begins, with or without its agent.
    pub key_prefix: Option<String>,
    /// How its whole key begins.
    pub raw_key_prefix: Option<String>,
}

/// When conversations of people begin anew by themselves: with the next message, never before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ResetPolicy {
    /// At this hour of each day, in the gateway's time zone; absent, at none.
    pub at_hour: Option<i8>,
    /// After nobody has asked anything for so long; absent, never.
    pub idle: Option<Duration>,
}

/// What goes by itself. Conversations of people never do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Maintenance {
    /// After how long without use conversations of jobs, hooks and plugins are removed; absent, never.
    pub prune_after: Option<Duration>,
    /// What the database and the files of deleted conversations may take; absent, without limit. When it is
    /// more, files go, the oldest first.
    pub max_disk_bytes: Option<u64>,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            prune_after: Some(Duration::from_secs(30 * 86_400)),
            max_disk_bytes: Some(10 * (1 << 30)),
        }
    }
}

/// How direct messages are kept apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DmScope {
    /// Not at all: they are the agent's main session.
    #[default]
    Main,
    /// By person, whatever the channel.
    PerPeer,
    /// By channel and person.
    PerChannelPeer,
    /// By account, channel and person.
    PerAccountChannelPeer,
}

impl DmScope {
    pub(crate) const ALL: [Self; 4] =
        [Self::Main, Self::PerPeer, Self::PerChannelPeer, Self::PerAccountChannelPeer];

    /// Returns the value of `session.dmScope`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::PerPeer => "per-peer",
            Self::PerChannelPeer => "per-channel-peer",
            Self::PerAccountChannelPeer => "per-account-channel-peer",
        }
    }
}

/// How groups and channels are kept apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum GroupScope {
    /// Not at all: they are the agent's main session.
    Main,
    /// By channel and group.
    #[default]
    PerGroup,
}

impl GroupScope {
    pub(crate) const ALL: [Self; 2] = [Self::PerGroup, Self::Main];

    /// Returns the value of `session.groupScope`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::PerGroup => "per-group",
        }
    }
}

/// An agent, and the messages that it answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The agent, which is configured.
    pub agent: AgentId,
    /// How its direct messages are kept apart; absent, as [`SessionSettings`] says.
    pub dm_scope: Option<DmScope>,
    /// How its groups are kept apart; absent, as [`SessionSettings`] says.
    pub group_scope: Option<GroupScope>,
    /// The messages.
    pub matches: BindingMatch,
}

/// Which messages a binding is for: those that have all of what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BindingMatch {
    /// The account of the gateway on the channel: `default` if it has no name, `*` for each.
    pub account: String,
    /// The channel.
    pub channel: String,
    /// The guild.
    pub guild: Option<String>,
    /// The conversation.
    pub peer: Option<BoundPeer>,
    /// The roles of which the sender has at least one; empty, any sender. Only with a guild.
    pub roles: Vec<String>,
    /// The team.
    pub team: Option<String>,
}

/// The conversation that a binding is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BoundPeer {
    /// Its id on the channel; `*` for each of the kind.
    pub id: String,
    /// With how many it is.
    pub kind: PeerKind,
}

/// With how many a conversation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerKind {
    /// A channel or room.
    Channel,
    /// One person.
    Direct,
    /// A group.
    Group,
}

impl PeerKind {
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Group, Self::Channel];

    /// Returns the value of `bindings[].match.peer.kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Direct => "direct",
            Self::Group => "group",
        }
    }
}
