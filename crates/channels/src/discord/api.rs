//! One request to Discord's HTTP interface.
//!
//! The routes are twilight's, the exchange is ours: twilight's own client waits out rate limits
//! where nobody sees it (a global one not at all: it asks again at once), and does not tell a
//! connection that was never made from an answer that never came.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use twilight_http::request::Request;
use twilight_http::routing::Route;

use openclaw_config::Secret;

use crate::http::{self, Answer};
use crate::port::{ConnectError, PermanentKind, SendOutcome};

/// Where Discord is.
const API_URL: &str = "https://discord.com";

/// The version of the interface that everything here is written for.
const VERSION: &str = "/api/v10/";

/// The most bytes of an answer that are read. Reason: a channel or message has a few thousand.
const MAX_ANSWER: usize = 1024 * 1024;

/// Routes whose limit is remembered. Reason: there is one for each channel that is written to.
const MAX_LIMITS: usize = 1024;

/// What Discord wants to be called by.
const AGENT: &str = concat!(
    "DiscordBot (https://github.com/openclaw/openclaw-gateway-rs, ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// Discord's HTTP interface.
#[derive(Debug)]
pub(super) struct Api {
    base: Url,
    client: Client,
    /// Until when each route is to be left alone; an empty name stands for all of them.
    limits: Mutex<BTreeMap<String, Instant>>,
    token: Secret,
}

/// What Discord says with a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u64,
    global: bool,
    message: String,
    retry_after: Option<f64>,
}

impl Api {
    pub(super) fn new(
        url: Option<&str>,
        token: Secret,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let url = url.unwrap_or(API_URL);
        let address = || ConnectError::Address { url: url.to_owned() };
        let base = Url::parse(url).map_err(|_bad| address())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(address());
        }
        let base = base.join(VERSION).map_err(|_bad| address())?;
        let mut value = HeaderValue::from_str(&format!("Bot {}", token.expose()))
            .map_err(|_bad| ConnectError::Token)?;
        value.set_sensitive(true);
        let headers = [(AUTHORIZATION, value), (USER_AGENT, HeaderValue::from_static(AGENT))];
        let mut builder = http::builder(timeout).default_headers(headers.into_iter().collect());
        if base.scheme() == "http" {
            // No certificate is looked at, so none needs to be loaded.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| http::broken_client(&error))?;
        Ok(Self { base, client, limits: Mutex::default(), token })
    }

    /// Asks once, and returns the body of the answer if it is a good one.
    pub(super) async fn call(
        &self,
        route: &Route<'_>,
        body: Option<&Value>,
    ) -> Result<Vec<u8>, SendOutcome> {
        let invalid =
            |error: String| SendOutcome::Permanent { error, kind: PermanentKind::Invalid };
        let mut request = Request::builder(route);
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = request.build().map_err(|error| invalid(error.to_string()))?;
        let name = format!("{} {}", request.method().name(), request.path());
        if let Some(after) = self.limited(&name) {
            return Err(SendOutcome::Retry {
                after: Some(after),
                error: "rate limited".to_owned(),
            });
        }
        let url = self.base.join(request.path()).map_err(|error| invalid(error.to_string()))?;
        let method = Method::from_bytes(request.method().name().as_bytes())
            .map_err(|error| invalid(error.to_string()))?;
        let mut sent = self.client.request(method, url);
        if let Some(body) = request.body() {
            sent = sent.header(CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let answer = http::exchange(sent, MAX_ANSWER).await?;
        self.learn_limit(&name, &answer);
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        Err(self.refused(&name, &answer))
    }

    fn refused(&self, name: &str, answer: &Answer) -> SendOutcome {
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let status = answer.status;
        let text = format!("status {}, {}: {}", status.as_u16(), refusal.code, refusal.message);
        let error = http::line(&text, &self.token);
        let permanent = |kind| SendOutcome::Permanent { error: error.clone(), kind };
        match status {
            StatusCode::UNAUTHORIZED => permanent(PermanentKind::Auth),
            StatusCode::FORBIDDEN => permanent(PermanentKind::Forbidden),
            StatusCode::NOT_FOUND => permanent(PermanentKind::NotFound),
            StatusCode::TOO_MANY_REQUESTS => {
                let after = refusal.retry_after.and_then(http::seconds);
                let after = after.or_else(|| http::retry_after(&answer.headers));
                if let Some(after) = after {
                    self.limit(if refusal.global { "" } else { name }, after);
                }
                SendOutcome::Retry { after, error }
            }
            // The platform may have done it before it failed, or behind the gateway that gave up.
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                SendOutcome::Unknown { error }
            }
            _ => permanent(PermanentKind::Invalid),
        }
    }

    /// Returns how long a route is still to be left alone.
    fn limited(&self, name: &str) -> Option<Duration> {
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let until = ["", name].into_iter().filter_map(|name| limits.get(name)).max()?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Notes that the last request that a route allows for now was made.
    fn learn_limit(&self, name: &str, answer: &Answer) {
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        if header("x-ratelimit-remaining") != Some("0") {
            return;
        }
        let after = header("x-ratelimit-reset-after").and_then(|text| text.parse().ok());
        if let Some(after) = after.and_then(http::seconds) {
            self.limit(name, after);
        }
    }

    fn limit(&self, name: &str, after: Duration) {
        let now = Instant::now();
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if limits.len() >= MAX_LIMITS {
            limits.retain(|_, until| *until > now);
        }
        if limits.len() < MAX_LIMITS
            && let Some(until) = now.checked_add(after)
        {
            limits.insert(name.to_owned(), until);
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Answer {
            body: body.as_bytes().to_vec(),
            headers: headers.iter().map(header).collect(),
            status: StatusCode::from_u16(status).unwrap(),
        }
    }

    #[tokio::test]
    async fn a_route_is_left_alone_once_its_limit_is_reached() {
        let token = Secret::new("t".to_owned());
        let api = Api::new(Some("http://127.0.0.1:1"), token, Duration::from_secs(1)).unwrap();
        let reset = ("x-ratelimit-reset-after", "60.5");
        api.learn_limit("POST a", &answer(200, &[("x-ratelimit-remaining", "1"), reset], ""));
        assert_eq!(api.limited("POST a"), None);
        api.learn_limit("POST a", &answer(200, &[("x-ratelimit-remaining", "0"), reset], ""));
        assert!(api.limited("POST a").unwrap() > Duration::from_secs(59));
        assert_eq!(api.limited("POST b"), None);

        let global = answer(429, &[("retry-after", "9")], r#"{"global":true,"retry_after":90.5}"#);
        let SendOutcome::Retry { after, .. } = api.refused("POST b", &global) else {
            panic!("a rate limit is no refusal for good")
        };
        assert_eq!(after, Some(Duration::from_millis(90_500)));
        assert!(api.limited("POST c").unwrap() > Duration::from_secs(89));

        // The front of the platform speaks no JSON.
        let front = answer(429, &[("retry-after", "9")], "<html>");
        let SendOutcome::Retry { after, .. } = api.refused("POST b", &front) else {
            panic!("a rate limit is no refusal for good")
        };
        assert_eq!(after, Some(Duration::from_secs(9)));
    }
}
