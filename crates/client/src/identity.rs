//! As whom to connect, and with what wish.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use openclaw_pairing::{
    Asks, Bearer, BearerKind, DeviceKey, InvitationSecret, ParseBearerError, clean_name,
};
use openclaw_scopes::{Scope, ScopeSet};

use crate::Trust;

/// As whom to connect.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A device, by its key; over the network.
    Device(Arc<DeviceKey>),
    /// Whoever runs this program; over the socket.
    Local,
    /// A program with an API token; over the network, and over the socket, where it narrows.
    Token(ApiToken),
}

impl Identity {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Device(_) => "a device key",
            Self::Local => "callers without a key or token",
            Self::Token(_) => "an API token",
        }
    }
}

/// An API token. It has no `Display`, and its `Debug` does not show it.
#[derive(Clone)]
pub struct ApiToken(Bearer);

impl ApiToken {
    /// Returns the value of `authorization` metadata, marked so that nobody logs it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        bearer(&self.0.reveal())
    }
}

/// Returns a bearer as the value of `authorization` metadata.
pub(crate) fn bearer(secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl FromStr for ApiToken {
    type Err = ParseBearerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bearer = Bearer::parse(text)?;
        match bearer.kind() {
            // It would be good on one connection only, and that is not this one.
            BearerKind::Access => Err(ParseBearerError),
            BearerKind::Api => Ok(Self(bearer)),
        }
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(redacted)")
    }
}

/// The bounds of a connection, and what it is for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long connecting may take, proving a key included.
    pub connect_timeout: Duration,
    /// The longest answer, or item of a stream, that is read.
    pub max_message_bytes: usize,
    /// Which gateway is meant. Over the network nothing is sent to any other; the socket needs none.
    pub trust: Option<Trust>,
    /// What a device would like to be allowed on the connection. A wish: the gateway narrows it to
    /// what was approved.
    pub wish: ScopeSet,
    /// Whether connecting asks to have approved what is missing of the wish.
    pub asks: Asks,
    /// Whether a call that is refused for a missing scope asks to have that scope approved: the error
    /// then carries the request's id.
    pub request_access: bool,
    /// What the device calls itself.
    pub name: String,
    /// The secret of an invitation, for a device that is not paired yet.
    pub invitation: Option<InvitationSecret>,
}

impl Default for Options {
    /// Five seconds, 64 MiB, as much as was granted, asking for no more, by the name of the host.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            max_message_bytes: 64 << 20,
            trust: None,
            wish: ScopeSet::of(&[Scope::Admin]),
            asks: Asks::Nothing,
            request_access: false,
            name: host_name(),
            invitation: None,
        }
    }
}

fn host_name() -> String {
    clean_name(&rustix::system::uname().nodename().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= docs/threat-model.md#T30
    fn tokens_are_parsed_and_never_shown() {
        let text = Bearer::new(BearerKind::Api, [7; 32]).reveal();
        let token: ApiToken = text.parse().unwrap();
        assert_eq!(format!("{token:?}"), "ApiToken(redacted)");
        let header = token.header().unwrap();
        assert_eq!(header.to_str().unwrap(), format!("Bearer {text}"));
        assert_eq!(format!("{header:?}"), "Sensitive");
        let access = Bearer::new(BearerKind::Access, [7; 32]).reveal();
        for bad in ["", "secret", &access, &format!("{text}x")] {
            assert!(bad.parse::<ApiToken>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_device_is_called_as_its_host() {
        assert_eq!(Options::default().name, clean_name(&Options::default().name));
    }
}
