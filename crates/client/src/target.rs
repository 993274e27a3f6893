//! Where a gateway is reached, as text.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use openclaw_pairing::Address;

/// The port that is meant when none is named.
const PORT: u16 = 18789;

/// Where a gateway is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// A network address; TLS is spoken there, and nothing else.
    Https(Address),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why a text is not a target.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseTargetError {
    /// What follows `https://` is no address.
    #[error("target `{text}` is not `https://HOST:PORT`")]
    Address {
        /// The text as given.
        text: String,
    },
    /// Nothing follows the scheme.
    #[error("target `{scheme}` names no place")]
    Empty {
        /// The scheme.
        scheme: &'static str,
    },
    /// It begins with neither `unix:` nor `https://`.
    #[error("target `{text}` is neither `unix:PATH` nor `https://HOST:PORT`")]
    Scheme {
        /// The text as given.
        text: String,
    },
}

impl Target {
    /// Returns the socket that a gateway opens in its state directory.
    pub fn in_state_dir(state_dir: &Path) -> Self {
        Self::Unix(state_dir.join("gateway.sock"))
    }
}

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x` is how gRPC writes an absolute path.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(ParseTargetError::Empty { scheme: "unix:" });
            }
            return Ok(Self::Unix(path.into()));
        }
        match text.strip_prefix("https://") {
            Some("") => Err(ParseTargetError::Empty { scheme: "https://" }),
            Some(place) => {
                let place = place.strip_suffix('/').unwrap_or(place);
                let address = place.parse().or_else(|_| format!("{place}:{PORT}").parse());
                let broken = |_| ParseTargetError::Address { text: text.to_owned() };
                address.map(Self::Https).map_err(broken)
            }
            None => Err(ParseTargetError::Scheme { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn texts() {
        let unix = |path: &str| Ok(Target::Unix(path.into()));
        let https = |address: &str| Ok(Target::Https(address.parse().unwrap()));
        let scheme = |text: &str| Err(ParseTargetError::Scheme { text: text.into() });
        let address = |text: &str| Err(ParseTargetError::Address { text: text.into() });
        for (text, expected) in [
            ("unix:/run/a.sock",      unix("/run/a.sock")),
            ("unix:///run/a.sock",    unix("/run/a.sock")),
            ("unix:a.sock",           unix("a.sock")),
            ("unix:",                 Err(ParseTargetError::Empty { scheme: "unix:" })),
            ("unix://",               Err(ParseTargetError::Empty { scheme: "unix:" })),
            ("https://home:1234",     https("home:1234")),
            ("https://home:1234/",    https("home:1234")),
            ("https://home",          https("home:18789")),
            ("https://192.0.2.7",     https("192.0.2.7:18789")),
            ("https://[::1]:7",       https("[::1]:7")),
            ("https://[::1]",         https("[::1]:18789")),
            ("https://home:0",        address("https://home:0")),
            ("https://home:1/path",   address("https://home:1/path")),
            ("https://me@home:1",     address("https://me@home:1")),
            ("https://",              Err(ParseTargetError::Empty { scheme: "https://" })),
            ("http://home:18789",     scheme("http://home:18789")),
            ("home",                  scheme("home")),
            ("",                      scheme("")),
        ] {
            assert_eq!(text.parse::<Target>(), expected, "{text}");
        }
    }

    #[test]
    fn display_parses_again() {
        for text in ["unix:/run/a.sock", "unix:a.sock", "https://home:18789", "https://[::1]:7"] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
        let target = Target::in_state_dir(Path::new("/state"));
        assert_eq!(target.to_string(), "unix:/state/gateway.sock");
    }
}
