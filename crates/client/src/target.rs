//! Where a gateway is reached, as text.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a gateway is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// A network address, as a URL. Known, and refused on connect: no gateway listens there.
    Https(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why a text is not a target.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseTargetError {
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
            Some(_) => Ok(Self::Https(text.to_owned())),
            None => Err(ParseTargetError::Scheme { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(url) => f.write_str(url),
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
        let scheme = |text: &str| Err(ParseTargetError::Scheme { text: text.into() });
        for (text, expected) in [
            ("unix:/run/a.sock",      unix("/run/a.sock")),
            ("unix:///run/a.sock",    unix("/run/a.sock")),
            ("unix:a.sock",           unix("a.sock")),
            ("unix:",                 Err(ParseTargetError::Empty { scheme: "unix:" })),
            ("unix://",               Err(ParseTargetError::Empty { scheme: "unix:" })),
            ("https://home:18789",    Ok(Target::Https("https://home:18789".into()))),
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
        for text in ["unix:/run/a.sock", "unix:a.sock", "https://home:18789"] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
        let target = Target::in_state_dir(Path::new("/state"));
        assert_eq!(target.to_string(), "unix:/state/gateway.sock");
    }
}
