//! Exit codes, as `sysexits.h` counts them where it has one.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// It could not be done, or the run did not end well.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// No gateway answers.
    Unreachable,
    /// The gateway cannot do it now.
    Retry,
    /// The gateway or the operating system does not permit it.
    Denied,
    /// The configuration, the state directory or its lock stands in the way.
    Configuration,
    /// The user interrupted it.
    Interrupted,
}

impl Exit {
    /// Returns the number that the caller of the program sees.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::Retry => 75,
            Self::Denied => 77,
            Self::Configuration => 78,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
