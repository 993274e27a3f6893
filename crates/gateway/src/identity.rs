//! Who asks: every connection is given an identity before its first request, and every route asks
//! for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::TryFutureExt as _;
use futures_util::future::{Either, MapOk};
use openclaw_scopes::{Caller, Cause, Epoch, ScopeSet};
use openclaw_store::{Decision, Entry, Store};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::clock;
use crate::peer::Stranger;
use crate::respond::Reply;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// The owner.
    Known(Arc<Caller>),
    /// Nobody who may ask anything.
    Nobody(Arc<Turned>),
}

/// Somebody who is turned away.
#[derive(Debug)]
pub(crate) struct Turned {
    /// Why.
    pub(crate) stranger: Stranger,
    /// Whether a request was refused, and recorded so.
    was_told: AtomicBool,
}

impl From<Stranger> for Turned {
    fn from(stranger: Stranger) -> Self {
        Self { stranger, was_told: AtomicBool::new(false) }
    }
}

impl Turned {
    /// Records a connection that asked for nothing by its end: trying the door is an attempt too.
    pub(crate) async fn record_silence(&self, store: &Store) {
        if self.was_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let (entry, now) = (entry(&self.stranger, "connect"), clock::now());
        match self.stranger {
            Stranger::InsideRun { .. } => {
                if let Err(error) = store.refuse(entry, now).await {
                    tracing::error!(%error, "an attempt from inside a run could not be recorded");
                }
            }
            Stranger::OtherUser { .. } | Stranger::Untraceable => {
                store.refuse_stranger(entry, now).await;
            }
        }
    }
}

impl Identity {
    /// The owner, by the operating system's word or by that of the program that embeds the gateway.
    #[expect(clippy::disallowed_methods, reason = "this is the identity layer")]
    pub(crate) fn owner(uid: u32, cause: Cause, epoch: Epoch) -> Self {
        Self::Known(Arc::new(Caller::assertion(uid, cause, epoch)))
    }

    /// The same identity with at most the authority that `wish` names.
    pub(crate) fn narrowed(self, wish: ScopeSet) -> Self {
        match self {
            Self::Known(caller) => Self::Known(Arc::new(caller.narrowed(wish))),
            nobody @ Self::Nobody(_) => nobody,
        }
    }
}

/// `OUT_OF_RANGE` as gRPC writes it.
const OUT_OF_RANGE: &str = "11";

/// Refuses requests of nobody on every route, health and reflection included.
#[derive(Clone, Debug)]
pub(crate) struct IdentityLayer {
    pub(crate) store: Store,
}

impl<S> Layer<S> for IdentityLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, store: self.store.clone() }
    }
}

/// A service behind the identity layer.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    store: Store,
}

type Request = http::Request<Body>;
type Response = http::Response<Body>;
type Answered<S> = MapOk<<S as Service<Request>>::Future, fn(Response) -> Response>;
type Refused<E> = std::pin::Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response>,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<Answered<S>, Refused<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let turned = match request.extensions().get::<Identity>() {
            Some(Identity::Known(_)) => {
                let answered = self.inner.call(request);
                let explain: fn(Response) -> Response = explain_size;
                return Either::Left(answered.map_ok(explain));
            }
            Some(Identity::Nobody(turned)) => Arc::clone(turned),
            // A connection without an identity is a mistake of ours; absence is denial.
            None => Arc::new(Turned::from(Stranger::Untraceable)),
        };
        let store = self.store.clone();
        let path = request.uri().path().to_owned();
        Either::Right(Box::pin(async move {
            turned.was_told.store(true, Ordering::Relaxed);
            let status = refuse(&store, &turned.stranger, &path).await;
            Ok(status.into_http())
        }))
    }
}

/// Gives a message that was too large for the decoder a face of ours: it is refused below the
/// services, in words that name no remedy.
fn explain_size(response: Response) -> Response {
    let is_too_large =
        response.headers().get("grpc-status").is_some_and(|code| *code == OUT_OF_RANGE);
    if !is_too_large {
        return response;
    }
    let message = "the request is larger than the gateway takes";
    let reply = Reply::new(Code::OutOfRange, "LIMIT_EXCEEDED", message)
        .next("send less, or raise `gateway.maxMessageBytes` in the configuration");
    Status::from(reply).into_http()
}

/// Who a refusal is recorded for.
fn principal(stranger: &Stranger) -> String {
    match stranger {
        Stranger::InsideRun { run: Some(run) } => format!("run:{run}"),
        Stranger::InsideRun { run: None } => "run:unknown".into(),
        Stranger::OtherUser { uid } => format!("uid:{uid}"),
        Stranger::Untraceable => "unknown".into(),
    }
}

fn entry(stranger: &Stranger, method: &'static str) -> Entry {
    let principal = principal(stranger);
    let cause = match stranger {
        Stranger::InsideRun { .. } => principal.clone(),
        Stranger::OtherUser { .. } | Stranger::Untraceable => "request".into(),
    };
    Entry {
        principal,
        on_behalf_of: String::new(),
        method,
        target: "socket".into(),
        decision: Decision::Denied,
        reason: stranger.to_string(),
        cause,
        count: 1,
    }
}

/// Records the refusal and says why.
async fn refuse(store: &Store, stranger: &Stranger, path: &str) -> Status {
    let method = openclaw_scopes::method::find(path).map_or("unknown", |row| row.name);
    let (entry, now) = (entry(stranger, method), clock::now());
    match stranger {
        // A run is somebody: each of its attempts is on disk before it is answered.
        Stranger::InsideRun { .. } => {
            if let Err(error) = store.refuse(entry, now).await {
                return crate::respond::store(&error).into();
            }
            Reply::new(Code::PermissionDenied, "INSIDE_RUN", stranger.to_string())
                .next("use the agent's tools instead of the socket")
                .into()
        }
        Stranger::OtherUser { .. } => {
            store.refuse_stranger(entry, now).await;
            Reply::new(Code::PermissionDenied, "NOT_OWNER", "only the owner may use this socket")
                .next("run the command as the user that runs the gateway")
                .into()
        }
        Stranger::Untraceable => {
            store.refuse_stranger(entry, now).await;
            Reply::new(Code::PermissionDenied, "INSIDE_RUN", stranger.to_string())
                .next("run the command from a shell of the owner")
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::RunId;
    use openclaw_scopes::target::AuditRange;
    use openclaw_store::{AuditFilter, Options};

    use super::*;

    /// Whoever connects and says nothing has tried the door all the same; once is enough.
    #[tokio::test]
    async fn a_silent_connection_is_recorded_once() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { clock: Arc::new(clock::now), max_pages: None };
        let store = Store::open(dir.path(), &options).unwrap();
        let run = Some(RunId::parse("r-1").unwrap());
        let turned = Turned::from(Stranger::InsideRun { run });
        turned.record_silence(&store).await;
        turned.record_silence(&store).await;
        let Identity::Known(owner) = Identity::owner(0, Cause::Request, Epoch(1)) else {
            panic!("the owner is known")
        };
        let filter = AuditFilter {
            range: AuditRange::All,
            before: None,
            limit: 10,
            method: String::new(),
            principal: "run:r-1".into(),
            decision: Some(Decision::Denied),
        };
        let page = store.view(&owner, &filter, clock::now()).await.unwrap();
        let rows: Vec<_> = page.records.iter().map(|row| row.method.as_str()).collect();
        assert_eq!(rows, ["connect"]);
    }
}
