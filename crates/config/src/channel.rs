//! The chat platforms that the gateway speaks on, who is let in there, and where webhooks may go.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::{BaseUrl, SecretRef, ToolPattern};

/// The settings of all channels.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChannelSettings {
    /// The chat platforms, by the names of their channels.
    pub chats: BTreeMap<String, ChatChannel>,
    /// Outgoing webhooks.
    pub webhook: WebhookSettings,
    /// Who in chats is an owner, as `channel:id`.
    pub owners: Vec<String>,
}

impl ChannelSettings {
    /// Whether somebody on a channel is an owner.
    pub fn is_owner(&self, channel: &str, sender: &str) -> bool {
        self.owners().any(|owner| owner == (channel, sender))
    }

    /// Iterates over the owners: the channel of each, and the id there.
    pub fn owners(&self) -> impl Iterator<Item = (&str, &str)> {
        self.owners.iter().filter_map(|owner| owner.split_once(':'))
    }

    /// Iterates over those who are listed for direct messages: the channel of each, and the id there, or `*`.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.chats.iter().flat_map(|(name, chat)| {
            chat.allow_from.iter().map(move |id| (name.as_str(), id.as_str()))
        })
    }
}

/// One chat platform.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChatChannel {
    /// Which platform.
    pub platform: Platform,
    /// Whether the gateway speaks there.
    pub enabled: bool,
    /// Where the bot's token is found.
    pub token: SecretRef,
    /// Where the platform's API is reached; absent, where it is for everybody.
    pub api_url: Option<BaseUrl>,
    /// Where its gateway is reached (Discord); absent, where the API says.
    pub gateway_url: Option<String>,
    /// Who may write direct messages.
    pub dm_policy: DmPolicy,
    /// The ids of those who may, beside those that were approved; `*` for everybody.
    pub allow_from: Vec<String>,
    /// In which groups and channels the gateway listens.
    pub group_policy: GroupPolicy,
    /// The ids of those who may speak to it there; empty for those of `allow_from`.
    pub group_allow_from: Vec<String>,
    /// The groups and channels, by id or `*`, and whether one has to be mentioned there.
    pub groups: BTreeMap<String, Mention>,
    /// The tools that turns of people have who are no owners.
    pub tools: Vec<ToolPattern>,
}

/// A chat platform.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Platform {
    /// Discord.
    Discord,
    /// Telegram.
    Telegram,
}

impl Platform {
    pub(crate) const ALL: [Self; 2] = [Self::Discord, Self::Telegram];

    /// Returns the name of its channel.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Telegram => "telegram",
        }
    }

    /// Returns the platform whose channel has this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name() == name)
    }
}

/// Who may write direct messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DmPolicy {
    /// Those who are listed or were approved.
    Allowlist,
    /// Nobody.
    Disabled,
    /// Those who are listed; with `*`, everybody.
    Open,
    /// Those who are listed or were approved; others are given a code that somebody can approve.
    #[default]
    Pairing,
}

impl DmPolicy {
    pub(crate) const ALL: [Self; 4] = [Self::Pairing, Self::Allowlist, Self::Open, Self::Disabled];

    /// Returns the value of `dmPolicy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::Disabled => "disabled",
            Self::Open => "open",
            Self::Pairing => "pairing",
        }
    }

    /// Returns what a value of `dmPolicy` means.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// In which groups and channels the gateway listens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum GroupPolicy {
    /// In those of `groups`, and to those who are listed.
    #[default]
    Allowlist,
    /// In none.
    Disabled,
    /// In all of them, and to everybody there.
    Open,
}

impl GroupPolicy {
    pub(crate) const ALL: [Self; 3] = [Self::Allowlist, Self::Open, Self::Disabled];

    /// Returns the value of `groupPolicy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::Disabled => "disabled",
            Self::Open => "open",
        }
    }
}

/// Whether the gateway has to be mentioned in a group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mention {
    /// It answers whatever is said.
    Optional,
    /// It answers who mentions it, or answers it.
    #[default]
    Required,
}

/// Outgoing webhooks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WebhookSettings {
    /// Where the key is found that they are signed with; absent, they are not signed.
    pub secret: Option<SecretRef>,
    /// Addresses that may be reached although they are not public, and without TLS.
    pub allow_addresses: Vec<SocketAddr>,
}
