//! A receiver of webhooks that checks their signatures.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use data_encoding::BASE64;
use ring::hmac;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::Answer;
use crate::desk::{Desk, Received};
use crate::server::{self, Reply, Site};

/// The one route of a receiver.
const ROUTE: &str = "post";

/// A receiver of webhooks that lives as long as the value.
#[derive(Debug)]
pub struct WebSink {
    address: SocketAddr,
    server: JoinHandle<()>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    desk: Desk,
}

impl WebSink {
    /// Starts a receiver.
    pub async fn start() -> Self {
        let state = Arc::new(State { desk: Desk::new() });
        let (address, server) = server::start(Arc::clone(&state)).await;
        Self { address, server, state }
    }

    /// Returns the URL to post to.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets how the next posts are answered.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.desk.script(ROUTE, answers);
    }

    /// Returns what was posted.
    pub fn received(&self) -> Vec<Received> {
        self.state.desk.received(ROUTE)
    }

    /// Returns how much was posted.
    pub fn count(&self) -> usize {
        self.state.desk.count(ROUTE)
    }

    /// Waits until so many posts have come in all.
    pub async fn wait_for(&self, count: usize) {
        self.state.desk.wait(|| self.count() >= count).await;
    }

    /// Returns whether a post carries the signature that the secret makes.
    pub fn is_signed(post: &Received, secret: &[u8]) -> bool {
        let header = |name: &str| post.headers.get(name).map(String::as_str).unwrap_or_default();
        let signature = header("webhook-signature").strip_prefix("v1,").unwrap_or_default();
        let Ok(signature) = BASE64.decode(signature.as_bytes()) else { return false };
        let mut signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
        signed.push_str(&String::from_utf8_lossy(&post.body));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
    }
}

impl Drop for WebSink {
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
            ROUTE.clone_into(&mut request.route);
            let answer = self.desk.take(request);
            self.desk.done();
            let ok = Reply::json(200, &json!({ "ok": true }));
            match answer {
                Answer::AcceptThenClose => Reply::Close,
                Answer::Big(bytes) => {
                    Reply::Say { body: vec![b'x'; bytes], headers: Vec::new(), status: 200 }
                }
                Answer::HangAfterAccept => Reply::Hang,
                // A receiver's body means nothing, so it cannot be wrong.
                Answer::Malformed | Answer::Normal => ok,
                Answer::RateLimited { after } => Reply::Say {
                    body: Vec::new(),
                    headers: vec![("retry-after", after.as_secs().to_string())],
                    status: 429,
                },
                Answer::Redirect { to } => {
                    Reply::Say { body: Vec::new(), headers: vec![("location", to)], status: 307 }
                }
                Answer::Refused { status, text } => {
                    Reply::Say { body: text.into_bytes(), headers: Vec::new(), status }
                }
                Answer::Status(status) => {
                    Reply::Say { body: Vec::new(), headers: Vec::new(), status }
                }
            }
        })
    }
}
