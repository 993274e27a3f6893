//! Connecting to a gateway's socket, after a look at who listens there.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::Target;
use crate::health::health_client::HealthClient;
use crate::v1::access_client::AccessClient;
use crate::v1::agents_client::AgentsClient;
use crate::v1::audit_client::AuditClient;
use crate::v1::gateway_client::GatewayClient;
use crate::v1::models_client::ModelsClient;
use crate::v1::runs_client::RunsClient;
use crate::v1::sessions_client::SessionsClient;

/// The pause before another attempt when the gateway's queue of new connections is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// How long a call may see no sign of life before the gateway is asked for one.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long the gateway may take for that sign before the connection counts as broken.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to a gateway. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    options: Options,
}

/// The bounds of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// The longest answer, or item of a stream, that is read.
    pub max_message_bytes: usize,
}

impl Default for Options {
    /// Five seconds, 64 MiB.
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(5), max_message_bytes: 64 << 20 }
    }
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident -> $client:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $client<Channel> {
                    $client::new(self.channel.clone())
                        .max_decoding_message_size(self.options.max_message_bytes)
                }
            )*
        }
    };
}

services! {
    /// Returns the client of questions about authority.
    access -> AccessClient;
    /// Returns the client of the configured agents.
    agents -> AgentsClient;
    /// Returns the client of the decision log.
    audit -> AuditClient;
    /// Returns the client of the daemon itself.
    gateway -> GatewayClient;
    /// Returns the client of `grpc.health.v1`.
    health -> HealthClient;
    /// Returns the client of models.
    models -> ModelsClient;
    /// Returns the client of runs.
    runs -> RunsClient;
    /// Returns the client of conversations.
    sessions -> SessionsClient;
}

impl Client {
    /// Connects to the gateway at `target`. A connection that breaks is made anew by later calls.
    ///
    /// # Errors
    /// When nobody listens there, or somebody else than the caller and root, or the socket cannot be
    /// reached.
    pub async fn connect(target: &Target, options: &Options) -> Result<Self, ConnectError> {
        let path = match target {
            Target::Https(url) => return Err(ConnectError::Network { url: url.clone() }),
            Target::Unix(path) => path.clone(),
        };
        let timeout = options.connect_timeout;
        let first = open(path.clone(), timeout).await?;
        let mut first = Some(first);
        let connector = tower::service_fn(move |_: Uri| {
            let (open_already, path) = (first.take(), path.clone());
            async move {
                match open_already {
                    Some(stream) => Ok(TokioIo::new(stream)),
                    None => open(path, timeout).await.map(TokioIo::new),
                }
            }
        });
        // The authority stands in each request's header; nothing is resolved.
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint
            .connect_timeout(timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .connect_with_connector(connector)
            .await
            .map_err(ConnectError::Transport)?;
        Ok(Self { channel, options: *options })
    }
}

/// Opens the socket, and looks whose process it is that listens.
async fn open(path: PathBuf, timeout: Duration) -> Result<UnixStream, ConnectError> {
    if std::os::unix::net::SocketAddr::from_pathname(&path).is_err() {
        return Err(ConnectError::PathTooLong { path });
    }
    let stream = match tokio::time::timeout(timeout, dial(&path)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(ConnectError::from_io(path, error)),
        Err(_) => return Err(ConnectError::TimedOut { path }),
    };
    let uid = match stream.peer_cred() {
        Ok(credentials) => credentials.uid(),
        Err(source) => return Err(ConnectError::Io { path, source }),
    };
    let own = rustix::process::geteuid().as_raw();
    if is_trusted(uid, own, directory_owner(&path)) {
        Ok(stream)
    } else {
        Err(ConnectError::OtherOwner { path, uid })
    }
}

/// Connects, as often as it takes for the queue of new connections to have a place.
async fn dial(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(QUEUE_FULL_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Returns who owns the directory of a socket.
fn directory_owner(socket: &Path) -> Option<u32> {
    let parent = socket.parent()?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    std::fs::metadata(parent).ok().map(|metadata| metadata.uid())
}

/// Decides whether to talk to a server of user `uid`: one's own, root's, and for root the one whom
/// the directory belongs to.
//= docs/threat-model.md#T2
fn is_trusted(uid: u32, own: u32, directory_owner: Option<u32>) -> bool {
    uid == own || uid == 0 || (own == 0 && directory_owner == Some(uid))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket could not be used, for another reason.
    #[error("cannot connect to `{path}`")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The target is a network address.
    #[error("`{url}` is not available: the gateway listens on its local socket only")]
    Network {
        /// The address.
        url: String,
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
    /// Nobody accepted the connection in time.
    #[error("the gateway on `{path}` did not accept the connection in time")]
    TimedOut {
        /// The socket.
        path: PathBuf,
    },
    /// Who listens does not speak the gateway's protocol.
    #[error("what listens there does not speak gRPC")]
    Transport(#[source] tonic::transport::Error),
}

impl ConnectError {
    fn from_io(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::NotFound => Self::NotRunning { path, source },
            io::ErrorKind::PermissionDenied => Self::Permission { path, source },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    //= docs/threat-model.md#T2
    fn whom_to_trust() {
        for (uid, own, directory, expected) in [
            (1000, 1000, Some(1000), true),
            (0,    1000, Some(1000), true),
            (1001, 1000, Some(1000), false),
            (1001, 1000, Some(1001), false), // whoever made the directory could listen in it
            (1001, 0,    Some(1001), true),
            (1002, 0,    Some(1001), false),
            (1001, 0,    None,       false),
            (0,    0,    None,       true),
        ] {
            assert_eq!(is_trusted(uid, own, directory), expected, "{uid} {own} {directory:?}");
        }
    }

    #[test]
    fn directories() {
        let own = rustix::process::geteuid().as_raw();
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(directory_owner(&directory.path().join("gateway.sock")), Some(own));
        assert_eq!(directory_owner(Path::new("gateway.sock")), directory_owner(Path::new("./x")));
        assert_eq!(directory_owner(&directory.path().join("absent/gateway.sock")), None);
    }
}
