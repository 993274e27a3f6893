//! Why there is no connection.

use std::io;
use std::path::PathBuf;

use openclaw_pairing::{Address, Fingerprint};
use tonic::Status;

use crate::wire::BoxError;
use crate::{CallError, Target, Trust};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The target does not take such an identity.
    #[error("`{target}` does not take {identity}")]
    Identity {
        /// Where.
        target: Target,
        /// What kind of identity it was.
        identity: &'static str,
    },
    /// The socket could not be used, for another reason.
    #[error("cannot connect to `{path}`")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke before the device was let in.
    #[error("the connection to `{address}` broke before it was of use")]
    Lost {
        /// The gateway's address.
        address: Address,
        /// What was noticed.
        #[source]
        source: CallError,
    },
    /// Nobody said which gateway is meant.
    #[error("no fingerprint is known of the gateway at `{address}`")]
    NoTrust {
        /// The gateway's address.
        address: Address,
    },
    /// There is no socket, or nobody listens on it.
    #[error("no gateway listens on `{path}`")]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A process of another user listens.
    #[error("the process that listens on `{path}` belongs to another user ({uid})")]
    OtherOwner {
        /// The socket.
        path: PathBuf,
        /// The user who listens.
        uid: u32,
    },
    /// The path does not fit into a socket's address.
    #[error("the path of the socket `{path}` is too long for the operating system")]
    PathTooLong {
        /// The socket.
        path: PathBuf,
    },
    /// The operating system does not let the caller at the socket.
    #[error("no permission to use `{path}`")]
    Permission {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The gateway does not let the device in: not paired, revoked, its clock is off, ….
    #[error(transparent)]
    Refused(CallError),
    /// Nobody accepted the connection in time.
    #[error("the gateway on `{target}` did not answer in time")]
    TimedOut {
        /// Where.
        target: Target,
    },
    /// Who listens does not speak TLS 1.3 as a gateway does.
    #[error("what listens on `{address}` does not speak TLS 1.3 as a gateway does")]
    Tls {
        /// The gateway's address.
        address: Address,
        /// What was noticed.
        #[source]
        source: io::Error,
    },
    /// Who listens does not speak the gateway's protocol.
    #[error("what listens there does not speak gRPC")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody answers at a network address.
    #[error("no gateway answers on `{address}`")]
    Unreachable {
        /// The gateway's address.
        address: Address,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another gateway listens there, or somebody stands between. Nothing was sent.
    #[error("the gateway on `{address}` has the fingerprint {found}, and {expected} was expected")]
    Untrusted {
        /// The gateway's address.
        address: Address,
        /// What was expected.
        expected: Trust,
        /// What was found.
        found: Fingerprint,
    },
}

/// The reason of [`ConnectError::Untrusted`], as the gateway's own reasons are written.
pub(crate) const FINGERPRINT_MISMATCH: &str = "FINGERPRINT_MISMATCH";

impl ConnectError {
    pub(crate) fn from_io(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::NotFound => Self::NotRunning { path, source },
            io::ErrorKind::PermissionDenied => Self::Permission { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// Returns the machine-readable reason, when there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => error.reason(),
            Self::Untrusted { .. } => Some(FINGERPRINT_MISMATCH),
            Self::Identity { .. }
            | Self::Io { .. }
            | Self::Lost { .. }
            | Self::NoTrust { .. }
            | Self::NotRunning { .. }
            | Self::OtherOwner { .. }
            | Self::PathTooLong { .. }
            | Self::Permission { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
            | Self::Transport(_)
            | Self::Unreachable { .. } => None,
        }
    }
}

/// Why there is no live connection: the gateway's own words are kept, for the call that needed one.
#[derive(Debug)]
pub(crate) enum MakeError {
    Connect(ConnectError),
    Refused(Status),
}

impl From<MakeError> for ConnectError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Connect(error) => error,
            MakeError::Refused(status) => Self::Refused(status.into()),
        }
    }
}

impl From<MakeError> for BoxError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Connect(error) => error.into(),
            MakeError::Refused(status) => status.into(),
        }
    }
}
