//! Where a message came from, and where its answer goes.

use std::fmt;

use crate::ChatType;

use super::RouteError;

/// The channel on which ids hold colons, and on which the grammar of keys has room for them.
const COLONS: &str = "matrix";

/// What separates a group from its topic in the id of the topic.
const TOPIC: &str = ":topic:";

/// The other side of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer<'a> {
    /// The id that the channel gives it; empty when the channel could not tell.
    pub id: &'a str,
    /// With how many the conversation is.
    pub kind: ChatType,
}

/// Where a message came from, as the channel says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Origin<'a> {
    /// The account of the gateway on that channel; absent, the default one.
    pub account: Option<&'a str>,
    /// The channel, such as `telegram`.
    pub channel: &'a str,
    /// The guild, where the channel has them.
    pub guild: Option<&'a str>,
    /// The conversation above the peer, when the peer is a thread with an id of its own.
    pub parent: Option<Peer<'a>>,
    /// The person, group or room; absent when the channel could not tell who sent the message.
    pub peer: Option<Peer<'a>>,
    /// The roles of the sender in the guild.
    pub roles: &'a [&'a str],
    /// The team, where the channel has them.
    pub team: Option<&'a str>,
    /// The thread below the peer.
    pub thread: Option<&'a str>,
}

impl Origin<'_> {
    /// Returns the origin with each part fit for a key; what is empty is absent.
    pub(super) fn checked(&self) -> Result<Self, RouteError> {
        let said = |text: &&str| !text.is_empty();
        let (account, thread) = (self.account.filter(said), self.thread.filter(said));
        let has_colons = self.channel.eq_ignore_ascii_case(COLONS);
        let is_id = |text: &str| is_segment(text) || has_colons && is_text(text);
        let check =
            |part, text, is_fit| if is_fit { Ok(()) } else { Err(RouteError::part(part, text)) };
        check(OriginPart::Channel, self.channel, is_segment(self.channel))?;
        if let Some(account) = account {
            check(OriginPart::Account, account, is_segment(account))?;
        }
        if let Some(thread) = thread {
            check(OriginPart::Thread, thread, is_id(thread))?;
        }
        match self.peer {
            Some(Peer { id, kind: ChatType::Direct }) => {
                check(OriginPart::Peer, id, id.is_empty() || is_id(id))?;
            }
            Some(Peer { id, kind: ChatType::Channel | ChatType::Group }) => {
                let (group, topic) = id.split_once(TOPIC).unwrap_or((id, id));
                check(OriginPart::Peer, id, is_id(group) && is_id(topic))?;
            }
            None => {}
        }
        Ok(Self { account, thread, ..*self })
    }

    /// Returns where an answer goes: to where the message came from, whatever its session holds.
    pub(super) fn reply_target(&self) -> Option<ReplyTarget> {
        let peer = self.peer.filter(|peer| !peer.id.is_empty())?;
        Some(ReplyTarget {
            account: self.account.map(str::to_owned),
            channel: self.channel.to_owned(),
            kind: peer.kind,
            peer: peer.id.to_owned(),
            thread: self.thread.map(str::to_owned),
        })
    }
}

/// Where an answer goes: made of one message, as the channel wrote it, and never changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplyTarget {
    /// The account of the gateway on that channel; absent, the default one.
    pub account: Option<String>,
    /// The channel.
    pub channel: String,
    /// With how many the conversation is.
    pub kind: ChatType,
    /// The person, group or room.
    pub peer: String,
    /// The thread below the peer.
    pub thread: Option<String>,
}

/// What of an event becomes part of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OriginPart {
    /// The account of the gateway.
    Account,
    /// The channel.
    Channel,
    /// The name of a sub-agent's session.
    Child,
    /// The person, group or room.
    Peer,
    /// The thread below the peer.
    Thread,
}

impl fmt::Display for OriginPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Channel => "channel",
            Self::Child => "sub-agent",
            Self::Peer => "peer",
            Self::Thread => "thread",
        })
    }
}

/// Whether a text is one segment of a key.
pub(super) fn is_segment(text: &str) -> bool {
    is_text(text) && !text.contains(':')
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}
