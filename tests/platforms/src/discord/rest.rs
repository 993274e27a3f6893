//! The HTTP interface of Discord, as far as a bot that talks needs it.

use std::pin::Pin;

use serde_json::{Value, json};

use super::{BOT, Discord, State, World, lock, say};
use crate::Answer;
use crate::desk::Received;
use crate::server::{Reply, Site};

/// The path before every route.
const VERSION: &str = "/api/v10/";

/// A message that the bot sent.
#[derive(Clone, Debug)]
pub struct SentToDiscord {
    /// What was sent, as it came.
    pub body: Value,
    /// The channel.
    pub channel: String,
    /// The id that the message got.
    pub id: String,
    /// The nonce.
    pub nonce: String,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// The text.
    pub text: String,
}

impl Site for State {
    fn reply<'a>(
        &'a self,
        mut request: Received,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            if request.path.starts_with("/attachments/") {
                "file".clone_into(&mut request.route);
                let path = request.path.clone();
                let answer = self.desk.take(request);
                self.desk.done();
                return self.files.serve(&path, answer);
            }
            let path = request.path.strip_prefix(VERSION).unwrap_or_default().to_owned();
            let segments: Vec<&str> = path.split('/').collect();
            let route = match (request.method.as_str(), segments.as_slice()) {
                ("GET", ["users", "@me"]) => "me",
                ("GET", ["channels", _]) => "channel",
                ("POST", ["users", "@me", "channels"]) => "create_dm",
                ("POST", ["channels", _, "messages"]) => "create_message",
                ("POST", ["channels", _, "typing"]) => "typing",
                ("POST", ["interactions", _, _, "callback"]) => "callback",
                _ => "unknown",
            };
            route.clone_into(&mut request.route);
            let token = request.headers.get("authorization").cloned().unwrap_or_default();
            let body = request.json();
            let answer = self.desk.take(request);
            // The token of a press is all that its answer needs.
            let is_known = token == format!("Bot {}", Discord::TOKEN) || route == "callback";
            let (status, value) = if !is_known {
                refusal(401)
            } else if answer.accepts() {
                self.effect(route, &segments, &body)
            } else {
                (200, Value::Null)
            };
            self.desk.done();
            reply(answer, status, &value)
        })
    }
}

fn reply(answer: Answer, status: u16, value: &Value) -> Reply {
    let json = |body: &[u8]| Reply::Say {
        body: body.to_vec(),
        headers: vec![("content-type", "application/json".to_owned())],
        status: 200,
    };
    match answer {
        _ if status == 401 => Reply::json(status, value),
        Answer::AcceptThenClose => Reply::Close,
        Answer::Big(bytes) => json(&vec![b' '; bytes]),
        Answer::HangAfterAccept => Reply::Hang,
        Answer::Malformed => json(b"{\"id\": \"12"),
        Answer::Normal if status == 204 => {
            Reply::Say { body: Vec::new(), headers: Vec::new(), status }
        }
        Answer::Normal => Reply::json(status, value),
        Answer::RateLimited { after } => Reply::Say {
            body: json!({ "global": false, "message": "slow down", "retry_after": after.as_secs_f64() })
                .to_string()
                .into_bytes(),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("retry-after", after.as_secs().to_string()),
            ],
            status: 429,
        },
        Answer::Redirect { to } => {
            Reply::Say { body: Vec::new(), headers: vec![("location", to)], status: 302 }
        }
        Answer::Refused { status, text } => {
            Reply::json(status, &json!({ "code": 0, "message": text }))
        }
        Answer::Status(status) => {
            let (status, value) = refusal(status);
            Reply::json(status, &value)
        }
    }
}

fn refusal(status: u16) -> (u16, Value) {
    let (code, message) = match status {
        400 => (50035, "Invalid Form Body"),
        401 => (0, "401: Unauthorized"),
        403 => (50013, "Missing Permissions"),
        404 => (10003, "Unknown Channel"),
        _ => (0, "something else"),
    };
    (status, json!({ "code": code, "message": message }))
}

impl State {
    /// Does what is asked, and returns the answer.
    fn effect(&self, route: &str, segments: &[&str], body: &Value) -> (u16, Value) {
        let mut world = lock(&self.world);
        let id = segments.get(1).copied().unwrap_or_default();
        match route {
            "me" => {
                let mut user = say::user(BOT, true);
                user["mfa_enabled"] = json!(false);
                (200, user)
            }
            "channel" => {
                let found = world.channels.iter().find(|channel| channel["id"] == id);
                found.map_or_else(|| refusal(404), |channel| (200, channel.clone()))
            }
            // Each person's conversation with the bot has the id of the person with a 9 before it.
            "create_dm" => {
                let person = body["recipient_id"].as_str().unwrap_or_default();
                (200, json!({ "id": format!("9{person}"), "type": 1, "recipients": [] }))
            }
            "create_message" if is_wrong(body) => refusal(400),
            "create_message" => (200, create(&mut world, id, body)),
            "typing" | "callback" => (204, Value::Null),
            _ => refusal(404),
        }
    }
}

/// Whether a message says nothing, or asks what Discord does not take.
fn is_wrong(body: &Value) -> bool {
    let poll = match &body["poll"] {
        Value::Null => return ["content", "embeds"].iter().all(|name| body[name].is_null()),
        poll => poll,
    };
    let is_fit = |text: &Value, most: usize| {
        let text = text["text"].as_str().unwrap_or_default().trim();
        (1..=most).contains(&text.chars().count())
    };
    let answers = poll["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_open = match &poll["duration"] {
        Value::Null => true,
        hours => hours.as_u64().is_some_and(|hours| (1..=768).contains(&hours)),
    };
    !is_open
        || !is_fit(&poll["question"], 300)
        || !(1..=10).contains(&answers.len())
        || !answers.iter().all(|answer| is_fit(&answer["poll_media"], 55))
}

/// Creates a message, unless one with that nonce is there and the nonce is to be enforced.
fn create(world: &mut World, channel: &str, body: &Value) -> Value {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let nonce = text("nonce");
    let same = |sent: &&SentToDiscord| sent.nonce == nonce && sent.channel == channel;
    let known = if body["enforce_nonce"] == true { world.sent.iter().find(same) } else { None };
    let id = match known {
        Some(sent) => sent.id.clone(),
        None => {
            let id = world.id();
            world.sent.push(SentToDiscord {
                body: body.clone(),
                channel: channel.to_owned(),
                id: id.clone(),
                nonce: nonce.clone(),
                reply_to: body["message_reference"]["message_id"].as_str().map(str::to_owned),
                text: text("content"),
            });
            id
        }
    };
    json!({ "id": id, "channel_id": channel, "content": text("content"), "nonce": nonce })
}
