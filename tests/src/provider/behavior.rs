//! How a provider meets a request.

use serde_json::Value;

use super::{Api, anthropic, openai};

/// How a provider meets a request.
#[derive(Clone, Debug)]
pub enum Behavior {
    /// Streams this text in pieces of a word each.
    Text(String),
    /// Asks for these tools with these arguments, in one answer.
    Calls(Vec<(String, Value)>),
    /// Asks for one tool with arguments that are cut JSON.
    MalformedCall,
    /// Calls that come at an index beyond every bound.
    EndlessCalls,
    /// Waits for [`Provider::release`](super::Provider::release), then goes on as told.
    Held(Box<Self>),
    /// Never answers.
    Hang,
    /// Streams this text, then says nothing more.
    HangAfter(String),
    /// Streams this text, then breaks the connection.
    BreakAfter(String),
    /// Streams this text, then ends in order but without the final marker.
    EndWithoutMarker(String),
    /// Answers with a page for people.
    Html,
    /// Streams text for ever.
    Flood,
    /// Sends one frame that never ends.
    EndlessFrame,
    /// Refuses with this status, this message and seconds to wait.
    Refuse {
        /// The status of HTTP.
        status: u16,
        /// The provider's words.
        message: String,
        /// What `retry-after` says.
        retry_after: Option<u32>,
    },
}

impl Behavior {
    /// Streams a text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Asks for one tool.
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::Calls(vec![(tool.to_owned(), arguments)])
    }

    /// Streams a text once it is released.
    pub fn held(text: &str) -> Self {
        Self::Held(Box::new(Self::text(text)))
    }

    /// Refuses with a status.
    pub fn refuse(status: u16, message: &str) -> Self {
        Self::Refuse { status, message: message.to_owned(), retry_after: None }
    }

    /// Refuses with 429 and a time to wait.
    pub fn limit(seconds: u32) -> Self {
        let message = "too many requests".to_owned();
        Self::Refuse { status: 429, message, retry_after: Some(seconds) }
    }
}

/// What follows the bytes of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// The answer ends in order.
    End,
    /// The connection breaks.
    Break,
    /// Nothing, for ever.
    Silence,
    /// The bytes again and again.
    Repeat,
}

/// An answer: its head without the empty line, its body in pieces, and what follows.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Vec<String>,
    pub(super) then: Then,
}

impl Answer {
    /// What a behavior answers; `None` when it never does.
    pub(super) fn of(api: Api, behavior: &Behavior) -> Option<Self> {
        let wire = match api {
            Api::Anthropic => anthropic::WIRE,
            Api::OpenAi => openai::WIRE,
        };
        let stream = |body: Vec<String>, then| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_owned();
            Some(Self { head, body, then })
        };
        let opened = |text: &str| {
            let mut body = (wire.open)();
            body.extend(words(text).map(|word| (wire.text)(word)));
            body
        };
        match behavior {
            Behavior::Text(text) => {
                let mut body = opened(text);
                body.extend((wire.close)(Finish::Stop));
                stream(body, Then::End)
            }
            Behavior::Calls(calls) => {
                let mut body = (wire.open)();
                for (index, (name, arguments)) in calls.iter().enumerate() {
                    body.extend((wire.call)(index, name, &arguments.to_string()));
                }
                body.extend((wire.close)(Finish::Calls));
                stream(body, Then::End)
            }
            Behavior::MalformedCall => {
                let mut body = (wire.open)();
                body.extend((wire.call)(0, "read_file", "{\"path\": \"a"));
                body.extend((wire.close)(Finish::Calls));
                stream(body, Then::End)
            }
            Behavior::EndlessCalls => {
                let mut body = (wire.open)();
                body.extend((wire.call)(1_000_000, "read_file", "{}"));
                stream(body, Then::Silence)
            }
            Behavior::Held(inner) => Self::of(api, inner),
            Behavior::Hang => None,
            Behavior::HangAfter(text) => stream(opened(text), Then::Silence),
            Behavior::BreakAfter(text) => stream(opened(text), Then::Break),
            Behavior::EndWithoutMarker(text) => stream(opened(text), Then::End),
            Behavior::Html => Some(Self {
                head: "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n".into(),
                body: vec!["<!doctype html><title>Sign in</title><p>Please sign in.".into()],
                then: Then::End,
            }),
            Behavior::Flood => {
                let piece = "x".repeat(8 * 1024);
                let mut body = (wire.open)();
                body.push((wire.text)(&piece));
                stream(body, Then::Repeat)
            }
            Behavior::EndlessFrame => {
                stream(vec!["data: ".into(), "x".repeat(64 * 1024)], Then::Repeat)
            }
            Behavior::Refuse { status, message, retry_after } => {
                let wait = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n"));
                let wait = wait.unwrap_or_default();
                Some(Self {
                    head: format!(
                        "HTTP/1.1 {status} No\r\ncontent-type: application/json\r\n{wait}"
                    ),
                    body: vec![(wire.refusal)(message)],
                    then: Then::End,
                })
            }
        }
    }
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Finish {
    Calls,
    Stop,
}

/// How one wire format says things.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) open: fn() -> Vec<String>,
    pub(super) text: fn(&str) -> String,
    pub(super) call: fn(usize, &str, &str) -> Vec<String>,
    pub(super) close: fn(Finish) -> Vec<String>,
    pub(super) refusal: fn(&str) -> String,
}

/// A text in pieces that make it up again.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}
