//! Bearers: whom an access token or an API token stands for.

use std::net::SocketAddr;
use std::sync::Arc;

use openclaw_pairing::{Bearer, BearerKind, HashKey};
use openclaw_scopes::{Caller, Cause, GrantHolder, TokenId};
use openclaw_store::{Decision, End, Entry, TokenNote};
use tonic::Code;

use super::layer::{IdentityLayer, Request};
use crate::limiter::{Class, Limiter};
use crate::network::Network;
use crate::registry::Ending;
use crate::respond::{self, Reply};
use crate::session::{Found, Session};
use crate::{clock, task};

/// What a request shows.
pub(super) enum Shown {
    Access(Bearer),
    Api(Bearer),
    Nothing,
}

/// Tells whether a request shows a bearer, good or bad.
pub(super) fn is_shown(request: &Request) -> bool {
    request.headers().contains_key(http::header::AUTHORIZATION)
}

/// Reads the bearer of a request. Two of them are none: which one counts must not be a matter of order.
pub(super) fn shown(request: &Request) -> Result<Shown, Reply> {
    let mut values = request.headers().get_all(http::header::AUTHORIZATION).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(Shown::Nothing) };
    let text = value.to_str().ok().filter(|_| more.is_none());
    let secret = text.and_then(|text| text.strip_prefix("Bearer "));
    let bearer = secret.and_then(|secret| Bearer::parse(secret).ok()).ok_or_else(bad)?;
    Ok(match bearer.kind() {
        BearerKind::Access => Shown::Access(bearer),
        BearerKind::Api => Shown::Api(bearer),
    })
}

/// Nobody has shown who they are.
pub(super) fn nobody() -> Reply {
    let message = "this connection has not shown who it is";
    Reply::new(Code::Unauthenticated, "PAIRING_REQUIRED", message)
        .with("kind", "not-paired")
        .next("openclaw connect LINK, with a link from `openclaw devices invite`")
}

/// An access token belongs to the connection that it was issued on.
pub(super) fn not_here() -> Reply {
    Reply::new(Code::Unauthenticated, "TOKEN_REVOKED", "the access token is not good here")
        .next("connect again")
}

/// Unknown, withdrawn, expired and malformed API tokens have one answer.
fn bad() -> Reply {
    Reply::new(Code::Unauthenticated, "TOKEN_REVOKED", "the token is not good")
        .next("openclaw tokens create")
}

/// The grant behind something has ended: how is told, and what to do.
pub(crate) fn ended(holder: &GrantHolder, how: End) -> Reply {
    match (holder, how) {
        (GrantHolder::Device(_), End::Withdrawn) => {
            Reply::new(Code::PermissionDenied, "DEVICE_REVOKED", "the device was revoked")
                .next(respond::ASK_ANEW)
        }
        (GrantHolder::Device(_), End::Replaced) => {
            Reply::new(Code::Unauthenticated, "TOKEN_REVOKED", "the device's tokens were rotated")
                .next("connect again")
        }
        (_, End::Replaced) => {
            let message = "whoever issued the token holds less now";
            Reply::new(Code::Unauthenticated, "TOKEN_REVOKED", message).next("connect again")
        }
        (_, End::Withdrawn) => {
            Reply::new(Code::PermissionDenied, "TOKEN_REVOKED", "the token was revoked")
                .next("openclaw tokens create")
        }
    }
}

/// Finds the device that an access token was issued to on this connection.
pub(super) fn device(
    bearer: &Bearer,
    session: &Session,
    key: &HashKey,
) -> Result<(Arc<Caller>, Arc<Ending>), Reply> {
    match session.find(bearer, key, clock::now()) {
        Found::Device(caller, ending) => match ending.how() {
            None => Ok((caller, ending)),
            Some(how) => Err(ended(caller.on_behalf_of(), how)),
        },
        Found::Expired => {
            Err(Reply::new(Code::Unauthenticated, "TOKEN_EXPIRED", "the access token has expired")
                .next("connect again"))
        }
        Found::Nothing => Err(not_here()),
    }
}

/// A program that showed the secret of an API token.
pub(super) struct Program {
    pub(super) caller: Arc<Caller>,
    pub(super) ending: Arc<Ending>,
    pub(super) id: TokenId,
}

/// Finds the program that an API token was issued for.
#[expect(clippy::disallowed_methods, reason = "this is the identity layer")]
pub(super) fn token(
    bearer: &Bearer,
    address: SocketAddr,
    limiter: Option<&Limiter>,
    layer: &IdentityLayer,
) -> Result<Program, Reply> {
    let (store, now) = (&layer.store, clock::now());
    let hashed = bearer.hash(store.hash_key(), b"");
    // The credential is named by its hash: the limiter keeps no secret.
    let credential = format!("{:02x?}", hashed.0);
    if let Some(limiter) = limiter {
        let checked = limiter.check(Class::ApiToken, &credential, address.ip(), now);
        checked.map_err(|locked| Reply::rate_limited(&locked))?;
    }
    let found = store.token(&hashed, now).map_err(|error| respond::store(&error))?;
    let Some(found) = found.filter(|found| now < found.expires_at) else {
        if let Some(limiter) = limiter {
            limiter.failed(Class::ApiToken, &credential, address.ip(), now);
        }
        return Err(bad());
    };
    let holder = found.grant.holder().clone();
    let ending = layer.registry.watch(&holder);
    if found.note == TokenNote::Due {
        let (store, id) = (store.clone(), found.id.clone());
        task::detached(async move {
            if let Err(error) = store.token_used(id, now).await {
                tracing::debug!(?error, "the use of a token could not be noted");
            }
        });
    }
    let cause = if limiter.is_some() { Cause::Peer(address) } else { Cause::Request };
    let caller = Arc::new(Caller::token(found.id.clone(), found.grant, cause));
    Ok(Program { caller, ending, id: found.id })
}

/// Gives a connection whose peer is known its place among those.
pub(crate) fn settle(
    network: &Network,
    session: &Arc<Session>,
    holder: &GrantHolder,
) -> Result<(), Reply> {
    let too_many = |message: String| {
        Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", message)
            .retry(std::time::Duration::from_secs(10))
            .next("close connections that are not needed")
    };
    network.registry.join(holder, session).map_err(|many| too_many(many.to_string()))?;
    if !session.is_settled() {
        let permit = Arc::clone(&network.known)
            .try_acquire_owned()
            .map_err(|_full| too_many("too many devices are connected".into()))?;
        session.settle(permit);
    }
    Ok(())
}

/// What the log counts of somebody on the network who has not shown who they are.
pub(crate) fn stranger_entry(address: SocketAddr, method: &'static str, reason: &str) -> Entry {
    Entry {
        principal: format!("peer:{}", address.ip()),
        on_behalf_of: String::new(),
        method,
        target: "network".into(),
        decision: Decision::Denied,
        reason: reason.into(),
        cause: Cause::Peer(address).to_string(),
        count: 1,
    }
}
