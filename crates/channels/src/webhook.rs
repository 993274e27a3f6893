//! Webhooks: signed posts to addresses that somebody outside chose.
//!
//! They follow the Standard Webhooks specification: `webhook-id` is the idempotency key, and the
//! signature covers it, the time and the body. Since a receiver can tell a repeated post by its id,
//! a post whose outcome is unknown may be sent again: time-outs, lost connections and failures of
//! the receiver are [`SendOutcome::Retry`], never [`SendOutcome::Unknown`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use data_encoding::BASE64;
use reqwest::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Client, StatusCode, Url};
use ring::hmac;

use openclaw_config::Secret;
use openclaw_scopes::Timestamp;

use crate::fetch::{Reach, invalid};
use crate::http::{self, Answer, Failure};
use crate::port::{PermanentKind, SendOutcome};

/// The most bytes of an answer that are read. Reason: nothing in it is needed but its status.
const MAX_ANSWER: usize = 64 * 1024;

/// The longest URL.
const MAX_URL: usize = 4096;

/// The longest idempotency key and receipt.
const MAX_KEY: usize = 256;

/// What a signing secret may begin with; the rest is then its bytes in base 64.
const SECRET_PREFIX: &str = "whsec_";

/// How webhooks are sent.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Addresses that may be connected to although they are refused, each with its port. Only to
    /// them may a post be sent without TLS.
    pub allow: BTreeSet<SocketAddr>,
    /// Why an address must not be connected to, if it must not.
    pub refuse: fn(IpAddr) -> Option<&'static str>,
    /// How long one post may take once it is connected.
    pub timeout: Duration,
    /// What the gateway calls itself.
    pub user_agent: String,
}

impl WebhookOptions {
    /// Ten seconds for a post, and no exceptions.
    pub fn new(refuse: fn(IpAddr) -> Option<&'static str>, user_agent: &str) -> Self {
        Self {
            allow: BTreeSet::new(),
            refuse,
            timeout: Duration::from_secs(10),
            user_agent: user_agent.to_owned(),
        }
    }
}

/// Sends webhooks.
#[derive(Clone, Debug)]
pub struct WebhookSender {
    options: WebhookOptions,
}

impl WebhookSender {
    /// Sends webhooks in this way.
    pub fn new(options: WebhookOptions) -> Self {
        Self { options }
    }

    /// Posts a JSON body, once.
    ///
    /// The receipt is what the receiver gives as `webhook-receipt`, or else the key. A receiver
    /// that is gone, does not know the address or does not accept the signature is refused for
    /// good, and so is an address that must not be connected to; a redirect is not followed.
    pub async fn post(
        &self,
        url: &str,
        body: Vec<u8>,
        key: &str,
        secret: Option<&Secret>,
        now: Timestamp,
    ) -> SendOutcome {
        match self.try_post(url, body, key, secret, now).await {
            Ok(answer) => outcome(&answer, key),
            Err(outcome) => outcome,
        }
    }

    async fn try_post(
        &self,
        url: &str,
        body: Vec<u8>,
        key: &str,
        secret: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Answer, SendOutcome> {
        if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid("the key cannot be a header"));
        }
        if url.len() > MAX_URL {
            return Err(invalid("the URL is too long"));
        }
        let url = Url::parse(url).map_err(|error| invalid(&format!("not a URL: {error}")))?;
        let client = self.client_for(&url).await?;
        let seconds = now.as_millis().div_euclid(1000).to_string();
        let mut request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", key)
            .header("webhook-timestamp", &seconds);
        if let Some(secret) = secret {
            let signature = signature(secret, key, &seconds, &body)
                .ok_or_else(|| invalid("the secret is not base 64"))?;
            request = request.header("webhook-signature", signature);
        }
        match http::exchange(request.body(body), MAX_ANSWER).await {
            Ok(answer) => Ok(answer),
            Err(Failure::NotSent(error) | Failure::Unknown(error)) => {
                Err(SendOutcome::Retry { after: None, error })
            }
        }
    }

    /// Builds the client of one post: it can reach the addresses that passed the check, no other.
    async fn client_for(&self, url: &Url) -> Result<Client, SendOutcome> {
        let WebhookOptions { allow, refuse, timeout, .. } = &self.options;
        let reach = Reach { allow: allow.clone(), refuse: *refuse, timeout: *timeout };
        let builder = reach.client(url).await?;
        let agent = HeaderValue::from_str(&self.options.user_agent)
            .map_err(|_bad| invalid("the user agent cannot be a header"))?;
        builder
            .default_headers([(USER_AGENT, agent)].into_iter().collect())
            .build()
            .map_err(|error| SendOutcome::Retry { after: None, error: http::innermost(&error) })
    }
}

/// Returns the bytes of a key to sign with, as the specification writes them or as they are; `None` when what follows
/// its prefix is not base 64.
pub fn signing_key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix(SECRET_PREFIX) {
        Some(text) => BASE64.decode(text.as_bytes()).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

/// Signs what the specification says: the id, the time in seconds and the body.
fn signature(secret: &Secret, key: &str, seconds: &str, body: &[u8]) -> Option<String> {
    let bytes = signing_key(secret.expose())?;
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &bytes));
    for piece in [key.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        context.update(piece);
    }
    Some(format!("v1,{}", BASE64.encode(context.sign().as_ref())))
}

fn outcome(answer: &Answer, key: &str) -> SendOutcome {
    let status = answer.status;
    let error = format!("status {}", status.as_u16());
    let permanent = |kind| SendOutcome::Permanent { error: error.clone(), kind };
    match status {
        _ if status.is_success() => {
            let receipt = answer.headers.get("webhook-receipt");
            let receipt = receipt.and_then(|value| value.to_str().ok());
            let receipt = receipt.filter(|text| !text.is_empty() && text.len() <= MAX_KEY);
            SendOutcome::Sent { receipt: receipt.unwrap_or(key).to_owned() }
        }
        StatusCode::UNAUTHORIZED => permanent(PermanentKind::Auth),
        StatusCode::FORBIDDEN => permanent(PermanentKind::Forbidden),
        StatusCode::NOT_FOUND | StatusCode::GONE => permanent(PermanentKind::NotFound),
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => {
            SendOutcome::Retry { after: None, error }
        }
        StatusCode::TOO_MANY_REQUESTS => {
            SendOutcome::Retry { after: http::retry_after(&answer.headers), error }
        }
        _ if status.is_server_error() => {
            SendOutcome::Retry { after: http::retry_after(&answer.headers), error }
        }
        _ => permanent(PermanentKind::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's reference implementations.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            b"{\"test\": 2432232314}",
        );
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        let broken = Secret::new("whsec_?".to_owned());
        assert_eq!(signature(&broken, "k", "1", b""), None);
    }
}
