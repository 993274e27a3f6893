//! One request to Telegram's bot interface.
//!
//! The refusals are teloxide's, the exchange is ours: teloxide's own client follows redirects, and every path holds
//! the token. Of the answers only the needed fields are read: a new field or kind of message must not turn a message
//! that was sent into one of unknown fate.

use std::fmt;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use teloxide_core::ApiError;
use teloxide_core::types::ResponseParameters;

use openclaw_config::Secret;

use crate::fetch::{self, FetchError};
use crate::http;
use crate::port::{ConnectError, PermanentKind, SendOutcome};

use super::TelegramOptions;
use super::compose::Method;

/// Where Telegram is.
const API_URL: &str = "https://api.telegram.org";

/// The most bytes of an answer that are read. Reason: a message has a few thousand.
const MAX_ANSWER: usize = 1024 * 1024;

/// The most bytes of news that are read. Reason: there are a hundred messages in it at most, each with another one.
const MAX_NEWS: usize = 32 * 1024 * 1024;

/// The body of a request.
pub(super) type Body = Map<String, Value>;

/// Telegram's bot interface.
pub(super) struct Api {
    base: Url,
    client: Client,
    poll: Duration,
    /// Holds its questions open for longer than anything else may take.
    poller: Client,
    token: Secret,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// Why a request did not do what it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// The markup of the text cannot be read; nothing was sent.
    Markup(String),
    /// The media cannot be fetched or shown; nothing was sent.
    Media(String),
    /// The group has another id now; nothing was sent.
    Moved(i64),
    /// Something else.
    Other(SendOutcome),
}

impl From<Refusal> for SendOutcome {
    fn from(refusal: Refusal) -> Self {
        let permanent = |error, kind| Self::Permanent { error, kind };
        match refusal {
            Refusal::Markup(error) | Refusal::Media(error) => {
                permanent(error, PermanentKind::Invalid)
            }
            Refusal::Moved(id) => {
                permanent(format!("the group moved to {id}"), PermanentKind::NotFound)
            }
            Refusal::Other(outcome) => outcome,
        }
    }
}

/// What Telegram answers.
#[derive(Debug, Deserialize)]
struct Answer<T> {
    description: Option<ApiError>,
    ok: bool,
    parameters: Option<ResponseParameters>,
    result: Option<T>,
}

/// A message that was sent.
#[derive(Clone, Debug, Deserialize)]
struct Created {
    message_id: i64,
}

/// Where a file is.
#[derive(Clone, Debug, Deserialize)]
struct Found {
    file_path: Option<String>,
}

/// The bot itself.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Me {
    pub(super) first_name: String,
    pub(super) id: i64,
    pub(super) username: Option<String>,
}

impl Api {
    pub(super) fn new(options: &TelegramOptions) -> Result<Self, ConnectError> {
        let token = options.token.expose().trim();
        let is_fit = |b: u8| b.is_ascii_alphanumeric() || b":_-".contains(&b);
        if token.is_empty() || !token.bytes().all(is_fit) {
            return Err(ConnectError::Token);
        }
        let url = options.api_url.as_deref().unwrap_or(API_URL);
        let address = || ConnectError::Address { url: url.to_owned() };
        let base = Url::parse(url.trim_end_matches('/')).map_err(|_bad| address())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(address());
        }
        let client = |timeout| {
            let mut builder = http::builder(timeout);
            if base.scheme() == "http" {
                // No certificate is looked at, so none needs to be loaded.
                builder = builder.tls_certs_only([]);
            }
            builder.build().map_err(|error| http::broken_client(&error))
        };
        Ok(Self {
            client: client(options.timeout)?,
            poll: options.poll,
            poller: client(options.timeout.saturating_add(options.poll))?,
            token: Secret::new(token.to_owned()),
            base,
        })
    }

    /// Sends a message, and returns its id.
    pub(super) async fn send(&self, method: Method, body: Body) -> Result<String, Refusal> {
        let name = match method {
            Method::Animation => "sendAnimation",
            Method::Document => "sendDocument",
            Method::Message => "sendMessage",
            Method::Photo => "sendPhoto",
            Method::Poll => "sendPoll",
        };
        let created: Created = self.ask(name, body).await?;
        Ok(created.message_id.to_string())
    }

    /// Shows that something is being written.
    pub(super) async fn typing(&self, body: Body) -> Result<bool, Refusal> {
        self.ask("sendChatAction", body).await
    }

    /// Tells the person who pressed a button that it was heard.
    pub(super) async fn answer_press(&self, id: &str) -> Result<bool, Refusal> {
        self.ask("answerCallbackQuery", body(json!({ "callback_query_id": id }))).await
    }

    /// Returns who the bot is.
    pub(super) async fn me(&self) -> Result<Me, SendOutcome> {
        Ok(self.ask("getMe", Body::new()).await?)
    }

    /// Fetches a file, which Telegram keeps beside the methods, by a path that it tells.
    pub(super) async fn file(&self, id: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let asked = self.ask("getFile", body(json!({ "file_id": id }))).await;
        let found: Found = asked.map_err(|refusal| fetch::failed(refusal.into()))?;
        let path = found.file_path.unwrap_or_default();
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\\');
        if !path.split('/').all(is_plain) {
            return Err(FetchError::Refused("the platform tells of no path to it".to_owned()));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push("file").push(&format!("bot{}", self.token.expose()));
            segments.extend(path.split('/'));
        }
        // What went wrong is told to a model, and may repeat the URL.
        fetch::download(self.client.get(url), limit).await.map_err(|error| match error {
            FetchError::Failed(error) => FetchError::Failed(http::line(&error, &self.token)),
            other @ (FetchError::Refused(_) | FetchError::TooLarge { .. }) => other,
        })
    }

    /// Waits for news, and confirms everything before `offset`.
    pub(super) async fn updates(&self, offset: Option<i64>) -> Result<Vec<Value>, SendOutcome> {
        let mut body = body(json!({
            "allowed_updates": ["message", "callback_query"],
            "limit": 100,
            "timeout": self.poll.as_secs(),
        }));
        if let Some(offset) = offset {
            body.insert("offset".to_owned(), offset.into());
        }
        Ok(self.exchange(&self.poller, "getUpdates", body, MAX_NEWS).await?)
    }

    async fn ask<T: DeserializeOwned>(&self, method: &str, body: Body) -> Result<T, Refusal> {
        self.exchange(&self.client, method, body, MAX_ANSWER).await
    }

    /// Asks once, and reads what is answered.
    async fn exchange<T: DeserializeOwned>(
        &self,
        client: &Client,
        method: &str,
        body: Body,
        limit: usize,
    ) -> Result<T, Refusal> {
        let line = |text: &str| http::line(text, &self.token);
        let unknown = |error: &str| Refusal::Other(SendOutcome::Unknown { error: line(error) });
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&format!("bot{}", self.token.expose())).push(method);
        }
        let request = client.post(url).header(CONTENT_TYPE, "application/json");
        let request = request.body(Value::Object(body).to_string());
        let answer = http::exchange(request, limit).await.map_err(|failure| match failure {
            http::Failure::NotSent(error) => {
                Refusal::Other(SendOutcome::Retry { after: None, error: line(&error) })
            }
            http::Failure::Unknown(error) => unknown(&error),
        })?;
        if answer.status.is_redirection() {
            let error = format!("status {}", answer.status.as_u16());
            let kind = PermanentKind::Invalid;
            return Err(Refusal::Other(SendOutcome::Permanent { error, kind }));
        }
        let answer: Answer<T> = serde_json::from_slice(&answer.body)
            .map_err(|error| unknown(&format!("the answer cannot be read: {error}")))?;
        match answer {
            Answer { ok: true, result: Some(result), .. } => Ok(result),
            Answer { parameters: Some(ResponseParameters::MigrateToChatId(id)), .. } => {
                Err(Refusal::Moved(id.0))
            }
            Answer { parameters: Some(ResponseParameters::RetryAfter(after)), .. } => {
                Err(Refusal::Other(SendOutcome::Retry {
                    after: http::seconds(after.seconds().into()),
                    error: "rate limited".to_owned(),
                }))
            }
            Answer { ok: false, description: Some(error), .. } => Err(refused(&error, line)),
            Answer { .. } => Err(unknown("the answer says nothing")),
        }
    }
}

/// Reads a refusal. Telegram says more in words than in numbers, and the words are stable.
fn refused(error: &ApiError, line: impl Fn(&str) -> String) -> Refusal {
    let text = match error {
        ApiError::Unknown(text) => text.clone(),
        ApiError::CantParseEntities(text) => return Refusal::Markup(line(text)),
        other => other.to_string(),
    };
    let error_line = line(&text);
    let lower = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let media = [
        "failed to get http url content",
        "wrong file identifier",
        "wrong type of the web page content",
        "wrong http url",
        "image_process_failed",
        "photo_invalid_dimensions",
        "photo should be uploaded",
        "webpage_",
    ];
    let kind = if has(&media) {
        return Refusal::Media(error_line);
    } else if matches!(error, ApiError::InvalidToken) {
        PermanentKind::Auth
    } else if lower.starts_with("forbidden") || lower.starts_with("unauthorized:") {
        PermanentKind::Forbidden
    } else if has(&["conflict:", "can't use getupdates", "too many requests"]) {
        let error = error_line;
        return Refusal::Other(SendOutcome::Retry { after: None, error });
    } else if has(&["chat not found", "user not found", "thread not found", "peer_id_invalid"]) {
        PermanentKind::NotFound
    } else if has(&["rights", "write_forbidden", "deactivated", "topic_closed", "restricted"]) {
        PermanentKind::Forbidden
    } else if lower.starts_with("bad request") || lower.starts_with("request entity too large") {
        PermanentKind::Invalid
    } else {
        // Among them the failures inside the platform, behind which a message may be hidden.
        return Refusal::Other(SendOutcome::Unknown { error: error_line });
    };
    Refusal::Other(SendOutcome::Permanent { error: error_line, kind })
}

fn body(value: Value) -> Body {
    match value {
        Value::Object(body) => body,
        _ => Body::new(),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_platforms::{Answer as Scripted, Telegram, WebSink};

    use super::*;

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (platform, other) = (Telegram::start().await, WebSink::start().await);
        let to = format!("{}/elsewhere", other.url());
        platform.script("sendMessage", [Scripted::Redirect { to: to.clone() }]);
        platform.script("getUpdates", [Scripted::Redirect { to }]);
        let mut options = TelegramOptions::new("main", Secret::new(Telegram::TOKEN.to_owned()));
        options.api_url = Some(platform.url());
        let api = Api::new(&options).unwrap();
        let message = body(json!({ "chat_id": 1, "text": "hello" }));
        assert!(api.send(Method::Message, message).await.is_err());
        assert!(api.updates(None).await.is_err());
        let reached: Vec<_> = other.received().into_iter().map(|it| it.headers).collect();
        assert!(reached.is_empty(), "{reached:?}");
    }
}
