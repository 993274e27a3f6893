//! One request to Telegram's bot interface, by teloxide.
//!
//! The payloads are ours, with answers of which only the needed fields are read: a new field or
//! kind of message must not turn a message that was sent into one of unknown fate.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use teloxide_core::requests::{JsonRequest, Payload, Request as _};
use teloxide_core::{ApiError, Bot, RequestError};

use openclaw_config::Secret;

use crate::http;
use crate::port::{ConnectError, PermanentKind, SendOutcome};

use super::TelegramOptions;
use super::compose::Method;

/// The body of a request.
pub(super) type Body = Map<String, Value>;

/// Telegram's bot interface.
pub(super) struct Api {
    bot: Bot,
    /// The longest time of one request.
    patience: Duration,
    poll: Duration,
    /// Holds its questions open for longer than anything else may take.
    poller: Bot,
    token: Secret,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bot would show its token.
        f.debug_struct("Api").field("patience", &self.patience).finish_non_exhaustive()
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

/// Defines what is asked for under a name, and what is read of the answer.
macro_rules! payloads {
    ($($name:ident => $output:ty),* $(,)?) => {$(
        #[derive(Clone, Debug, Serialize)]
        #[serde(transparent)]
        struct $name(Body);

        impl Payload for $name {
            type Output = $output;
            const NAME: &'static str = stringify!($name);
        }
    )*};
}

payloads! {
    AnswerCallbackQuery => bool,
    GetMe => Me,
    GetUpdates => Vec<Value>,
    SendAnimation => Created,
    SendChatAction => bool,
    SendDocument => Created,
    SendMessage => Created,
    SendPhoto => Created,
}

/// A message that was sent.
#[derive(Clone, Debug, Deserialize)]
struct Created {
    message_id: i64,
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
        // The first provider installed serves the whole process; a second attempt changes nothing.
        drop(rustls::crypto::ring::default_provider().install_default());
        let connect = http::CONNECT_TIMEOUT.min(options.timeout);
        let patience = connect.saturating_add(options.timeout);
        let bot = |patience| bot(options.api_url.as_deref(), token, connect, patience);
        Ok(Self {
            bot: bot(patience)?,
            patience,
            poll: options.poll,
            poller: bot(patience.saturating_add(options.poll))?,
            token: Secret::new(token.to_owned()),
        })
    }

    /// Sends a message, and returns its id.
    pub(super) async fn send(&self, method: Method, body: Body) -> Result<String, Refusal> {
        let created = match method {
            Method::Animation => self.ask(SendAnimation(body)).await,
            Method::Document => self.ask(SendDocument(body)).await,
            Method::Message => self.ask(SendMessage(body)).await,
            Method::Photo => self.ask(SendPhoto(body)).await,
        };
        Ok(created?.message_id.to_string())
    }

    /// Shows that something is being written.
    pub(super) async fn typing(&self, body: Body) -> Result<bool, Refusal> {
        self.ask(SendChatAction(body)).await
    }

    /// Tells the person who pressed a button that it was heard.
    pub(super) async fn answer_press(&self, id: &str) -> Result<bool, Refusal> {
        self.ask(AnswerCallbackQuery(body(json!({ "callback_query_id": id })))).await
    }

    /// Returns who the bot is.
    pub(super) async fn me(&self) -> Result<Me, SendOutcome> {
        Ok(self.ask(GetMe(Body::new())).await?)
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
        let asked = JsonRequest::new(self.poller.clone(), GetUpdates(body)).send().await;
        asked.map_err(|error| self.refusal(error).into())
    }

    async fn ask<P>(&self, payload: P) -> Result<P::Output, Refusal>
    where
        P: Payload + Serialize + Send + Sync + 'static,
        P::Output: serde::de::DeserializeOwned + Send,
    {
        // The library waits for ten seconds before it reads that the platform failed.
        let asked = JsonRequest::new(self.bot.clone(), payload).send();
        match tokio::time::timeout(self.patience, asked).await {
            Ok(answer) => answer.map_err(|error| self.refusal(error)),
            Err(_late) => {
                let error = "no answer in time".to_owned();
                Err(Refusal::Other(SendOutcome::Unknown { error }))
            }
        }
    }

    fn refusal(&self, error: RequestError) -> Refusal {
        let line = |text: &str| http::line(text, &self.token);
        match error {
            RequestError::Api(error) => refused(&error, line),
            RequestError::InvalidJson { source, .. } => Refusal::Other(SendOutcome::Unknown {
                error: line(&format!("the answer cannot be read: {source}")),
            }),
            RequestError::Io(error) => Refusal::Other(SendOutcome::Permanent {
                error: line(&error.to_string()),
                kind: PermanentKind::Invalid,
            }),
            RequestError::MigrateToChatId(id) => Refusal::Moved(id.0),
            RequestError::Network(error) => {
                let text = line(&http::innermost(&*error));
                Refusal::Other(if error.is_connect() || error.is_builder() {
                    SendOutcome::Retry { after: None, error: text }
                } else {
                    SendOutcome::Unknown { error: text }
                })
            }
            RequestError::RetryAfter(after) => Refusal::Other(SendOutcome::Retry {
                after: http::seconds(after.seconds().into()),
                error: "rate limited".to_owned(),
            }),
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

fn bot(
    url: Option<&str>,
    token: &str,
    connect: Duration,
    patience: Duration,
) -> Result<Bot, ConnectError> {
    let mut builder = teloxide_core::net::default_reqwest_settings()
        .connect_timeout(connect)
        .timeout(patience)
        .no_proxy()
        // The path holds the token, which is nobody else's.
        .referer(false);
    let url = match url {
        None => None,
        Some(text) => {
            let address = || ConnectError::Address { url: text.to_owned() };
            let url = Url::parse(text.trim_end_matches('/')).map_err(|_bad| address())?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(address());
            }
            Some(url)
        }
    };
    if url.as_ref().is_some_and(|url| url.scheme() == "http") {
        // No certificate is looked at, so none needs to be loaded.
        builder = builder.tls_built_in_root_certs(false);
    }
    let client = builder.build().map_err(|error| http::broken_client(&error))?;
    let bot = Bot::with_client(token, client);
    Ok(match url {
        Some(url) => bot.set_api_url(url),
        None => bot,
    })
}

#[cfg(test)]
mod tests {
    use openclaw_platforms::{Answer, Telegram, WebSink};

    use super::*;

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (platform, other) = (Telegram::start().await, WebSink::start().await);
        let to = format!("{}/elsewhere", other.url());
        platform.script("sendMessage", [Answer::Redirect { to: to.clone() }]);
        platform.script("getUpdates", [Answer::Redirect { to }]);
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
