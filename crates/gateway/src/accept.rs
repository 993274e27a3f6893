//! The accept loop: local connections, each with the identity of its peer.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use openclaw_agents::exec::HelperRegistry;
use openclaw_scopes::{Cause, GrantHolder};
use openclaw_store::Store;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::identity::Identity;
use crate::peer::{Credentials, Stranger, is_still, owner, parent_of};
use crate::task::Tasks;

/// Connections that may wait for the server to take them.
const BACKLOG: usize = 64;
/// Connections of owners that may be open at once; further ones are closed.
const MAX_CONNECTIONS: usize = 1024;
/// Connections of nobody that may be open at once: enough to tell each why it is refused.
//= docs/threat-model.md#T26
const MAX_STRANGERS: usize = 16;
/// How long a connection of nobody lasts: long enough for one refusal.
const STRANGER_TIME: Duration = Duration::from_secs(2);
/// How long the loop rests after the system has run out of something: file descriptors, mostly.
const REST: Duration = Duration::from_millis(100);

/// Why the local socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the socket `{}` cannot be made: {source}", .path.display())]
pub struct BindError {
    /// The socket.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Makes the local socket. The caller holds the state directory's lock, so one that is there is a
/// left-over.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source| BindError { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// What the accept loop needs to know a peer.
#[derive(Clone, Debug)]
pub(crate) struct Doorman {
    pub(crate) directory_uid: u32,
    pub(crate) helpers: Arc<HelperRegistry>,
    pub(crate) store: Store,
}

impl Doorman {
    fn identify(&self, stream: &UnixStream) -> Identity {
        let credentials = match stream.peer_cred() {
            Ok(peer) => Credentials { pid: peer.pid(), uid: peer.uid() },
            Err(error) => {
                tracing::warn!(%error, "a peer's credentials could not be read");
                return Identity::Nobody(Arc::new(Stranger::Untraceable.into()));
            }
        };
        match owner(credentials, self.directory_uid, &self.helpers, parent_of) {
            Ok(()) if credentials.pid.is_some_and(|pid| !is_still(pid, stream)) => {
                Identity::Nobody(Arc::new(Stranger::Untraceable.into()))
            }
            Ok(()) => {
                let cause = credentials.pid.map_or(Cause::Request, |pid| Cause::Process { pid });
                self.vouch(credentials.uid, cause)
            }
            Err(stranger) => Identity::Nobody(Arc::new(stranger.into())),
        }
    }

    /// The owner, as of the present epoch of the owner's grant.
    pub(crate) fn vouch(&self, uid: u32, cause: Cause) -> Identity {
        match self.store.epoch(&GrantHolder::Owner) {
            Ok(Some(epoch)) => Identity::owner(uid, cause, epoch),
            Ok(None) | Err(_) => Identity::Nobody(Arc::new(Stranger::Untraceable.into())),
        }
    }
}

/// Accepts connections until the token is cancelled, and hands them to the server.
///
/// Every peer is looked at as soon as it has connected; those that are nobody share a few places and
/// are cut off soon, so that they can neither wait for their number to change hands nor keep the
/// owner out.
pub(crate) async fn serve(
    listener: UnixListener,
    doorman: Doorman,
    connections: mpsc::Sender<std::io::Result<Connection>>,
    tasks: Tasks,
    stop: CancellationToken,
) {
    let owners = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let identity = doorman.identify(&stream);
        let (places, deadline) = match &identity {
            Identity::Known(_) => (&owners, None),
            Identity::Nobody(_) => (&strangers, Some(Box::pin(tokio::time::sleep(STRANGER_TIME)))),
        };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            tracing::warn!(?identity, "a connection was closed: too many are open");
            if let Identity::Nobody(turned) = &identity {
                turned.record_silence(&doorman.store).await;
            }
            continue;
        };
        if let Identity::Nobody(turned) = &identity {
            let (turned, store, stop) = (Arc::clone(turned), doorman.store.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(STRANGER_TIME) => {}
                    () = stop.cancelled() => {}
                }
                turned.record_silence(&store).await;
            });
        }
        let connection =
            Connection { deadline, identity, io: Io::Unix(stream), _place: Some(place) };
        if connections.send(Ok(connection)).await.is_err() {
            return;
        }
    }
}

/// Makes the queue between the loop and the server.
pub(crate) fn queue()
-> (mpsc::Sender<std::io::Result<Connection>>, mpsc::Receiver<std::io::Result<Connection>>) {
    mpsc::channel(BACKLOG)
}

/// A connection whose peer is known.
#[derive(Debug)]
pub(crate) struct Connection {
    /// When it is cut off; never for the owner's.
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
    identity: Identity,
    io: Io,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// A connection inside the process, for the program that embeds the gateway.
    pub(crate) const fn in_memory(stream: DuplexStream, identity: Identity) -> Self {
        Self { deadline: None, identity, io: Io::Memory(stream), _place: None }
    }
}

#[derive(Debug)]
enum Io {
    Memory(DuplexStream),
    Unix(UnixStream),
}

impl Connected for Connection {
    type ConnectInfo = Identity;

    fn connect_info(&self) -> Identity {
        self.identity.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_flush(context),
            Io::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Memory(stream) => stream.is_write_vectored(),
            Io::Unix(stream) => stream.is_write_vectored(),
        }
    }
}
