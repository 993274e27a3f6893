//! The names of things that more than one crate speaks about, each with a type of its own.

use std::fmt;

/// Why a text is not an identifier.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseIdError {
    /// A character that this kind of identifier may not hold.
    #[error("{kind} `{text}` has a character other than {allowed}")]
    Character {
        /// The characters that may stand in it.
        allowed: &'static str,
        /// What kind of identifier was expected.
        kind: &'static str,
        /// The text as given, shortened to 64 characters.
        text: String,
    },
    /// Nothing stands there.
    #[error("{kind} is empty")]
    Empty {
        /// What kind of identifier was expected.
        kind: &'static str,
    },
    /// More bytes than this kind of identifier may have.
    #[error("{kind} is longer than {max} bytes")]
    TooLong {
        /// What kind of identifier was expected.
        kind: &'static str,
        /// The most bytes it may have.
        max: usize,
    },
}

fn shortened(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

fn check(
    kind: &'static str,
    max: usize,
    allowed: &'static str,
    is_allowed: fn(char) -> bool,
    text: &str,
) -> Result<(), ParseIdError> {
    if text.is_empty() {
        return Err(ParseIdError::Empty { kind });
    }
    if text.len() > max {
        return Err(ParseIdError::TooLong { kind, max });
    }
    if !text.chars().all(is_allowed) {
        return Err(ParseIdError::Character { allowed, kind, text: shortened(text) });
    }
    Ok(())
}

const SLUG: &str = "a-z, 0-9, `-` and `_`";

fn is_slug(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
}

const TOKEN: &str = "printable ASCII without spaces";

fn is_token(c: char) -> bool {
    c.is_ascii_graphic()
}

const TEXT: &str = "printable characters";

fn is_text(c: char) -> bool {
    !c.is_control()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal, max $max:literal, $allowed:ident by $is_allowed:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses an identifier that came from outside.
            ///
            /// # Errors
            /// When the text is empty, too long, or holds a character that may not stand in it.
            pub fn parse(text: &str) -> Result<Self, ParseIdError> {
                check($kind, $max, $allowed, $is_allowed, text)?;
                Ok(Self(text.into()))
            }

            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
    )*};
}

ids! {
    /// An agent: a lower-case slug of at most 64 bytes.
    AgentId = "agent id", max 64, SLUG by is_slug;
    /// A paired device: the hex SHA-256 of its raw public key.
    DeviceId = "device id", max 64, SLUG by is_slug;
    /// A hook: a lower-case slug of at most 64 bytes.
    HookName = "hook name", max 64, SLUG by is_slug;
    /// What a caller names a request by, so that a retry is the same request. Also the id of a run.
    IdempotencyKey = "idempotency key", max 128, TOKEN by is_token;
    /// An invitation to pair.
    InvitationId = "invitation id", max 64, SLUG by is_slug;
    /// The id of a job.
    JobId = "job id", max 64, SLUG by is_slug;
    /// A request to be paired, or for more than was approved.
    PairingId = "pairing request id", max 64, SLUG by is_slug;
    /// A plugin: a lower-case slug of at most 64 bytes.
    PluginId = "plugin id", max 64, SLUG by is_slug;
    /// One run: the idempotency key under which it was asked for (`runtime` rule of the reference).
    RunId = "run id", max 128, TOKEN by is_token;
    /// A person in a chat, as the channel names them.
    SenderId = "sender id", max 128, TEXT by is_text;
    /// The canonical key of a session. `openclaw-sessions` parses and normalizes what people write.
    SessionKey = "session key", max 512, TEXT by is_text;
    /// A tool that a model may call.
    ToolName = "tool name", max 64, SLUG by is_slug;
    /// A named API token.
    TokenId = "token id", max 64, SLUG by is_slug;
}

impl From<IdempotencyKey> for RunId {
    fn from(key: IdempotencyKey) -> Self {
        Self(key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_text_is_refused_with_a_reason() {
        let parse = |text: &str| AgentId::parse(text).map_err(|error| error.to_string());
        assert_eq!(parse("main").map(|id| id.to_string()), Ok("main".into()));
        assert_eq!(parse(""), Err("agent id is empty".into()));
        assert_eq!(
            parse("Main\n"),
            Err("agent id `Main\\n` has a character other than a-z, 0-9, `-` and `_`".into())
        );
        assert_eq!(parse(&"a".repeat(65)), Err("agent id is longer than 64 bytes".into()));
        assert!(RunId::parse("a b").is_err());
        assert!(SessionKey::parse("agent:main:signal:group:Ä=").is_ok());
    }
}
