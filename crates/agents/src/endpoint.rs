//! Where a model provider is reached over HTTP: bounded, without proxies and without redirects.

mod client;
mod fault;

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use tokio::time::Instant;

use openclaw_config::Secret;

use crate::model::{Detail, ModelError};

pub use client::CONNECT_TIMEOUT;
pub(crate) use fault::{fault, words};

/// The longest silence of a provider in the cloud.
///
/// Reason: the reference's; models think long before their first word, and pings break the silence.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest silence of a provider on this machine or in this network.
///
/// Reason: the reference's; such a server may first have to load the model.
pub const IDLE_TIMEOUT_SELF_HOSTED: Duration = Duration::from_secs(300);

/// The longest time that one answer may take.
///
/// Reason: a stream that drips for ever is not idle; no sensible answer takes an hour.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(3600);

/// The most bytes of a refusal that are read. Reason: a sentence of it is all that is used.
const MAX_FAULT_BYTES: usize = 64 * 1024;

/// The longest time for reading a refusal. Reason: its status already says what is to be done.
const FAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A provider's address, key and patience; the connections to it are made on first use.
#[derive(Debug)]
pub struct Endpoint {
    base: Url,
    key: Option<Secret>,
    idle: Duration,
    total: Duration,
    client: OnceLock<Client>,
}

impl Endpoint {
    /// Checks where a provider is: `baseUrl` of the configuration, and the key if it needs one.
    ///
    /// # Errors
    /// When the address is no plain `http` or `https` address, when the key cannot be sent, or when
    /// it would cross the internet unencrypted.
    pub fn parse(base_url: &str, key: Option<Secret>) -> Result<Self, ParseEndpointError> {
        let mut base = Url::parse(base_url.trim())
            .map_err(|error| ParseEndpointError::NotAnAddress { problem: error.to_string() })?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(ParseEndpointError::Scheme);
        }
        let is_decorated = base.query().is_some()
            || base.fragment().is_some()
            || !base.username().is_empty()
            || base.password().is_some();
        if is_decorated {
            return Err(ParseEndpointError::Decorated);
        }
        let key = key.map(|key| Secret::new(key.expose().trim().to_owned()));
        let key = key.filter(|key| !key.expose().is_empty());
        if key.as_ref().is_some_and(|key| HeaderValue::from_str(key.expose()).is_err()) {
            return Err(ParseEndpointError::Key);
        }
        let is_near = is_self_hosted(&base);
        if base.scheme() == "http" && key.is_some() && !is_near {
            return Err(ParseEndpointError::Unencrypted);
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let idle = if is_near { IDLE_TIMEOUT_SELF_HOSTED } else { IDLE_TIMEOUT };
        Ok(Self { base, client: OnceLock::new(), idle, key, total: TOTAL_TIMEOUT })
    }

    /// Sets the longest silence and the longest time of one answer.
    #[must_use]
    pub fn with_timeouts(mut self, idle: Duration, total: Duration) -> Self {
        self.idle = idle;
        self.total = total;
        self
    }

    /// Returns the time at which an answer that begins now must be whole.
    pub(crate) fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.total).unwrap_or(now)
    }

    /// Sends the question and returns the answer's stream once it has begun.
    pub(crate) async fn post(
        &self,
        path: &str,
        key_header: KeyHeader,
        headers: HeaderMap,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<Response, ModelError> {
        let mut url = self.base.clone();
        let base = self.base.path().trim_end_matches('/');
        // Whoever writes the version into an address of a dialect that adds it means it once.
        let base = if path.starts_with("/v1/") { base.trim_end_matches("/v1") } else { base };
        url.set_path(&format!("{base}{path}"));
        let mut request = self.client()?.post(url).headers(headers).body(body);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some((name, value)) = self.key_header(key_header) {
            request = request.header(name, value);
        }
        let sent = self.in_time(request.send(), "the beginning of the answer", deadline).await?;
        let response = sent.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type =
            content_type.and_then(|value| value.to_str().ok()).unwrap_or("none").to_owned();
        if !status.is_success() {
            let headers = response.headers().clone();
            let body = self.read_fault(response, deadline).await;
            return Err(fault::from_response(status, &headers, &body, self.key_text()));
        }
        let is_stream = content_type
            .split(';')
            .next()
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"));
        if !is_stream {
            let what = format!("its content type is `{content_type}`, not `text/event-stream`");
            return Err(ModelError::protocol(&what));
        }
        Ok(response)
    }

    /// Returns the next piece of the answer, or nothing after the last one.
    pub(crate) async fn piece(
        &self,
        response: &mut Response,
        deadline: Instant,
    ) -> Result<Option<Bytes>, ModelError> {
        let piece = self.in_time(response.chunk(), "more of the answer", deadline).await?;
        piece.map_err(|error| self.broken(&error))
    }

    /// Returns the key as text, empty if there is none. For taking it out of what is shown.
    pub(crate) fn key_text(&self) -> &str {
        self.key.as_ref().map_or("", Secret::expose)
    }

    fn key_header(&self, header: KeyHeader) -> Option<(HeaderName, HeaderValue)> {
        let key = self.key.as_ref()?.expose();
        let (name, text) = match header {
            KeyHeader::Bearer => (reqwest::header::AUTHORIZATION, format!("Bearer {key}")),
            KeyHeader::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }

    async fn in_time<T>(
        &self,
        future: impl Future<Output = T>,
        what: &str,
        deadline: Instant,
    ) -> Result<T, ModelError> {
        let now = Instant::now();
        let silence = now.checked_add(self.idle).unwrap_or(deadline);
        let Ok(done) = tokio::time::timeout_at(silence.min(deadline), future).await else {
            let what = if deadline < silence { "the end of the answer" } else { what };
            return Err(ModelError::timeout(&format!("waited in vain for {what}")));
        };
        Ok(done)
    }

    /// Reads what a refusal says, as far as it is useful; a broken one is as good as none.
    async fn read_fault(&self, mut response: Response, deadline: Instant) -> Vec<u8> {
        let mut body = Vec::new();
        let now = Instant::now();
        let patience = now.checked_add(self.idle.min(FAULT_TIMEOUT)).unwrap_or(now);
        let deadline = deadline.min(patience);
        while let Ok(Some(piece)) = self.piece(&mut response, deadline).await {
            body.extend_from_slice(&piece);
            if body.len() > MAX_FAULT_BYTES {
                break;
            }
        }
        body
    }

    fn broken(&self, error: &reqwest::Error) -> ModelError {
        let detail = Detail::redacted(&client::chain(error), self.key_text());
        if error.is_timeout() {
            return ModelError::Timeout { detail };
        }
        ModelError::Network { detail }
    }

    fn client(&self) -> Result<&Client, ModelError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = client::build(&self.base)?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// In which header a provider wants the key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyHeader {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `x-api-key: …`.
    XApiKey,
}

/// Why an address or a key cannot be used. The key is never repeated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseEndpointError {
    /// It has parts that have no meaning here.
    #[error("`baseUrl` may have no user, password, query or fragment")]
    Decorated,
    /// The key has characters that no header may have.
    #[error("the key has characters that cannot be sent, such as a line break")]
    Key,
    /// It is no address at all.
    #[error("`baseUrl` is not an address: {problem}")]
    NotAnAddress {
        /// What is wrong.
        problem: String,
    },
    /// It is an address of something else.
    #[error("`baseUrl` must begin with `http://` or `https://` and name a host")]
    Scheme,
    /// The key would be readable for everybody on the way.
    #[error("a key is not sent over plain `http` to a host outside this network: use `https`")]
    Unencrypted,
}

/// Returns whether the address is one of this machine or of a private network.
fn is_self_hosted(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        Ok(IpAddr::V6(v6)) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
        Err(_) => {
            let suffixes = [".local", ".lan", ".internal", ".home.arpa", ".localhost"];
            !host.contains('.') || suffixes.iter().any(|suffix| host.ends_with(suffix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        use ParseEndpointError::{Decorated, Key, Scheme, Unencrypted};
        #[rustfmt::skip]
        let table = [
            ("http://127.0.0.1:11434/v1",   "",    Ok(300)),
            ("http://[::1]:8080/",          "k",   Ok(300)),
            ("http://ollama:11434/v1/",     "k",   Ok(300)),
            ("http://192.168.1.7/v1",       "k",   Ok(300)),
            ("https://api.openai.com/v1",   "k\n", Ok(120)),
            ("http://api.example.com/v1",   "",    Ok(120)),
            ("http://api.example.com/v1",   " ",   Ok(120)),
            ("http://api.example.com/v1",   "k",   Err(Unencrypted)),
            ("https://api.example.com/v1",  "a\nb", Err(Key)),
            ("ftp://example.com",           "",    Err(Scheme)),
            ("https://u:p@example.com",     "",    Err(Decorated)),
            ("https://example.com/?a=b",    "",    Err(Decorated)),
        ];
        for (url, key, expected) in table {
            let key = (!key.is_empty()).then(|| Secret::new(key.to_owned()));
            let idle = Endpoint::parse(url, key).map(|endpoint| endpoint.idle.as_secs());
            assert_eq!(idle, expected, "{url}");
        }
        assert!(Endpoint::parse("what", None).is_err());
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = Secret::new("sk-very-secret".into());
        let endpoint = Endpoint::parse("https://example.com", Some(key)).unwrap();
        assert!(!format!("{endpoint:?}").contains("very"));
    }
}
