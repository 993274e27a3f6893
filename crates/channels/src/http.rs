//! One exchange over HTTP: bounded, without proxies and redirects, and clear about what was sent.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, StatusCode};

use openclaw_config::Secret;

use crate::port::{ConnectError, SendOutcome};

/// The longest time to wait for a connection, TLS included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait that a platform may ask for. Reason: beyond it, a person has to look.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The most of an error that is kept. Reason: it is one line of a log.
const MAX_ERROR: usize = 512;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The body, as far as it came and the limit allows.
    pub(crate) body: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) status: StatusCode,
}

/// Why nothing came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// There was no connection, so nothing was sent.
    NotSent(String),
    /// The request was sent, at least in part.
    Unknown(String),
}

/// Prepares a client for requests that take `timeout` once they are connected.
pub(crate) fn builder(timeout: Duration) -> ClientBuilder {
    // The first provider installed serves the whole process; a second attempt changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let connect = CONNECT_TIMEOUT.min(timeout);
    reqwest::Client::builder()
        .connect_timeout(connect)
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        // A connection that takes as long as it may must still fail as a connection.
        .timeout(connect.saturating_add(timeout))
}

/// Says why a client could not be made.
pub(crate) fn broken_client(error: &(dyn std::error::Error + 'static)) -> ConnectError {
    ConnectError::Client { problem: innermost(error) }
}

/// Sends a request and reads what comes back, up to `limit` bytes of it.
pub(crate) async fn exchange(request: RequestBuilder, limit: usize) -> Result<Answer, Failure> {
    let mut response = request.send().await.map_err(|error| {
        let text = innermost(&error);
        if error.is_connect() || error.is_builder() {
            Failure::NotSent(text)
        } else if error.is_timeout() {
            Failure::Unknown(format!("no answer in time: {text}"))
        } else {
            Failure::Unknown(text)
        }
    })?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    // The status has arrived, and says more than the rest of a broken body would.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            break;
        }
    }
    Ok(Answer { body, headers, status })
}

impl From<Failure> for SendOutcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(error) => Self::Retry { after: None, error },
            Failure::Unknown(error) => Self::Unknown { error },
        }
    }
}

/// Returns how long `Retry-After` asks to wait, if it says so in seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    seconds(text.trim().parse().ok()?)
}

/// Returns a number of seconds as a wait, if it is a sensible one.
pub(crate) fn seconds(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Returns what the innermost cause says: the outer ones repeat the URL, which may hold a token.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Returns the beginning of a text in one line, without the secret.
pub(crate) fn line(text: &str, secret: &Secret) -> String {
    let secret = secret.expose();
    let text = if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") };
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(MAX_ERROR));
    line
}
