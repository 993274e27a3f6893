//! The layer in front of every route, health and reflection included: nobody passes unknown.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::TryFutureExt as _;
use futures_util::future::{Either, MapOk};
use openclaw_scopes::method::{
    Method as _, RemoveDevice, RevokeAll, RevokeDevice, RotateDevice, Surface, find,
};
use openclaw_scopes::{Caller, GrantHolder};
use openclaw_store::{Decision, Entry, Store};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::bearer::{self, Shown};
use super::stream::Watched;
use super::{Identity, Turned, refuse};
use crate::network::Network;
use crate::peer::Stranger;
use crate::registry::Ending;
use crate::respond::Reply;
use crate::session::Session;
use crate::{clock, upgrade};

/// `OUT_OF_RANGE` as gRPC writes it.
const OUT_OF_RANGE: &str = "11";

/// Refuses requests of nobody on every route, health and reflection included.
#[derive(Clone, Debug)]
pub(crate) struct IdentityLayer {
    pub(crate) network: Option<Arc<Network>>,
    pub(crate) registry: Arc<crate::registry::Registry>,
    pub(crate) store: Store,
}

impl<S> Layer<S> for IdentityLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, layer: self.clone() }
    }
}

/// A service behind the identity layer.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    layer: IdentityLayer,
}

pub(super) type Request = http::Request<Body>;
pub(super) type Response = http::Response<Body>;
type Answered<S> = MapOk<<S as Service<Request>>::Future, fn(Response) -> Response>;
type Slow<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<Answered<S>, Slow<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let explain: fn(Response) -> Response = explain_size;
        let turned = match request.extensions().get::<Identity>() {
            // A bearer on the socket narrows: whoever shows one is whom it stands for, or nobody.
            //= docs/threat-model.md#T34
            Some(Identity::Known(caller)) if bearer::is_shown(&request) => {
                match self.layer.token_on_socket(&request) {
                    Ok((caller, ending)) => return self.known(request, caller, ending, None),
                    Err(reply) => {
                        let (method, reason) = (method_of(&request), reply.message());
                        let entry = Entry::of(caller, method, &"socket", Decision::Denied, reason);
                        return self.turned_away(entry, reply);
                    }
                }
            }
            Some(Identity::Known(_)) => {
                return Either::Left(self.inner.call(request).map_ok(explain));
            }
            Some(Identity::Network(session)) => {
                let session = Arc::clone(session);
                request.extensions_mut().insert(Arc::clone(&session));
                // What comes before authentication needs none; its handlers look at proofs alone.
                let row = find(request.uri().path());
                if row.is_some_and(|row| matches!(row.surface, Surface::Handshake(_))) {
                    return Either::Left(self.inner.call(request).map_ok(explain));
                }
                match self.layer.shown_on_network(&request, &session) {
                    Ok((caller, ending)) => {
                        return self.known(request, caller, ending, Some(session));
                    }
                    Err(reply) => {
                        let (method, from) = (method_of(&request), session.address());
                        let entry = bearer::stranger_entry(from, method, reply.message());
                        return self.turned_away(entry, reply);
                    }
                }
            }
            Some(Identity::Nobody(turned)) => Arc::clone(turned),
            // A connection without an identity is a mistake of ours; absence is denial.
            None => Arc::new(Turned::from(Stranger::Untraceable)),
        };
        let store = self.layer.store.clone();
        let path = request.uri().path().to_owned();
        Either::Right(Box::pin(async move {
            turned.was_told.store(true, Ordering::Relaxed);
            let status = refuse(&store, &turned.stranger, &path).await;
            Ok(status.into_http())
        }))
    }
}

fn method_of(request: &Request) -> &'static str {
    find(request.uri().path()).map_or("unknown", |row| row.name)
}

impl<S> Guarded<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    /// Passes on the request of somebody whose grant may end: what it answers ends with the grant.
    fn known(
        &mut self,
        mut request: Request,
        caller: Arc<Caller>,
        ending: Arc<Ending>,
        session: Option<Arc<Session>>,
    ) -> <Self as Service<Request>>::Future {
        let asking = session
            .filter(|_| upgrade::is_asked_for(request.headers()))
            .map(|session| (self.layer.clone(), session));
        let is_told = tells_of_an_end(request.uri().path());
        request.extensions_mut().insert(Identity::Known(Arc::clone(&caller)));
        let answered = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = explain_size(answered.await?);
            let response = match asking {
                Some((layer, session)) => layer.with_upgrade(response, &caller, &session).await,
                None => response,
            };
            if is_told {
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(Watched::new(body, caller, ending))))
        }))
    }

    /// Refuses somebody who has not shown who they are, and counts it.
    fn turned_away(&self, entry: Entry, reply: Reply) -> <Self as Service<Request>>::Future {
        let store = self.layer.store.clone();
        Either::Right(Box::pin(async move {
            store.refuse_stranger(entry, clock::now()).await;
            Ok(Status::from(reply).into_http())
        }))
    }
}

impl IdentityLayer {
    /// Finds whom the bearer of a request over the network stands for. Nothing else counts: not the
    /// address, no other header, and not what a client calls itself.
    //= docs/threat-model.md#T35
    fn shown_on_network(
        &self,
        request: &Request,
        session: &Arc<Session>,
    ) -> Result<(Arc<Caller>, Arc<Ending>), Reply> {
        let network = self.network.as_ref().ok_or_else(bearer::nobody)?;
        match bearer::shown(request)? {
            Shown::Nothing => Err(bearer::nobody()),
            Shown::Access(bearer) => bearer::device(&bearer, session, self.store.hash_key()),
            Shown::Api(bearer) => {
                let address = session.address();
                let found = bearer::token(&bearer, address, Some(&network.limiter), self)?;
                if !session.is_settled() {
                    bearer::settle(network, session, &GrantHolder::Token(found.id.clone()))?;
                }
                Ok((found.caller, found.ending))
            }
        }
    }

    fn token_on_socket(&self, request: &Request) -> Result<(Arc<Caller>, Arc<Ending>), Reply> {
        match bearer::shown(request)? {
            Shown::Nothing => Err(bearer::nobody()),
            Shown::Access(_) => Err(bearer::not_here()),
            Shown::Api(bearer) => {
                // The socket is the owner's alone, so guesses are the owner's too.
                let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
                let found = bearer::token(&bearer, nowhere, None, self)?;
                Ok((found.caller, found.ending))
            }
        }
    }

    /// Files what a refused request lacked, for a device that asked for that.
    async fn with_upgrade(
        &self,
        response: Response,
        caller: &Caller,
        session: &Session,
    ) -> Response {
        let Some(status) = Status::from_header_map(response.headers()) else { return response };
        if status.code() != Code::PermissionDenied {
            return response;
        }
        upgrade::of_refusal(&self.store, caller, session.address().ip(), status).await.into_http()
    }
}

/// Tells whether a method may end the grant of whoever calls it. Its answer outlives that: it is one
/// message, decided before, that says what was done.
fn tells_of_an_end(path: &str) -> bool {
    let methods = [RemoveDevice::ROW, RevokeAll::ROW, RevokeDevice::ROW, RotateDevice::ROW];
    find(path).is_some_and(|row| methods.iter().any(|method| method.name == row.name))
}

/// Gives a message that was too large for the decoder a face of ours: it is refused below the
/// services, in words that name no remedy. What a service says itself has details.
fn explain_size(response: Response) -> Response {
    let headers = response.headers();
    let is_out_of_range = headers.get("grpc-status").is_some_and(|code| *code == OUT_OF_RANGE);
    if !is_out_of_range || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    let message = "the request is larger than the gateway takes";
    let reply = Reply::new(Code::OutOfRange, "LIMIT_EXCEEDED", message)
        .next("send less, or raise `gateway.maxMessageBytes` in the configuration");
    Status::from(reply).into_http()
}
