//! How a platform answers one request.

use std::time::Duration;

/// How a platform answers one request; without one, it answers as it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It does what it is asked, and closes the connection without a word.
    AcceptThenClose,
    /// It does what it is asked, and answers with a body of so many bytes.
    Big(usize),
    /// It does what it is asked, and never answers.
    HangAfterAccept,
    /// It does what it is asked, and answers with what nobody can read.
    Malformed,
    /// It does what it is asked and says so.
    Normal,
    /// It does nothing, and asks to be left alone for so long.
    RateLimited {
        /// How long.
        after: Duration,
    },
    /// It does nothing, and points elsewhere.
    Redirect {
        /// Where to.
        to: String,
    },
    /// It does nothing, and says why in its own words.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The words.
        text: String,
    },
    /// It does nothing, and answers with this status.
    Status(u16),
}

impl Answer {
    /// Returns whether the platform does what it is asked.
    pub(crate) fn accepts(&self) -> bool {
        match self {
            Self::AcceptThenClose
            | Self::Big(_)
            | Self::HangAfterAccept
            | Self::Malformed
            | Self::Normal => true,
            Self::RateLimited { .. }
            | Self::Redirect { .. }
            | Self::Refused { .. }
            | Self::Status(_) => false,
        }
    }
}
