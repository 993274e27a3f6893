//! A Discord of one bot: its HTTP interface and its gateway.

mod gateway;
mod rest;
mod say;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::desk::{Desk, Received};
use crate::files::Files;
use crate::{Answer, server};

use gateway::{Control, Session};

pub use rest::SentToDiscord;
pub use say::Say;

/// The id of the bot.
const BOT: &str = "100";

/// A Discord that lives as long as the value.
#[derive(Debug)]
pub struct Discord {
    api: SocketAddr,
    gateway: SocketAddr,
    servers: [JoinHandle<()>; 2],
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    desk: Desk,
    files: Files,
    gateway_url: Mutex<String>,
    heartbeat: Mutex<Duration>,
    world: Mutex<World>,
    /// Goes up whenever something for the gateway's connections has changed.
    version: watch::Sender<u64>,
}

/// What the platform knows.
#[derive(Debug, Default)]
struct World {
    channels: Vec<Value>,
    controls: Vec<(u64, Control)>,
    heartbeats: usize,
    identifies: usize,
    next_id: u64,
    resumes: usize,
    sent: Vec<SentToDiscord>,
    session: Option<Session>,
}

impl Discord {
    /// The token that the bot must have.
    pub const TOKEN: &str = "discord-token";

    /// Starts a Discord.
    pub async fn start() -> Self {
        let world = World { next_id: 1000, ..World::default() };
        let state = Arc::new(State {
            desk: Desk::new(),
            files: Files::default(),
            gateway_url: Mutex::default(),
            heartbeat: Mutex::new(Duration::from_millis(41_250)),
            version: watch::Sender::new(0),
            world: Mutex::new(world),
        });
        let (api, rest) = server::start(Arc::clone(&state)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap();
        *lock(&state.gateway_url) = format!("ws://{gateway}");
        let socket = tokio::spawn(gateway::serve(listener, Arc::clone(&state)));
        Self { api, gateway, servers: [rest, socket], state }
    }

    /// Returns the URL of the HTTP interface.
    pub fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Returns the URL of the gateway.
    pub fn gateway_url(&self) -> String {
        format!("ws://{}", self.gateway)
    }

    /// Returns the id of the bot.
    pub fn bot_id(&self) -> &'static str {
        BOT
    }

    /// Keeps a file, and returns the URL that messages name.
    pub fn keep(&self, name: &str, content: &[u8]) -> String {
        let path = format!("/attachments/1/2/{name}");
        self.state.files.keep(&path, content);
        format!("{}{path}", self.url())
    }

    /// Sets how the next requests of a route are answered: `create_message`, `create_dm`, `typing`,
    /// `callback`, `channel`, `file` or `me`.
    pub fn script(&self, route: &str, answers: impl IntoIterator<Item = Answer>) {
        self.state.desk.script(route, answers);
    }

    /// Sets how often a bot shows that it lives. It counts for connections made from now on.
    pub fn set_heartbeat(&self, interval: Duration) {
        *lock(&self.state.heartbeat) = interval;
    }

    /// Adds a thread below a channel, as the bot learns of it on request.
    pub fn add_thread(&self, id: &str, parent: &str) {
        let thread = json!({ "id": id, "parent_id": parent, "type": 11 });
        lock(&self.state.world).channels.push(thread);
    }

    /// Lets somebody write a message, and returns its id.
    ///
    /// A bot that is not connected hears it once it resumes; one that never was does not hear it.
    pub fn say(&self, say: &Say) -> String {
        let id = self.id();
        let message = say.message(&id);
        self.dispatch("MESSAGE_CREATE", &message);
        id
    }

    /// Lets somebody press a button, and returns the id of the press.
    pub fn press(&self, channel: &str, user: &str, message: &str, data: &str) -> String {
        let id = self.id();
        self.dispatch("INTERACTION_CREATE", &say::press(&id, channel, user, message, data));
        id
    }

    /// Sends an event of the session, whatever it is.
    pub fn dispatch(&self, name: &str, data: &Value) {
        self.change(|world| {
            if let Some(session) = &mut world.session {
                session.add(name, data);
            }
        });
    }

    /// Sends a text that need not even be JSON, outside of the numbered events.
    pub fn send_raw(&self, text: &str) {
        self.control(Control::Raw(text.to_owned()));
    }

    /// Asks the bot to reconnect and resume.
    pub fn ask_to_reconnect(&self) {
        self.control(Control::Raw(r#"{"op":7,"d":null}"#.to_owned()));
    }

    /// Tells the bot that its session is invalid; it may be resumed or not.
    pub fn invalidate(&self, resumable: Resumable) {
        let is_resumable = resumable == Resumable::Yes;
        if !is_resumable {
            self.change(|world| world.session = world.session.take().map(Session::ended));
        }
        self.control(Control::Raw(json!({ "op": 9, "d": is_resumable }).to_string()));
    }

    /// Closes the bot's connection with a code.
    pub fn close(&self, code: u16) {
        self.control(Control::Close(code));
    }

    /// Cuts the bot's connection.
    pub fn cut(&self) {
        self.control(Control::Cut);
    }

    /// Returns the messages that the bot sent, those included that it was not told of.
    pub fn sent(&self) -> Vec<SentToDiscord> {
        lock(&self.state.world).sent.clone()
    }

    /// Waits until the bot has sent so many messages in all.
    pub async fn wait_for(&self, count: usize) {
        self.state.desk.wait(|| lock(&self.state.world).sent.len() >= count).await;
    }

    /// Returns what was asked of a route.
    pub fn received(&self, route: &str) -> Vec<Received> {
        self.state.desk.received(route)
    }

    /// Waits until a route was asked so many times in all.
    pub async fn wait_for_route(&self, route: &str, count: usize) {
        self.state.desk.wait(|| self.received(route).len() >= count).await;
    }

    /// Waits until the bot has introduced itself so many times in all.
    pub async fn wait_for_identify(&self, count: usize) {
        self.wait_for_world(|world| world.identifies >= count).await;
    }

    /// Waits until the bot has resumed so many times in all.
    pub async fn wait_for_resume(&self, count: usize) {
        self.wait_for_world(|world| world.resumes >= count).await;
    }

    /// Waits until the bot has shown so many times that it lives.
    pub async fn wait_for_heartbeat(&self, count: usize) {
        self.wait_for_world(|world| world.heartbeats >= count).await;
    }

    /// Returns how often the bot introduced itself, and how often it resumed.
    pub fn identifies_and_resumes(&self) -> (usize, usize) {
        let world = lock(&self.state.world);
        (world.identifies, world.resumes)
    }

    async fn wait_for_world(&self, holds: impl Fn(&World) -> bool) {
        let mut version = self.state.version.subscribe();
        let waited = version.wait_for(|_| holds(&lock(&self.state.world)));
        crate::soon(waited).await.unwrap();
    }

    fn control(&self, control: Control) {
        self.change(|world| {
            let after = world.session.as_ref().map_or(0, Session::last);
            world.controls.push((after, control));
        });
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        self.state.change(change);
    }

    fn id(&self) -> String {
        lock(&self.state.world).id()
    }
}

impl Drop for Discord {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

/// Whether a session that was declared invalid may be resumed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resumable {
    /// It may not: the bot has to introduce itself again.
    No,
    /// It may.
    Yes,
}

impl State {
    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut lock(&self.world));
        self.version.send_modify(|version| *version += 1);
    }
}

impl World {
    fn id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
