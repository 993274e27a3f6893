//! One request: whose it is, and what is done.

use std::net::SocketAddr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::{Method, Request, StatusCode};
use openclaw_config::{Hook, HookAction, HookProof};
use openclaw_scopes::method::{Method as _, PutEvent as PutMethod, StartRun};
use openclaw_scopes::{Caller, Cause, GrantHolder, HookName, RunId, Scope};
use openclaw_sessions::Dropped;
use openclaw_store::{
    ActError, Entry, EventError, GetEvent, NewEvent, PutEvent, ReplyTo, RunError, StoreError,
};
use serde_json::json;

use super::Door;
use super::message::{MessageError, message};
use super::proof::{self, PostId, Wrong};
use super::reply::Reply;
use crate::channels::destination;
use crate::engine::{Limit, Request as Turn, StartError};
use crate::identity::stranger_entry;
use crate::limiter::Class;
use crate::{clock, digest, route, secrets};

/// Bytes of a body (`runtime.md` §8.8 of the reference).
const MAX_BODY: usize = 256 * 1024;
/// How long a body may take (the same).
const BODY_TIME: Duration = Duration::from_secs(30);
/// Bytes of what an agent, or a conversation, is told.
const MAX_MESSAGE: usize = 64 * 1024;
const MAX_EVENT: usize = 16 * 1024;
/// What the ids of runs and events begin with that hooks lead to.
pub(crate) const HOOK: &str = "hook.";

/// What a request asks for.
enum Asked<'a> {
    /// That something be done, by the hook of this name.
    Post(&'a str),
    /// What became of it.
    State(&'a str, &'a str),
}

impl Door {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let answered = self.try_answer(request, peer).await;
        answered.unwrap_or_else(|refused| refused)
    }

    async fn try_answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Reply, Reply> {
        let (head, body) = request.into_parts();
        let asked = asked(&head.method, head.uri.path(), head.uri.query())?;
        let name = match asked {
            Asked::Post(name) | Asked::State(name, _) => name,
        };
        let roster = self.engine.roster();
        let hooks = roster.config.hooks();
        let known = HookName::parse(name).ok().and_then(|name| hooks.entries.get_key_value(&name));
        // What is not sent to be read is refused before it is.
        if body.size_hint().lower() > u64::try_from(MAX_BODY).unwrap_or(u64::MAX) {
            return Err(too_large());
        }
        let Some((name, hook)) = known.filter(|_| hooks.enabled) else {
            return Err(self.wrong("", HookAction::Agent, peer).await);
        };
        let secret = self.secret(hook).map_err(|problem| {
            tracing::error!(hook = %name, problem, "a hook cannot be used");
            Reply::not_ready()
        })?;
        // A token is looked at before the body is read: what strangers send is not.
        let proven = match &hook.proof {
            HookProof::Token(_) => {
                match proof::token(&head.headers, &secret) {
                    Ok(()) => {}
                    Err(Wrong) => return Err(self.wrong(name.as_str(), hook.action, peer).await),
                }
                let body = read(body).await?;
                let id = proof::chosen_id(&head.headers).map_err(|Wrong| {
                    let text =
                        "the name of the post is not 1 to 256 printable characters, given once";
                    Reply::refused(StatusCode::BAD_REQUEST, text, "send another `idempotency-key`")
                })?;
                (id, body)
            }
            HookProof::Signature { scheme, .. } => {
                let body = read(body).await?;
                let id = proof::signature(*scheme, &head.headers, &body, &secret, clock::now());
                match id {
                    Ok(id) => (id, body),
                    Err(Wrong) => return Err(self.wrong(name.as_str(), hook.action, peer).await),
                }
            }
        };
        self.limiter.succeeded(Class::Hook, name.as_str(), peer.ip());
        let (id, body) = proven;
        match asked {
            Asked::State(_, id) => self.state(name, hook, id, peer).await,
            Asked::Post(_) => {
                let max = match hook.action {
                    HookAction::Agent => MAX_MESSAGE,
                    HookAction::Wake => MAX_EVENT,
                };
                let text =
                    message(name.as_str(), hook.template.as_ref(), &head.headers, &body, max);
                let text = text.map_err(|error| unsaid(name, &error))?;
                let id = match id {
                    PostId::Named(id) => {
                        HEXLOWER.encode(&digest::of(&[&id])).chars().take(24).collect()
                    }
                    PostId::Unnamed => secrets::hex::<12>().map_err(|_told| internal())?,
                };
                // A repetition is known by what was posted: what a template makes of it may differ.
                let posted = digest::of(&[&HEXLOWER.encode(&body)]);
                self.post(name, hook, format!("{HOOK}{name}.{id}"), (text, posted), peer).await
            }
        }
    }

    /// Counts a credential that was wrong, and answers it. Whoever is locked is told so and no more.
    ///
    /// One that is right is taken whatever was wrong before: behind a proxy everybody has one address, and a
    /// stranger must not shut a hook for those it is for. A credential has 24 bytes and more and is not guessed; the
    /// lock keeps guesses from filling the log.
    //= docs/threat-model.md#T30
    async fn wrong(&self, name: &str, action: HookAction, peer: SocketAddr) -> Reply {
        let now = clock::now();
        // Guesses at names count together.
        if let Err(locked) = self.limiter.check(Class::Hook, name, peer.ip(), now) {
            let text = "too many wrong credentials";
            let reply = Reply::refused(StatusCode::TOO_MANY_REQUESTS, text, "wait, and correct it");
            return reply.retry(locked.retry_after);
        }
        self.limiter.failed(Class::Hook, name, peer.ip(), now);
        let method = match action {
            HookAction::Agent => StartRun::ROW.name,
            HookAction::Wake => PutMethod::ROW.name,
        };
        let target =
            if name.is_empty() { "an unknown hook".to_owned() } else { format!("hook {name}") };
        let entry = Entry { target, ..stranger_entry(peer, method, "wrong credential") };
        self.store.refuse_stranger(entry, now).await;
        Reply::stranger()
    }

    /// Returns whoever posts to a hook: the hook, and nobody else.
    fn caller(&self, name: &HookName, peer: SocketAddr) -> Result<Caller, Reply> {
        let holder = GrantHolder::Hook(name.clone());
        let grant =
            self.store.grant(&holder, Scope::Write.into()).map_err(|error| stored(&error))?;
        // The configuration was changed, and the gateway has not taken it in yet.
        let grant = grant.ok_or_else(|| Reply::unavailable("the hook is not ready"))?;
        #[expect(clippy::disallowed_methods, reason = "this is the door of hooks")]
        let caller = Caller::hook(name.clone(), grant, Cause::Peer(peer));
        Ok(caller)
    }

    async fn post(
        &self,
        name: &HookName,
        hook: &Hook,
        id: String,
        (text, posted): (String, [u8; 32]),
        peer: SocketAddr,
    ) -> Result<Reply, Reply> {
        if self.engine.is_draining() {
            return Err(Reply::unavailable("the gateway is stopping"));
        }
        let roster = self.engine.roster();
        let default = match hook.action {
            HookAction::Agent => format!("hook:{name}"),
            HookAction::Wake => "main".to_owned(),
        };
        let key = hook.session.as_deref().unwrap_or(&default);
        let wrong = |problem: String| {
            tracing::error!(hook = %name, problem, "a hook cannot be used");
            Reply::not_ready()
        };
        let (session, agent) = route::named(key, hook.agent.as_str(), &roster.routes)
            .map_err(|_refused| wrong(format!("`{key}` is no session of agent {}", hook.agent)))?;
        let to = match &hook.answers {
            // Then where the conversation leads that the configuration names.
            None => self.engine.reply_of(&session),
            Some((channel, to)) => destination(roster.config.channels(), channel, to, "", "")
                .map(ReplyTo::by_gateway)
                .map_err(|error| wrong(error.to_string()))?,
        };
        let caller = self.caller(name, peer)?;
        match hook.action {
            HookAction::Wake => {
                let event = NewEvent {
                    id: id.clone(),
                    label: format!("hook {name}"),
                    text,
                    // Each post is told, also when another has said the same.
                    context: format!("hook:{id}"),
                    reply_to: to,
                };
                let ask = PutEvent { session: self.engine.told_in(&session), event };
                let put = self.store.act(&caller, ask, clock::now()).await;
                let event = put.map_err(|error| of_event(name, error))?;
                self.engine.announce_soon(event.session.clone());
                let session = event.session.as_str();
                let state = state_of_event(&event.state);
                Ok(Reply::done(json!({ "id": event.id, "state": state, "sessionKey": session })))
            }
            HookAction::Agent => {
                let turn = Turn {
                    run: RunId::parse(&id).map_err(|_bad| internal())?,
                    digest: posted,
                    session: session.clone(),
                    agent,
                    message: text,
                    limit: hook.timeout.map_or(Limit::OfAgent, Limit::Within),
                    reply_to: to,
                    queue: route::queue_mode(roster.config.queue().of_channel("hook")),
                    hold: None,
                    dropped: Dropped::default(),
                };
                let begun = self.engine.start(&caller, turn).await;
                begun.map_err(|error| of_turn(name, error)).map(drop)?;
                let state = self.state_of_run(name, &id)?;
                Ok(Reply::done(json!({ "id": id, "state": state, "sessionKey": session.as_str() })))
            }
        }
    }

    /// Tells what became of a post of this hook.
    async fn state(
        &self,
        name: &HookName,
        hook: &Hook,
        id: &str,
        peer: SocketAddr,
    ) -> Result<Reply, Reply> {
        let prefix = format!("{HOOK}{name}.");
        if !id.starts_with(&prefix) {
            return Err(unknown());
        }
        let state = match hook.action {
            HookAction::Agent => self.state_of_run(name, id)?.to_owned(),
            HookAction::Wake => {
                let caller = self.caller(name, peer)?;
                let found = self.store.view(&caller, &GetEvent(id.to_owned()), clock::now()).await;
                match found {
                    Ok(event) => state_of_event(&event.state).to_owned(),
                    Err(ActError::Failed(_)) => return Err(unknown()),
                    Err(error) => return Err(of_event(name, error)),
                }
            }
        };
        Ok(Reply::done(json!({ "id": id, "state": state })))
    }

    fn state_of_run(&self, name: &HookName, id: &str) -> Result<&'static str, Reply> {
        let run = RunId::parse(id).map_err(|_bad| unknown())?;
        let run = self.store.run(&run).map_err(|error| stored(&error))?;
        let own = run.filter(|run| run.on_behalf_of == GrantHolder::Hook(name.clone()));
        own.map(|run| run.status.name()).ok_or_else(unknown)
    }
}

/// Reads what a request asks for, as far as its line tells.
fn asked<'a>(method: &Method, path: &'a str, query: Option<&str>) -> Result<Asked<'a>, Reply> {
    let nothing = || {
        let next = "post to `/hooks/NAME`";
        Reply::refused(StatusCode::NOT_FOUND, "nothing is here", next)
    };
    // It would stand in the logs of every proxy.
    if query.is_some() {
        let text = "a hook takes no query, least of all a token";
        let next = "send the token as `authorization: Bearer TOKEN`";
        return Err(Reply::refused(StatusCode::BAD_REQUEST, text, next));
    }
    let rest = path.strip_prefix("/hooks/").ok_or_else(nothing)?;
    let (asked, expected) = match rest.split_once('/') {
        None => (Asked::Post(rest), Method::POST),
        Some((name, id)) => (Asked::State(name, id), Method::GET),
    };
    if *method != expected {
        let allow = if expected == Method::POST { "POST" } else { "GET" };
        let text = format!("{method} is not for this path");
        let refused =
            Reply::refused(StatusCode::METHOD_NOT_ALLOWED, &text, &format!("use {allow}"));
        return Err(refused.allow(allow));
    }
    Ok(asked)
}

/// Reads a body.
async fn read(body: Incoming) -> Result<Bytes, Reply> {
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_lost)) => {
            let text = "the body did not come whole";
            Err(Reply::refused(StatusCode::BAD_REQUEST, text, "send it again"))
        }
        Err(_elapsed) => {
            let text = "the body took longer than 30 seconds";
            Err(Reply::refused(StatusCode::REQUEST_TIMEOUT, text, "send it again"))
        }
    }
}

fn too_large() -> Reply {
    let text = format!("a body has {MAX_BODY} bytes at most");
    Reply::refused(StatusCode::PAYLOAD_TOO_LARGE, &text, "post less, or where it can be fetched")
}

fn unknown() -> Reply {
    let text = "this hook has led to nothing of this id";
    Reply::refused(StatusCode::NOT_FOUND, text, "use the id that the post was answered with")
}

pub(super) fn internal() -> Reply {
    let text = "something went wrong in the gateway; its log says more";
    Reply::refused(StatusCode::INTERNAL_SERVER_ERROR, text, "send it again later")
}

fn stored(error: &StoreError) -> Reply {
    tracing::error!(%error, "a post could not be taken in");
    Reply::unavailable("the storage failed")
}

fn unsaid(name: &HookName, error: &MessageError) -> Reply {
    if let MessageError::Template(problem) = error {
        tracing::error!(hook = %name, problem, "a hook's template cannot be filled in");
    }
    Reply::refused(StatusCode::BAD_REQUEST, &error.to_string(), "correct what is posted")
}

/// Returns the word for the state of an event.
fn state_of_event(state: &str) -> &str {
    if state == "consumed" { "told" } else { state }
}

fn archived(name: &HookName) -> Reply {
    tracing::warn!(hook = %name, "the conversation of a hook is archived");
    let next = "have the conversation unarchived: openclaw sessions unarchive";
    Reply::refused(StatusCode::CONFLICT, "the conversation of this hook is archived", next)
}

fn conflict() -> Reply {
    let text = "something else was posted under this name";
    Reply::refused(
        StatusCode::CONFLICT,
        text,
        "name each post differently, and a repeated one alike",
    )
}

fn of_event(name: &HookName, error: ActError<EventError>) -> Reply {
    match error {
        ActError::Store(error) => stored(&error),
        ActError::Failed(EventError::IdempotencyConflict) => conflict(),
        ActError::Failed(EventError::Archived(_)) => archived(name),
        ActError::Failed(error @ (EventError::Undelegated(_) | EventError::Unknown(_))) => {
            tracing::error!(hook = %name, %error, "a post was not taken in");
            internal()
        }
        ActError::Denied(denial) => {
            tracing::warn!(hook = %name, %denial, "a post was refused");
            Reply::refused(StatusCode::FORBIDDEN, &denial.to_string(), "ask the gateway's owner")
        }
    }
}

fn of_turn(name: &HookName, error: StartError) -> Reply {
    match error {
        StartError::Draining => Reply::unavailable("the gateway is stopping"),
        StartError::Full(_) | StartError::Act(ActError::Failed(RunError::NoPlace(_))) => {
            let text = "too many posts wait for this conversation";
            let refused =
                Reply::refused(StatusCode::TOO_MANY_REQUESTS, text, "send it again later");
            refused.retry(Duration::from_secs(30))
        }
        StartError::UnknownAgent(agent) => {
            tracing::error!(hook = %name, %agent, "a hook's agent is not configured any more");
            Reply::not_ready()
        }
        StartError::Act(ActError::Store(error)) => stored(&error),
        StartError::Act(ActError::Failed(RunError::IdempotencyConflict)) => conflict(),
        StartError::Act(ActError::Failed(RunError::Archived(_))) => archived(name),
        StartError::Act(ActError::Failed(
            error @ (RunError::GrantEnded(_) | RunError::Undelegated(_) | RunError::Unknown(_)),
        )) => {
            tracing::error!(hook = %name, %error, "a post was not taken in");
            internal()
        }
        StartError::Act(ActError::Denied(denial)) => {
            tracing::warn!(hook = %name, %denial, "a post was refused");
            Reply::refused(StatusCode::FORBIDDEN, &denial.to_string(), "ask the gateway's owner")
        }
    }
}
