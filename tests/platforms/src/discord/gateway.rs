//! The gateway of Discord: one session, numbered events, resuming.

use std::io;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_websockets::{CloseCode, Message, ServerBuilder, WebSocketStream};

use super::{BOT, Discord, State, lock, say};

/// Events of a session at most.
const MAX_EVENTS: usize = 10_000;

/// Something that happens to a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Control {
    Close(u16),
    Cut,
    Raw(String),
}

/// What one introduction of the bot began.
#[derive(Debug)]
pub(super) struct Session {
    events: Vec<String>,
    id: String,
    is_over: bool,
}

impl Session {
    /// Adds an event.
    pub(super) fn add(&mut self, name: &str, data: &Value) {
        assert!(self.events.len() < MAX_EVENTS, "a session without end");
        let sequence = self.last() + 1;
        self.events.push(json!({ "op": 0, "t": name, "s": sequence, "d": data }).to_string());
    }

    /// Returns the number of the last event.
    pub(super) fn last(&self) -> u64 {
        self.events.len().try_into().unwrap()
    }

    /// Returns the session as one that cannot be resumed.
    pub(super) fn ended(mut self) -> Self {
        self.is_over = true;
        self
    }
}

pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // Whoever hangs up early has what it wanted.
            drop(connection(stream, &state).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn connection(stream: TcpStream, state: &State) -> io::Result<()> {
    let accepted = ServerBuilder::new().accept(stream).await;
    let (_, mut socket) = accepted.map_err(io::Error::other)?;
    let interval = u64::try_from(lock(&state.heartbeat).as_millis()).unwrap();
    say(&mut socket, &json!({ "op": 10, "d": { "heartbeat_interval": interval } })).await?;
    let mut delivered = None;
    let mut version = state.version.subscribe();
    loop {
        if let Some(delivered) = &mut delivered {
            flush(&mut socket, state, delivered).await?;
        }
        tokio::select! {
            changed = version.changed() => changed.map_err(io::Error::other)?,
            message = socket.next() => {
                let Some(Ok(message)) = message else { return Ok(()) };
                let Some(text) = message.as_text() else { continue };
                let value: Value = serde_json::from_str(text).map_err(io::Error::other)?;
                heard(&mut socket, state, &value, &mut delivered).await?;
            }
        }
    }
}

/// Sends what the connection has not had, each thing in its turn.
async fn flush(socket: &mut Socket, state: &State, delivered: &mut u64) -> io::Result<()> {
    loop {
        let (control, event) = {
            let mut world = lock(&state.world);
            let due = world.controls.first().is_some_and(|(after, _)| after <= delivered);
            let control = due.then(|| world.controls.remove(0).1);
            let next = usize::try_from(*delivered).unwrap();
            let events = world.session.as_ref().map(|session| &session.events);
            (control, events.and_then(|events| events.get(next)).cloned())
        };
        match (control, event) {
            (Some(Control::Raw(text)), _) => send(socket, Message::text(text)).await?,
            (Some(Control::Close(code)), _) => return close(socket, code).await,
            (Some(Control::Cut), _) => return Err(io::Error::other("cut on purpose")),
            (None, Some(event)) => {
                *delivered += 1;
                send(socket, Message::text(event)).await?;
            }
            (None, None) => return Ok(()),
        }
    }
}

async fn heard(
    socket: &mut Socket,
    state: &State,
    value: &Value,
    delivered: &mut Option<u64>,
) -> io::Result<()> {
    let is_known = value["d"]["token"] == format!("Bot {}", Discord::TOKEN);
    match value["op"].as_u64() {
        Some(1) => {
            state.change(|world| world.heartbeats += 1);
            say(socket, &json!({ "op": 11, "d": null })).await
        }
        Some(2 | 6) if !is_known => close(socket, 4004).await,
        Some(2) => {
            let url = lock(&state.gateway_url).clone();
            state.change(|world| {
                let id = format!("session-{}", world.id());
                let mut session = Session { events: Vec::new(), id: id.clone(), is_over: false };
                session.add("READY", &ready(&id, &url));
                world.session = Some(session);
                world.controls.clear();
                world.identifies += 1;
            });
            *delivered = Some(0);
            Ok(())
        }
        Some(6) => {
            let sequence = value["d"]["seq"].as_u64().unwrap_or(0);
            let mut may_resume = false;
            state.change(|world| {
                let id = value["d"]["session_id"].as_str();
                may_resume = world.session.as_ref().is_some_and(|session| {
                    !session.is_over
                        && id == Some(session.id.as_str())
                        && sequence <= session.last()
                });
                if may_resume {
                    world.resumes += 1;
                    let session = world.session.as_mut().unwrap();
                    session.add("RESUMED", &json!({}));
                }
            });
            if !may_resume {
                return say(socket, &json!({ "op": 9, "d": false })).await;
            }
            *delivered = Some(sequence);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn ready(id: &str, url: &str) -> Value {
    let mut user = say::user(BOT, true);
    user["mfa_enabled"] = json!(false);
    json!({
        "application": { "flags": 0, "id": "99" }, "guilds": [], "resume_gateway_url": url,
        "session_id": id, "shard": [0, 1], "user": user, "v": 10,
    })
}

async fn close(socket: &mut Socket, code: u16) -> io::Result<()> {
    let code = CloseCode::try_from(code).unwrap();
    send(socket, Message::close(Some(code), "closed on purpose")).await?;
    // The other side closes in turn, and only then is its reason certain to have arrived.
    while let Some(Ok(_)) = socket.next().await {}
    Err(io::Error::other("closed on purpose"))
}

async fn say(socket: &mut Socket, value: &Value) -> io::Result<()> {
    send(socket, Message::text(value.to_string())).await
}

async fn send(socket: &mut Socket, message: Message) -> io::Result<()> {
    socket.send(message).await.map_err(io::Error::other)
}
