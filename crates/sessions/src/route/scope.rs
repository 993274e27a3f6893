//! How conversations are kept apart, and the keys that come of it.

use std::collections::BTreeMap;

use openclaw_scopes::{AgentId, SessionKey};

use crate::ChatType;
use crate::key::{HEAD, KeyClass, ParsedKey, THREAD, fold, resolve_key, shortened};

use super::origin::is_segment;
use super::{DEFAULT_ACCOUNT, Origin, OriginPart, Peer, RouteError};

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
    /// Every one of them, the least apart first.
    pub const ALL: [Self; 4] =
        [Self::Main, Self::PerPeer, Self::PerChannelPeer, Self::PerAccountChannelPeer];

    /// Returns the word for it in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::PerPeer => "per-peer",
            Self::PerChannelPeer => "per-channel-peer",
            Self::PerAccountChannelPeer => "per-account-channel-peer",
        }
    }

    /// Returns the scope of this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
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
    /// Every one of them, the least apart first.
    pub const ALL: [Self; 2] = [Self::Main, Self::PerGroup];

    /// Returns the word for it in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::PerGroup => "per-group",
        }
    }

    /// Returns the scope of this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Where below an agent a conversation is kept.
#[derive(Debug)]
pub(super) struct Place<'a> {
    account: Option<&'a str>,
    channel: Option<&'a str>,
    /// Absent in the main session.
    peer: Option<Peer<'a>>,
    thread: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Decides where the conversation of a message is kept.
    pub(super) fn of(
        origin: &Origin<'a>,
        dm_scope: DmScope,
        group_scope: GroupScope,
        links: &'a BTreeMap<String, Vec<String>>,
    ) -> Result<Self, RouteError> {
        let main = Self { account: None, channel: None, peer: None, thread: origin.thread };
        let Some(peer) = origin.peer else { return Ok(main) };
        let (channel, account) = (origin.channel, origin.account.unwrap_or(DEFAULT_ACCOUNT));
        if peer.kind != ChatType::Direct {
            return Ok(match group_scope {
                GroupScope::Main => main,
                GroupScope::PerGroup => Self { channel: Some(channel), peer: Some(peer), ..main },
            });
        }
        if dm_scope == DmScope::Main || peer.id.is_empty() {
            return Ok(main);
        }
        let peer = Some(Peer { id: person(channel, peer.id, links)?, ..peer });
        Ok(match dm_scope {
            DmScope::Main => main,
            DmScope::PerPeer => Self { peer, ..main },
            DmScope::PerChannelPeer => Self { channel: Some(channel), peer, ..main },
            DmScope::PerAccountChannelPeer => {
                Self { account: Some(account), channel: Some(channel), peer, ..main }
            }
        })
    }

    /// Makes the key, if it means this place and nothing else.
    pub(super) fn key(&self, agent: &AgentId) -> Result<SessionKey, RouteError> {
        let base = match self.peer {
            Some(Peer { id, kind }) => {
                let parts = self.channel.into_iter().chain(self.account).chain([kind.name(), id]);
                parts.collect::<Vec<_>>().join(":")
            }
            None => "main".to_owned(),
        };
        let thread = self.thread.map(|thread| format!("{THREAD}{thread}")).unwrap_or_default();
        let text = format!("{HEAD}{agent}:{base}{thread}");
        let key = resolve_key(&text, None)?;
        if self.is_read_from(&ParsedKey::of(&key)?, &fold(&base)) {
            Ok(key)
        } else {
            Err(RouteError::Ambiguous { key: shortened(&text) })
        }
    }

    /// Whether whoever reads the key finds the parts of which it was made.
    ///
    /// It is what keeps two conversations from sharing a key: what is read from one key is one thing.
    fn is_read_from(&self, key: &ParsedKey<'_>, base: &str) -> bool {
        let (found, thread) = key.split_thread();
        let lower = |part: Option<&str>| part.map(str::to_lowercase);
        found == base
            && thread.is_some() == self.thread.is_some()
            && key.heartbeat_base().is_none()
            && match (self.peer, key.route()) {
                (Some(peer), Some(route)) => {
                    lower(self.channel).as_deref() == Some(route.channel)
                        && lower(self.account).as_deref() == route.account
                        && peer.kind == route.kind
                }
                (Some(peer), None) => self.channel.is_none() && key.chat_type() == Some(peer.kind),
                (None, route) => route.is_none(),
            }
    }
}

/// Returns the name of the linked identity to which a peer belongs, and otherwise its own id.
///
/// A link with the channel goes before one without. Who is called like an identity that does not
/// list them is refused: they would be taken for that person.
fn person<'a>(
    channel: &str,
    id: &'a str,
    links: &'a BTreeMap<String, Vec<String>>,
) -> Result<&'a str, RouteError> {
    let holder =
        |link: String| links.iter().find(|(_, linked)| linked.iter().any(|one| fold(one) == link));
    // A bare id with a colon could be taken for a link with the channel.
    let bare = || holder(fold(id)).filter(|_| !id.contains(':'));
    let name = holder(fold(&format!("{channel}:{id}"))).or_else(bare);
    match name {
        Some((name, _)) if is_segment(name) => Ok(name),
        Some((name, _)) => Err(RouteError::part(OriginPart::Peer, name)),
        None if links.keys().any(|name| fold(name) == fold(id)) => {
            Err(RouteError::NameTaken { peer: shortened(id) })
        }
        None => Ok(id),
    }
}

/// Makes the key of one run of a job.
pub(super) fn job_run(agent: &AgentId, job: &str, run: &str) -> Result<SessionKey, RouteError> {
    for part in [job, run] {
        if !is_segment(part) {
            return Err(RouteError::part(OriginPart::Child, part));
        }
    }
    let text = format!("{HEAD}{agent}:cron:{job}:run:{run}");
    let key = resolve_key(&text, None)?;
    match ParsedKey::of(&key)?.class() {
        KeyClass::CronRun => Ok(key),
        _ => Err(RouteError::Ambiguous { key: shortened(&text) }),
    }
}

/// Makes the key of a sub-agent's session.
pub(super) fn child(agent: &AgentId, id: &str) -> Result<SessionKey, RouteError> {
    if !is_segment(id) {
        return Err(RouteError::part(OriginPart::Child, id));
    }
    let text = format!("{HEAD}{agent}:subagent:{id}");
    let key = resolve_key(&text, None)?;
    match ParsedKey::of(&key)?.class() {
        KeyClass::Subagent => Ok(key),
        _ => Err(RouteError::Ambiguous { key: shortened(&text) }),
    }
}
