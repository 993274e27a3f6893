//! Which session is told of what has ended: the one that somebody reads.

use openclaw_scopes::SessionKey;

use crate::ChatType;
use crate::key::{KeyClass, ParsedKey, fold, resolve_key};

use super::binding::is_same;
use super::{Binding, DmScope, Peer, PeerPattern, RouteError, Routes};

/// Whom a channel lets in to direct messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owners<'a> {
    /// Several people, or everybody.
    Many,
    /// Nobody, or it is not known who.
    None,
    /// The one person of this id.
    One(&'a str),
}

/// A conversation with one person, as its key says.
#[derive(Clone, Copy, Debug)]
struct Direct<'a> {
    account: Option<&'a str>,
    channel: Option<&'a str>,
    peer: &'a str,
}

/// Returns the session that is told of what was begun in `session`.
///
/// It is the same one, with two exceptions. Nobody writes to one run of a job again: its agent's
/// main session is told. And where direct messages are the main session, but work was begun under
/// the key of a direct conversation with the only owner, that key is one that nobody reads.
pub(super) fn read_in(
    session: &SessionKey,
    owners: Owners<'_>,
    routes: &Routes,
) -> Result<SessionKey, RouteError> {
    let session = resolve_key(session.as_str(), None)?;
    let key = ParsedKey::of(&session)?;
    let is_left = Direct::of(&key).is_some_and(|direct| {
        routes.dm_scope == DmScope::Main
            && direct.is_with(owners)
            && !routes.bindings.iter().any(|binding| direct.is_kept_by(&key, binding))
    });
    if is_left || key.class() == KeyClass::CronRun {
        return Ok(resolve_key("main", Some(key.agent()))?);
    }
    Ok(session)
}

impl<'a> Direct<'a> {
    /// Reads the conversation from a key, and from that of a thread below it.
    fn of(key: &ParsedKey<'a>) -> Option<Self> {
        if key.heartbeat_base().is_some() || key.chat_type() != Some(ChatType::Direct) {
            return None;
        }
        match key.route() {
            Some(route) => Some(Self {
                account: route.account,
                channel: Some(route.channel),
                peer: route.peer,
            }),
            None => {
                let (_, peer) = key.split_thread().0.split_once(':')?;
                Some(Self { account: None, channel: None, peer })
            }
        }
    }

    fn is_with(&self, owners: Owners<'_>) -> bool {
        match owners {
            Owners::Many | Owners::None => false,
            Owners::One(owner) => fold(owner) == self.peer,
        }
    }

    /// Whether a binding sends messages of this conversation to this very key.
    fn is_kept_by(&self, key: &ParsedKey<'_>, binding: &Binding) -> bool {
        let scope = match (self.channel, self.account) {
            (None, _) => DmScope::PerPeer,
            (Some(_), None) => DmScope::PerChannelPeer,
            (Some(_), Some(_)) => DmScope::PerAccountChannelPeer,
        };
        let matches = &binding.matches;
        let peer = Peer { id: self.peer, kind: ChatType::Direct };
        binding.agent == *key.agent()
            && binding.dm_scope == Some(scope)
            && self.channel.is_none_or(|channel| matches.is_of_channel(channel))
            && (self.account.is_none() || matches.account.admits(self.account))
            && match &matches.peer {
                Some((kind, PeerPattern::Any)) => *kind == ChatType::Direct,
                Some((kind, PeerPattern::Exact(id))) => is_same("", (*kind, id), peer),
                None => true,
            }
    }
}
