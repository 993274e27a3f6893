//! A Telegram of one bot: its bot interface with long polling.

mod form;
mod poll;
mod speech;
mod tell;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::desk::{Desk, Received};
use crate::files::Files;
use crate::server::{Reply, Site};
use crate::{Answer, server};

use speech::{refusal, reply};

pub use tell::Tell;

/// The id of the bot.
const BOT: i64 = 100;
/// The name of the bot.
const NAME: &str = "test_bot";
/// The number before that of the first update.
const FIRST: i64 = 500;
/// Updates that one question gets at most.
const LIMIT: usize = 100;
/// How long a question is held open at most.
const MAX_HELD: Duration = Duration::from_secs(30);

/// A message that the bot sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SentToTelegram {
    /// The chat.
    pub chat: String,
    /// Every field as it came; what is no text, as JSON.
    pub fields: BTreeMap<String, String>,
    /// The id that the message got.
    pub id: String,
    /// The method, such as `sendMessage`; the route `file` is that of the
    /// files themselves.
    pub method: String,
    /// The text, caption or question.
    pub text: String,
}

/// A Telegram that lives as long as the value.
#[derive(Debug)]
pub struct Telegram {
    address: SocketAddr,
    server: JoinHandle<()>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    desk: Desk,
    files: Files,
    world: Mutex<World>,
    /// Goes up whenever there is news.
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct World {
    /// Updates that were confirmed.
    confirmed: Vec<Value>,
    next_message: i64,
    next_update: i64,
    /// The paths of files, by their ids.
    paths: BTreeMap<String, String>,
    /// Updates that come once more, confirmed or not.
    repeated: Vec<Value>,
    sent: Vec<SentToTelegram>,
    /// Updates that were not.
    updates: Vec<(i64, Value)>,
}

impl Telegram {
    /// The token that the bot must have.
    pub const TOKEN: &str = "100:telegram-token";

    /// Starts a Telegram.
    pub async fn start() -> Self {
        let world = World {
            confirmed: Vec::new(),
            next_message: 1000,
            next_update: FIRST,
            paths: BTreeMap::new(),
            repeated: Vec::new(),
            sent: Vec::new(),
            updates: Vec::new(),
        };
        let state = Arc::new(State {
            desk: Desk::new(),
            files: Files::default(),
            version: watch::Sender::new(0),
            world: Mutex::new(world),
        });
        let (address, server) = server::start(Arc::clone(&state)).await;
        Self { address, server, state }
    }

    /// Returns the URL of the bot interface.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Keeps a file under an id that messages name; it is told of as one with this path.
    pub fn keep(&self, id: &str, path: &str, content: &[u8]) {
        lock(&self.state.world).paths.insert(id.to_owned(), path.to_owned());
        self.state.files.keep(path, content);
    }

    /// Sets how the next calls of a method are answered, such as `sendMessage`.
    pub fn script(&self, method: &str, answers: impl IntoIterator<Item = Answer>) {
        self.state.desk.script(method, answers);
    }

    /// Lets somebody write a message, and returns its id.
    pub fn say(&self, tell: &Tell) -> String {
        let id = self.state.message_id();
        self.happen(&json!({ "message": tell.message(id) }));
        id.to_string()
    }

    /// Lets somebody press a button below a message of the bot, and returns the id of the press.
    pub fn press(&self, chat: i64, user: i64, message: i64, data: &str) -> String {
        let id = format!("press-{}", self.state.message_id());
        self.happen(&json!({ "callback_query": tell::press(&id, chat, user, message, data) }));
        id
    }

    /// Lets something happen, whatever it is; it gets the next number.
    pub fn happen(&self, update: &Value) {
        let mut world = lock(&self.state.world);
        world.next_update += 1;
        let number = world.next_update;
        let mut update = update.clone();
        update["update_id"] = json!(number);
        world.updates.push((number, update));
        drop(world);
        self.state.news();
    }

    /// Sends every confirmed update once more, as if no confirmation had arrived.
    pub fn repeat(&self) {
        let mut world = lock(&self.state.world);
        world.repeated = world.confirmed.clone();
        drop(world);
        self.state.news();
    }

    /// Counts updates from another number on, as Telegram does after a week of silence.
    pub fn count_from(&self, number: i64) {
        lock(&self.state.world).next_update = number;
    }

    /// Returns how many updates are not confirmed.
    pub fn unconfirmed(&self) -> usize {
        lock(&self.state.world).updates.len()
    }

    /// Waits until every update is confirmed.
    pub async fn all_confirmed(&self) {
        let mut version = self.state.version.subscribe();
        crate::soon(version.wait_for(|_| self.unconfirmed() == 0)).await.unwrap();
    }

    /// Returns the messages that the bot sent, those included that it was not told of.
    pub fn sent(&self) -> Vec<SentToTelegram> {
        lock(&self.state.world).sent.clone()
    }

    /// Waits until the bot has sent so many messages in all.
    pub async fn wait_for(&self, count: usize) {
        self.state.desk.wait(|| lock(&self.state.world).sent.len() >= count).await;
    }

    /// Returns the calls of a method.
    pub fn received(&self, method: &str) -> Vec<Received> {
        self.state.desk.received(method)
    }

    /// Waits until a method was called so many times in all.
    pub async fn wait_for_call(&self, method: &str, count: usize) {
        self.state.desk.wait(|| self.received(method).len() >= count).await;
    }
}

impl Drop for Telegram {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site for State {
    fn reply<'a>(
        &'a self,
        mut request: Received,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            let path = request.path.clone();
            if let Some(path) = path.strip_prefix("/file/") {
                "file".clone_into(&mut request.route);
                let answer = self.desk.take(request);
                self.desk.done();
                let place = path.strip_prefix(&format!("bot{}/", Telegram::TOKEN));
                return self.files.serve(place.unwrap_or_default(), answer);
            }
            let (bot, method) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
            request.route = method_name(method);
            let (method, fields) = (request.route.clone(), form::fields(&request));
            let answer = self.desk.take(request);
            let is_known = bot == format!("bot{}", Telegram::TOKEN);
            if !is_known {
                self.desk.done();
                return refusal(401, "Unauthorized");
            }
            // What is only held open has its effect when it is answered.
            let result = if !answer.accepts() {
                Ok(Value::Null)
            } else if method == "getUpdates" {
                self.desk.done();
                Ok(self.updates(&fields).await)
            } else {
                self.effect(&method, &fields)
            };
            if method != "getUpdates" || !answer.accepts() {
                self.desk.done();
            }
            match result {
                Ok(result) => reply(answer, &result),
                Err(text) => refusal(400, text),
            }
        })
    }
}

impl State {
    fn news(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn message_id(&self) -> i64 {
        let mut world = lock(&self.world);
        world.next_message += 1;
        world.next_message
    }

    /// Answers a question for news, once there is any or it has been held open for long enough.
    async fn updates(&self, fields: &BTreeMap<String, String>) -> Value {
        let number = |name: &str| fields.get(name).and_then(|text| text.parse::<i64>().ok());
        let held = Duration::from_secs(number("timeout").unwrap_or(0).try_into().unwrap_or(0));
        let offset = number("offset");
        if let Some(offset) = offset {
            lock(&self.world).confirm(offset);
        }
        self.news();
        let mut version = self.version.subscribe();
        let news = async {
            loop {
                let found = lock(&self.world).news(offset.unwrap_or(0));
                if !found.is_empty() {
                    return found;
                }
                version.changed().await.unwrap();
            }
        };
        json!(tokio::time::timeout(held.min(MAX_HELD), news).await.unwrap_or_default())
    }

    /// Does what is asked, and returns the result.
    fn effect(
        &self,
        method: &str,
        fields: &BTreeMap<String, String>,
    ) -> Result<Value, &'static str> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        match method {
            "getMe" => Ok(json!({
                "can_join_groups": true, "can_read_all_group_messages": false,
                "first_name": "Test", "id": BOT, "is_bot": true, "username": NAME,
                "supports_inline_queries": false, "can_connect_to_business": false,
                "has_main_web_app": false,
            })),
            "getFile" => match lock(&self.world).paths.get(&field("file_id")) {
                Some(path) => Ok(json!({ "file_id": field("file_id"), "file_path": path })),
                None => Err("Bad Request: wrong file_id or the file is temporarily unavailable"),
            },
            "answerCallbackQuery" | "sendChatAction" | "setMyCommands" => Ok(json!(true)),
            "sendAnimation" | "sendDocument" | "sendMessage" | "sendPhoto" => {
                let text = if method == "sendMessage" { field("text") } else { field("caption") };
                if method == "sendMessage" && text.is_empty() {
                    return Err("Bad Request: message text is empty");
                }
                let id = self.message_id();
                lock(&self.world).sent.push(SentToTelegram {
                    chat: field("chat_id"),
                    fields: fields.clone(),
                    id: id.to_string(),
                    method: method.to_owned(),
                    text: text.clone(),
                });
                Ok(tell::sent(id, &field("chat_id"), &text))
            }
            "sendPoll" => {
                poll::check(fields)?;
                let (id, chat, question) = (self.message_id(), field("chat_id"), field("question"));
                lock(&self.world).sent.push(SentToTelegram {
                    chat: chat.clone(),
                    fields: fields.clone(),
                    id: id.to_string(),
                    method: method.to_owned(),
                    text: question,
                });
                Ok(tell::sent(id, &chat, ""))
            }
            _ => Err("Bad Request: no such method"),
        }
    }
}

impl World {
    /// Forgets every update before a number.
    fn confirm(&mut self, offset: i64) {
        let done = self.updates.extract_if(.., |(number, _)| *number < offset);
        self.confirmed.extend(done.map(|(_, update)| update));
    }

    /// Returns what is to be told now, from a number on.
    fn news(&mut self, offset: i64) -> Vec<Value> {
        let repeated = std::mem::take(&mut self.repeated);
        let new = self.updates.iter().filter(|(number, _)| *number >= offset);
        let new = new.map(|(_, update)| update.clone());
        if repeated.is_empty() { new.take(LIMIT).collect() } else { repeated }
    }
}

/// Returns the name of a method as it is written: Telegram does not mind capitals.
fn method_name(method: &str) -> String {
    let mut chars = method.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
