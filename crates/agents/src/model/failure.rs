//! How a model fails, in terms that decide what is done next.

use std::fmt;
use std::time::Duration;

/// The most characters of a provider's own words that an error repeats.
///
/// Reason: enough for one clear sentence, too little for a page of HTML in a log or a transcript.
const MAX_DETAIL_CHARS: usize = 300;

/// A short text from a provider: bounded, on one line, and without the secret that was sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Detail(Box<str>);

impl Detail {
    /// Shortens `text` and makes it one line.
    pub fn new(text: &str) -> Self {
        let mut kept = String::new();
        let mut chars = 0;
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
            if word.is_empty() {
                continue;
            }
            if chars > 0 {
                kept.push(' ');
                chars += 1;
            }
            for c in word.chars() {
                if chars >= MAX_DETAIL_CHARS {
                    kept.push('…');
                    return Self(kept.into());
                }
                kept.push(c);
                chars += 1;
            }
        }
        Self(kept.into())
    }

    /// Shortens `text` after every occurrence of `secret` was taken out.
    pub fn redacted(text: &str, secret: &str) -> Self {
        if secret.is_empty() || !text.contains(secret) {
            return Self::new(text);
        }
        Self::new(&text.replace(secret, "[redacted]"))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "no details" } else { &self.0 })
    }
}

/// Why a model gave no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The provider does not accept the key.
    #[error("the model provider refused the key: {detail}")]
    Auth {
        /// The provider's words.
        detail: Detail,
    },
    /// The account has no money or no quota left.
    #[error("the account at the model provider has no quota left: {detail}")]
    Billing {
        /// The provider's words.
        detail: Detail,
    },
    /// The model was not asked, as there is not enough left of what the work may cost.
    #[error("{detail}")]
    Budget {
        /// Which budget, and what is missing.
        detail: Detail,
    },
    /// The conversation is longer than the model can read.
    #[error("the conversation does not fit into the model's context: {detail}")]
    ContextOverflow {
        /// The provider's words.
        detail: Detail,
    },
    /// The model was not asked, as it or its provider has just failed. No run ends with this.
    #[error("the model has just failed ({reason}) and is left alone for {} s", .remaining.as_secs())]
    CoolingDown {
        /// The stable name of that failure.
        reason: &'static str,
        /// For how long it is left alone.
        remaining: Duration,
    },
    /// The provider does not understand or does not allow the request.
    #[error("the model provider refused the request: {detail}")]
    InvalidRequest {
        /// The provider's words.
        detail: Detail,
    },
    /// There is no such model, or no such endpoint.
    #[error("the model or its endpoint was not found: {detail}")]
    ModelNotFound {
        /// The provider's words.
        detail: Detail,
    },
    /// The provider could not be reached, or the connection broke.
    #[error("the model provider could not be reached: {detail}")]
    Network {
        /// What broke.
        detail: Detail,
    },
    /// The provider has more work than it can do.
    #[error("the model provider is overloaded: {detail}")]
    Overloaded {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// The provider's words.
        detail: Detail,
    },
    /// The provider answered something that is not its protocol, or too much of it.
    #[error("the model provider sent a malformed answer: {detail}")]
    Protocol {
        /// What was malformed or too large.
        detail: Detail,
    },
    /// We asked too often.
    #[error("the model provider limits the rate: {detail}")]
    RateLimited {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// The provider's words.
        detail: Detail,
    },
    /// The provider did not answer, or stopped answering, for too long.
    #[error("the model provider did not answer in time: {detail}")]
    Timeout {
        /// What was waited for.
        detail: Detail,
    },
}

impl ModelError {
    /// Makes a [`ModelError::Protocol`] of what was malformed.
    pub fn protocol(what: &str) -> Self {
        Self::Protocol { detail: Detail::new(what) }
    }

    /// Makes a [`ModelError::Network`] of what broke.
    pub fn network(what: &str) -> Self {
        Self::Network { detail: Detail::new(what) }
    }

    /// Makes a [`ModelError::Timeout`] of what was waited for.
    pub fn timeout(what: &str) -> Self {
        Self::Timeout { detail: Detail::new(what) }
    }

    /// Returns whether the same request may succeed at the same model a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Network { .. }
            | Self::Overloaded { .. }
            | Self::RateLimited { .. }
            | Self::Timeout { .. } => true,
            Self::Auth { .. }
            | Self::Billing { .. }
            | Self::Budget { .. }
            | Self::ContextOverflow { .. }
            | Self::CoolingDown { .. }
            | Self::InvalidRequest { .. }
            | Self::ModelNotFound { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// Returns how long the provider asked to wait, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } | Self::RateLimited { retry_after, .. } => {
                *retry_after
            }
            Self::Auth { .. }
            | Self::Billing { .. }
            | Self::Budget { .. }
            | Self::ContextOverflow { .. }
            | Self::CoolingDown { .. }
            | Self::InvalidRequest { .. }
            | Self::ModelNotFound { .. }
            | Self::Network { .. }
            | Self::Protocol { .. }
            | Self::Timeout { .. } => None,
        }
    }

    /// Returns the failure's stable name, for logs, events and scripts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "auth",
            Self::Billing { .. } => "billing",
            Self::Budget { .. } => "budget",
            Self::ContextOverflow { .. } => "context-overflow",
            Self::CoolingDown { .. } => "cooling-down",
            Self::InvalidRequest { .. } => "invalid-request",
            Self::ModelNotFound { .. } => "model-not-found",
            Self::Network { .. } => "network",
            Self::Overloaded { .. } => "overloaded",
            Self::Protocol { .. } => "protocol",
            Self::RateLimited { .. } => "rate-limited",
            Self::Timeout { .. } => "timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_short_one_line_and_without_the_secret() {
        assert_eq!(Detail::new(" a\n\tb\u{0}c  ").as_str(), "a b c");
        let long = Detail::new(&"ä".repeat(5000));
        assert_eq!(long.as_str().chars().count(), MAX_DETAIL_CHARS + 1);
        let text = format!("{}sk-1234", "x".repeat(298));
        assert!(!Detail::redacted(&text, "sk-1234").as_str().contains("sk"));
        assert_eq!(Detail::redacted("bad key sk-1", "sk-1").as_str(), "bad key [redacted]");
        assert_eq!(Detail::default().to_string(), "no details");
    }
}
