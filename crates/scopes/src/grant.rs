//! What a holder may do until it is withdrawn, and the one function that makes it.

use std::fmt;
use std::str::FromStr;

use crate::{DeviceId, HookName, ParseIdError, PluginId, ScopeSet, SenderId, TokenId};

/// Whose authority a piece of work rests on. Also who owns a session.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum GrantHolder {
    /// A paired device.
    Device(DeviceId),
    /// The gateway's own housekeeping: capabilities only, no scope.
    Gateway,
    /// A hook that the configuration opens to a program elsewhere.
    Hook(HookName),
    /// Whoever owns the state directory.
    Owner,
    /// An installed plugin.
    Plugin(PluginId),
    /// A person in a chat who is let in.
    Sender(ChatPerson),
    /// A named API token.
    Token(TokenId),
}

/// A person in a chat, by the immutable id that the platform has for them.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChatPerson {
    // INVARIANT: neither holds a colon, so the text of a holder is read as it was written.
    channel: Box<str>,
    account: Box<str>,
    /// Who it is.
    id: SenderId,
}

impl ChatPerson {
    /// Names a person.
    ///
    /// # Errors
    /// When a part is empty, or holds a colon or a control character where it may not.
    pub fn new(channel: &str, account: &str, id: &str) -> Result<Self, ParseHolderError> {
        let is_well = |part: &str| {
            !part.is_empty()
                && part.len() <= 64
                && !part.contains(|c: char| c == ':' || c.is_control())
        };
        if !is_well(channel) || !is_well(account) {
            return Err(ParseHolderError::Kind);
        }
        Ok(Self { channel: channel.into(), account: account.into(), id: SenderId::parse(id)? })
    }

    /// Returns the channel.
    pub const fn channel(&self) -> &str {
        &self.channel
    }

    /// Returns the account of the gateway there.
    pub const fn account(&self) -> &str {
        &self.account
    }

    /// Returns who it is.
    pub const fn id(&self) -> &SenderId {
        &self.id
    }
}

impl fmt::Display for ChatPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.channel, self.account, self.id)
    }
}

impl fmt::Display for GrantHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device:{id}"),
            Self::Gateway => f.write_str("gateway"),
            Self::Hook(name) => write!(f, "hook:{name}"),
            Self::Owner => f.write_str("owner"),
            Self::Plugin(id) => write!(f, "plugin:{id}"),
            Self::Sender(person) => write!(f, "sender:{person}"),
            Self::Token(id) => write!(f, "token:{id}"),
        }
    }
}

/// Why a text names no holder of a grant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseHolderError {
    /// The part after the colon is not an id.
    #[error("not a grant holder")]
    Id(#[from] ParseIdError),
    /// The kind is none of the known ones.
    #[error(
        "grant holder is none of owner, gateway, device:ID, token:ID, hook:NAME, plugin:ID, sender:CHANNEL:ACCOUNT:ID"
    )]
    Kind,
}

impl FromStr for GrantHolder {
    type Err = ParseHolderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "gateway" => Ok(Self::Gateway),
            None if text == "owner" => Ok(Self::Owner),
            Some(("device", id)) => Ok(Self::Device(DeviceId::parse(id)?)),
            Some(("hook", name)) => Ok(Self::Hook(HookName::parse(name)?)),
            Some(("plugin", id)) => Ok(Self::Plugin(PluginId::parse(id)?)),
            Some(("sender", person)) => {
                let mut parts = person.splitn(3, ':');
                let mut part = || parts.next().ok_or(ParseHolderError::Kind);
                Ok(Self::Sender(ChatPerson::new(part()?, part()?, part()?)?))
            }
            Some(("token", id)) => Ok(Self::Token(TokenId::parse(id)?)),
            None | Some(_) => Err(ParseHolderError::Kind),
        }
    }
}

/// How often a holder's grant has been replaced or withdrawn; older epochs are void.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Epoch(pub u64);

/// Scopes that a holder has, as of an epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    holder: GrantHolder,
    epoch: Epoch,
    scopes: ScopeSet,
}

impl Grant {
    /// The owner's grant: everything, by the operating system's word.
    pub const fn owner(epoch: Epoch) -> Self {
        Self { holder: GrantHolder::Owner, epoch, scopes: ScopeSet::ALL }
    }

    /// The grant on which the gateway's own housekeeping rests: no scope at all.
    pub const fn gateway(epoch: Epoch) -> Self {
        Self { holder: GrantHolder::Gateway, epoch, scopes: ScopeSet::EMPTY }
    }

    /// Makes a grant for `holder`: `wish`, narrowed to what was approved for it and to what the
    /// approver may pass on. There is no other way to make one.
    //= docs/threat-model.md#T16
    pub fn mint(
        holder: GrantHolder,
        epoch: Epoch,
        approved: ScopeSet,
        approver: &Self,
        wish: ScopeSet,
    ) -> Self {
        Self { holder, epoch, scopes: approver.scopes.attenuate(approved).attenuate(wish) }
    }

    /// Reads back a grant that [`Grant::mint`] made and a store kept, narrowed to what is wished for
    /// now.
    pub fn recorded(holder: GrantHolder, epoch: Epoch, kept: ScopeSet, wish: ScopeSet) -> Self {
        let keeper = Self { holder: holder.clone(), epoch, scopes: kept.closed() };
        Self::mint(holder, epoch, kept, &keeper, wish)
    }

    /// The same grant with at most the scopes that `wish` means.
    pub(crate) fn narrowed(&self, wish: ScopeSet) -> Self {
        Self::mint(self.holder.clone(), self.epoch, ScopeSet::ALL, self, wish)
    }

    /// Returns who holds it.
    pub const fn holder(&self) -> &GrantHolder {
        &self.holder
    }

    /// Returns the epoch as of which it was made.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the scopes, implied ones included.
    pub const fn scopes(&self) -> ScopeSet {
        self.scopes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    #[test]
    fn holders_survive_their_text() {
        for text in [
            "owner",
            "gateway",
            "device:ab12",
            "token:ci",
            "hook:github",
            "plugin:memory-core",
            "sender:telegram:default:42",
            "sender:matrix:default:@a:b",
        ] {
            assert_eq!(text.parse::<GrantHolder>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Owner",
            "owner:1",
            "device:",
            "device:A B",
            "hook:GitHub",
            "run:1",
            "sender:telegram:42",
            "sender::a:b",
        ] {
            assert!(text.parse::<GrantHolder>().is_err(), "{text}");
        }
    }

    #[test]
    //= docs/threat-model.md#T16
    fn minting_takes_the_least_of_all_three() {
        let token = GrantHolder::Token(TokenId::parse("ci").unwrap());
        let mint = |approved: &[Scope], approver: &Grant, wish: &[Scope]| {
            let (approved, wish) = (ScopeSet::of(approved), ScopeSet::of(wish));
            Grant::mint(token.clone(), Epoch(1), approved, approver, wish)
        };
        let owner = Grant::owner(Epoch(1));
        let writer = mint(&[Scope::Write], &owner, &[Scope::Admin]);
        assert_eq!(writer.scopes(), ScopeSet::of(&[Scope::Write]).closed());
        let child = mint(&[Scope::Admin], &writer, &[Scope::Read, Scope::Pairing]);
        assert_eq!(child.scopes().reduced(), ScopeSet::of(&[Scope::Read]));
        assert!(
            mint(&[Scope::Admin], &Grant::gateway(Epoch(1)), &[Scope::Read]).scopes().is_empty()
        );
    }
}
