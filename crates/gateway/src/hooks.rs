//! Hooks: what programs elsewhere post to, on a listener of its own.
//!
//! A post is let in by the credential of its hook alone, acts on behalf of that hook, and has of the agent's tools
//! those that the configuration lists. Which conversation it reaches, which agent answers and where the answer goes
//! are the configuration's, never the caller's.

mod message;
mod post;
mod proof;
mod reply;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use openclaw_channels::signing_key;
use openclaw_config::{Config, Hook, HookProof, Secret, SignatureScheme};
use openclaw_scopes::{Caller, Cause, Component, GrantHolder, HookName};
use openclaw_store::{ActError, KeepHooks, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::Engine;
use crate::limiter::Limiter;
use crate::network::{self, ListenError};
use crate::preauth::{Budget, Limits};
use crate::settings::Environment;
use crate::task::Tasks;

/// Connections at once. Each holds a socket, a task, its head and at most one body.
const CONNECTIONS: usize = 64;
/// Bytes of a request's line and headers.
const HEAD: usize = 16 * 1024;
/// How long a connection may take to say what it wants.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection lasts, whatever it does: a head, a body and an answer fit in.
const LIFETIME: Duration = Duration::from_secs(60);
/// The shortest token: fewer characters could be guessed (`hooks.token_too_short` of the reference).
const MIN_SECRET: usize = 24;

/// A listener that does not yet accept.
pub(crate) struct Bound {
    pub(crate) local: SocketAddr,
    listener: TcpListener,
}

/// Opens the listener.
pub(crate) async fn bind(address: SocketAddr) -> Result<Bound, ListenError> {
    let failed = |source| ListenError { key: "hooks.listen", address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok(Bound { local, listener })
}

/// What answers posts.
#[derive(Debug)]
pub(crate) struct Door {
    engine: Engine,
    environment: Environment,
    limiter: Limiter,
    store: Store,
}

impl Door {
    pub(crate) fn new(engine: Engine, environment: Environment, store: Store) -> Self {
        Self { engine, environment, limiter: Limiter::default(), store }
    }

    /// Returns the secret of a hook, if there is one that is good enough.
    fn secret(&self, hook: &Hook) -> Result<Secret, String> {
        usable(hook, &self.environment).map(|secret| Secret::new(secret.to_owned()))
    }
}

/// Returns the secret of a hook, or why it cannot be used.
fn usable<'a>(hook: &Hook, environment: &'a Environment) -> Result<&'a str, String> {
    let name = &hook.proof.secret().env;
    let secret = environment.required(name)?;
    let key = match &hook.proof {
        HookProof::Signature { scheme: SignatureScheme::StandardWebhooks, .. } => {
            let key = signing_key(secret);
            key.ok_or_else(|| format!("what follows `whsec_` in `{name}` is not base 64"))?
        }
        HookProof::Signature { scheme: SignatureScheme::Github, .. } | HookProof::Token(_) => {
            secret.as_bytes().to_vec()
        }
    };
    if key.len() < MIN_SECRET {
        return Err(format!("`{name}` has fewer than {MIN_SECRET} bytes"));
    }
    Ok(secret)
}

/// Has the grants of hooks be as the configuration says. Without one a hook is not ready, and says so.
pub(crate) async fn keep(engine: &Engine, store: &Store) {
    let roster = engine.roster();
    let hooks = roster.config.hooks();
    let names = if hooks.enabled { hooks.entries.keys().cloned().collect() } else { Vec::new() };
    let kept = match store.epoch(&GrantHolder::Gateway) {
        Ok(Some(epoch)) => {
            let caller = Caller::system(Component::Doorkeeper, Cause::Startup, epoch);
            store.act(&caller, KeepHooks(names), clock::now()).await
        }
        Ok(None) => return,
        Err(error) => Err(ActError::Store(error)),
    };
    if let Err(error) = kept {
        tracing::error!(?error, "the grants of hooks could not be written");
    }
}

/// Returns the hooks, and why each cannot be used, if it cannot.
pub(crate) fn looked_at(
    config: &Config,
    environment: &Environment,
) -> Vec<(HookName, Hook, Option<String>)> {
    let look = |(name, hook): (&HookName, &Hook)| {
        (name.clone(), hook.clone(), usable(hook, environment).err())
    };
    config.hooks().entries.iter().map(look).collect()
}

/// Says in the log which hooks are open, and what keeps the others shut.
pub(crate) fn tell<'a>(
    hooks: impl Iterator<Item = (&'a HookName, &'a Hook)>,
    environment: &Environment,
) {
    for (name, hook) in hooks {
        match usable(hook, environment) {
            Ok(_secret) => {
                tracing::info!(hook = %name, action = hook.action.name(), "a hook is open");
            }
            Err(problem) => tracing::error!(hook = %name, problem, "a hook cannot be used"),
        }
    }
}

/// Answers posts until the token is cancelled.
pub(crate) async fn serve(bound: Bound, door: Arc<Door>, tasks: Tasks, stop: CancellationToken) {
    let limits = Limits { connections: CONNECTIONS, per_address: CONNECTIONS, ..Limits::default() };
    let budget = Budget::new(limits);
    while let Some((stream, address)) = network::next(&bound.listener, &stop).await {
        // Whoever floods pushes out the oldest.
        //= docs/threat-model.md#T33
        let place = budget.enter(address.ip());
        let (door, stop) = (Arc::clone(&door), stop.clone());
        tasks.spawn(async move {
            let gone = place.cancelled();
            tokio::select! {
                () = converse(stream, address, door) => {}
                () = tokio::time::sleep(LIFETIME) => {}
                () = gone => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
}

/// Answers what is asked on one connection.
async fn converse(stream: TcpStream, address: SocketAddr, door: Arc<Door>) {
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move {
            let engine = door.engine.clone();
            // What is begun is done, also when whoever posted hangs up meanwhile.
            let answered = engine.whole(async move { door.answer(request, address).await }).await;
            Ok::<_, Infallible>(answered.unwrap_or_else(post::internal).into_response())
        }
    });
    let conversed = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        // One request: a place among the connections is not kept by who has nothing to say.
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = conversed {
        tracing::debug!(%error, peer.address = %address, "a connection for hooks was lost");
    }
}
