//! Which binding a message matches best.

use openclaw_scopes::AgentId;

use crate::ChatType;
use crate::key::fold;

use super::{DmScope, GroupScope, Origin, Peer};

/// The account of a channel that has only one.
pub const DEFAULT_ACCOUNT: &str = "default";

/// An agent, and the messages that it answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The agent.
    pub agent: AgentId,
    /// How its direct messages are kept apart; absent, as everywhere.
    pub dm_scope: Option<DmScope>,
    /// How its groups are kept apart; absent, as everywhere.
    pub group_scope: Option<GroupScope>,
    /// The messages.
    pub matches: Match,
}

/// Which messages a binding is for: those that have all of what it says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Match {
    /// The account of the gateway.
    pub account: AccountPattern,
    /// The channel.
    pub channel: String,
    /// The guild.
    pub guild: Option<String>,
    /// The conversation, or each of one kind. Groups and channels are one kind here.
    pub peer: Option<(ChatType, PeerPattern)>,
    /// The roles of which the sender has at least one; empty, any sender.
    pub roles: Vec<String>,
    /// The team.
    pub team: Option<String>,
}

/// Which accounts of a channel a binding is for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum AccountPattern {
    /// Each of them: `*`.
    Any,
    /// The one that has no name, or is called [`DEFAULT_ACCOUNT`].
    #[default]
    Default,
    /// This one.
    Exact(String),
}

/// Which conversations of a kind a binding is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PeerPattern {
    /// Each of them: `*`.
    Any,
    /// This one.
    Exact(String),
}

/// Why it is this agent that answers: the ways to match, the most telling first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum MatchedBy {
    /// A binding names the conversation.
    BindingPeer,
    /// A binding names the conversation above it.
    BindingPeerParent,
    /// A binding is for all conversations of the kind.
    BindingPeerWildcard,
    /// A binding names the guild and a role of the sender.
    BindingGuildRoles,
    /// A binding names the guild.
    BindingGuild,
    /// A binding names the team.
    BindingTeam,
    /// A binding names the account.
    BindingAccount,
    /// A binding is for all accounts of the channel.
    BindingChannel,
    /// Nobody else answers.
    Default,
    /// The caller named the agent, or a key of it.
    Caller,
    /// It is the agent of the session in which the cause was begun.
    Session,
}

impl MatchedBy {
    /// Returns the name that logs and answers have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BindingPeer => "binding.peer",
            Self::BindingPeerParent => "binding.peer.parent",
            Self::BindingPeerWildcard => "binding.peer.wildcard",
            Self::BindingGuildRoles => "binding.guild+roles",
            Self::BindingGuild => "binding.guild",
            Self::BindingTeam => "binding.team",
            Self::BindingAccount => "binding.account",
            Self::BindingChannel => "binding.channel",
            Self::Default => "default",
            Self::Caller => "caller",
            Self::Session => "session",
        }
    }
}

/// Returns the binding that matches best: of several that match as well, the first.
pub(super) fn choose<'r>(
    origin: &Origin<'_>,
    bindings: &'r [Binding],
) -> Option<(&'r Binding, MatchedBy)> {
    bindings
        .iter()
        .filter_map(|binding| Some((binding, binding.matches.of(origin)?)))
        .min_by_key(|(_, matched_by)| *matched_by)
}

impl Match {
    /// Decides whether, and by what, a message matches.
    fn of(&self, origin: &Origin<'_>) -> Option<MatchedBy> {
        let names = |wanted: &Option<String>, has: Option<&str>| match wanted {
            Some(wanted) => has == Some(wanted.as_str()),
            None => true,
        };
        let is_match = self.is_of_channel(origin.channel)
            && self.account.admits(origin.account)
            && names(&self.guild, origin.guild)
            && names(&self.team, origin.team)
            && (self.roles.is_empty() || self.has_role(origin.roles));
        if !is_match {
            return None;
        }
        match &self.peer {
            Some((kind, PeerPattern::Exact(id))) => {
                let is_it = |peer: Option<Peer<'_>>| {
                    peer.is_some_and(|peer| is_same(origin.channel, (*kind, id), peer))
                };
                let above = || is_it(origin.parent).then_some(MatchedBy::BindingPeerParent);
                is_it(origin.peer).then_some(MatchedBy::BindingPeer).or_else(above)
            }
            Some((kind, PeerPattern::Any)) => origin
                .peer
                .filter(|peer| is_same_kind(*kind, peer.kind))
                .map(|_| MatchedBy::BindingPeerWildcard),
            None => Some(match (&self.guild, &self.team, &self.account) {
                (Some(_), _, _) if !self.roles.is_empty() => MatchedBy::BindingGuildRoles,
                (Some(_), _, _) => MatchedBy::BindingGuild,
                (None, Some(_), _) => MatchedBy::BindingTeam,
                (None, None, AccountPattern::Any) => MatchedBy::BindingChannel,
                (None, None, AccountPattern::Default | AccountPattern::Exact(_)) => {
                    MatchedBy::BindingAccount
                }
            }),
        }
    }

    pub(super) fn is_of_channel(&self, channel: &str) -> bool {
        fold(&self.channel) == fold(channel)
    }

    fn has_role(&self, roles: &[&str]) -> bool {
        self.roles.iter().any(|role| roles.contains(&role.as_str()))
    }
}

impl AccountPattern {
    pub(super) fn admits(&self, account: Option<&str>) -> bool {
        let account = fold(account.unwrap_or(DEFAULT_ACCOUNT));
        match self {
            Self::Any => true,
            Self::Default => account == DEFAULT_ACCOUNT,
            Self::Exact(wanted) => account == fold(wanted),
        }
    }
}

/// Whether an id and a peer are one conversation, by the rule that keys have for upper case.
pub(super) fn is_same(channel: &str, (kind, id): (ChatType, &str), peer: Peer<'_>) -> bool {
    let key = |id: &str| fold(&format!("{channel}:{}:{id}", peer.kind.name()));
    is_same_kind(kind, peer.kind) && !id.is_empty() && key(id) == key(peer.id)
}

/// What one channel calls a group, another calls a channel.
fn is_same_kind(one: ChatType, other: ChatType) -> bool {
    (one == ChatType::Direct) == (other == ChatType::Direct)
}
