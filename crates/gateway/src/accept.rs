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
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::identity::Identity;
use crate::peer::{Credentials, Stranger, is_still, owner, parent_of};
use crate::session::Session;
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
/// How long a connection lasts whose device was revoked: long enough to be told.
const GRACE: Duration = Duration::from_millis(100);
/// How long the loop rests after the system has run out of something: file descriptors, mostly.
pub(crate) const REST: Duration = Duration::from_millis(100);

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
            Identity::Known(_) | Identity::Network(_) => (&owners, None),
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
        let connection = Connection {
            deadline,
            identity,
            io: Io::Unix(stream),
            _place: Some(place),
            watch: None,
        };
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

/// A connection whose peer is known, or will be.
#[derive(Debug)]
pub(crate) struct Connection {
    /// When it is cut off; never for the owner's.
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
    identity: Identity,
    io: Io,
    _place: Option<OwnedSemaphorePermit>,
    watch: Option<Box<Watch>>,
}

/// What may end a connection over the network from outside.
#[derive(Debug)]
struct Watch {
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Another connection needs its place.
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    grace: Option<Pin<Box<tokio::time::Sleep>>>,
    /// Whether it was seen that it is known who is there, which stays so.
    is_settled: bool,
    session: Arc<Session>,
}

impl Watch {
    fn is_settled(&mut self) -> bool {
        self.is_settled = self.is_settled || self.session.is_settled();
        self.is_settled
    }

    /// Tells whether the connection is to end now.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.grace.is_none() && self.closing.as_mut().poll(context).is_ready() {
            self.grace = Some(Box::pin(tokio::time::sleep(GRACE)));
        }
        if let Some(grace) = &mut self.grace {
            return grace.as_mut().poll(context);
        }
        // Once it is known who is there, the place is nobody's.
        if self.is_settled() { Poll::Pending } else { self.gone.as_mut().poll(context) }
    }
}

impl Connection {
    /// A connection inside the process, for the program that embeds the gateway.
    pub(crate) const fn in_memory(stream: DuplexStream, identity: Identity) -> Self {
        Self { deadline: None, identity, io: Io::Memory(stream), _place: None, watch: None }
    }

    /// A connection over the network, which has so long to show who is there.
    pub(crate) fn network(
        stream: TlsStream<TcpStream>,
        session: Arc<Session>,
        gone: WaitForCancellationFutureOwned,
        time: Duration,
    ) -> Self {
        let watch = Watch {
            closing: Box::pin(session.closing().clone().cancelled_owned()),
            gone: Box::pin(gone),
            grace: None,
            is_settled: false,
            session: Arc::clone(&session),
        };
        Self {
            deadline: Some(Box::pin(tokio::time::sleep(time))),
            identity: Identity::Network(session),
            io: Io::Tls(Box::new(stream)),
            _place: None,
            watch: Some(Box::new(watch)),
        }
    }
}

#[derive(Debug)]
enum Io {
    Memory(DuplexStream),
    Tls(Box<TlsStream<TcpStream>>),
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
        let is_settled = self.watch.as_mut().is_some_and(|watch| watch.is_settled());
        if is_settled {
            self.deadline = None;
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        if let Some(watch) = &mut self.watch
            && watch.poll(context).is_ready()
        {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if let Some(watch) = &self.watch
            && !is_settled
        {
            let bytes = buffer.filled().len().saturating_sub(before);
            if let Err(exhausted) = watch.session.spend(bytes) {
                return Poll::Ready(Err(std::io::Error::other(exhausted)));
            }
        }
        read
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
            Io::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_flush(context),
            Io::Tls(stream) => Pin::new(stream).poll_flush(context),
            Io::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.io {
            Io::Memory(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(context),
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
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Memory(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
            Io::Unix(stream) => stream.is_write_vectored(),
        }
    }
}
