//! The gateway's local socket, after a look at who listens there.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{ConnectError, Target};

/// The pause before another attempt when the gateway's queue of new connections is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// How long a call may see no sign of life before the gateway is asked for one.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long the gateway may take for that sign before the connection counts as broken.
pub(crate) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects to a socket. A connection that breaks is made anew by later calls.
pub(crate) async fn connect(path: &Path, timeout: Duration) -> Result<Channel, ConnectError> {
    let path = path.to_owned();
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
    endpoint
        .connect_timeout(timeout)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .connect_with_connector(connector)
        .await
        .map_err(|error| ConnectError::Transport(error.into()))
}

/// Opens the socket, and looks whose process it is that listens.
async fn open(path: PathBuf, timeout: Duration) -> Result<UnixStream, ConnectError> {
    if std::os::unix::net::SocketAddr::from_pathname(&path).is_err() {
        return Err(ConnectError::PathTooLong { path });
    }
    let stream = match tokio::time::timeout(timeout, dial(&path)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(ConnectError::from_io(path, error)),
        Err(_) => return Err(ConnectError::TimedOut { target: Target::Unix(path) }),
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
