//! A model provider on a port of this machine that behaves as it is told.

mod anthropic;
mod behavior;
mod http;
mod openai;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub use behavior::Behavior;

/// The wire format that a provider speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Api {
    /// The messages of Anthropic.
    Anthropic,
    /// The chat completions of `OpenAI`.
    OpenAi,
}

/// A request that a provider received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path that was asked.
    pub path: String,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: Value,
}

/// A model provider that lives as long as the value.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    api: Api,
    behaviors: Mutex<VecDeque<Behavior>>,
    permits: Semaphore,
    received: Mutex<Vec<Received>>,
    seen: watch::Sender<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    requests: usize,
    now: usize,
    most: usize,
}

impl Provider {
    /// Starts a provider whose requests meet these behaviors, one after the other; the last one
    /// stays.
    pub async fn start(api: Api, behaviors: impl IntoIterator<Item = Behavior>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            api,
            behaviors: Mutex::new(behaviors.into_iter().collect()),
            permits: Semaphore::new(0),
            received: Mutex::new(Vec::new()),
            seen: watch::Sender::new(Seen::default()),
        });
        let server = tokio::spawn(http::serve(listener, Arc::clone(&shared)));
        Self { address, shared, server }
    }

    /// Starts a provider of the chat completions.
    pub async fn openai(behaviors: impl IntoIterator<Item = Behavior>) -> Self {
        Self::start(Api::OpenAi, behaviors).await
    }

    /// Returns the wire format.
    pub fn api(&self) -> Api {
        self.shared.api
    }

    /// Returns the `baseUrl` under which a gateway reaches it.
    pub fn url(&self) -> String {
        match self.shared.api {
            Api::Anthropic => format!("http://{}", self.address),
            Api::OpenAi => format!("http://{}/v1", self.address),
        }
    }

    /// Lets so many requests that are held go on.
    pub fn release(&self, requests: usize) {
        self.shared.permits.add_permits(requests);
    }

    /// Waits until so many requests have come in all.
    pub async fn requests(&self, count: usize) {
        let mut seen = self.shared.seen.subscribe();
        crate::soon(seen.wait_for(|seen| seen.requests >= count)).await.unwrap();
    }

    /// Waits until no request is being answered.
    pub async fn idle(&self) {
        let mut seen = self.shared.seen.subscribe();
        crate::soon(seen.wait_for(|seen| seen.now == 0)).await.unwrap();
    }

    /// Returns the requests that came.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Returns how many requests were in work at once, at the most.
    pub fn most_at_once(&self) -> usize {
        self.shared.seen.borrow().most
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn next_behavior(&self) -> Behavior {
        let mut behaviors = self.behaviors.lock().unwrap();
        if behaviors.len() > 1 {
            return behaviors.pop_front().unwrap();
        }
        behaviors.front().cloned().expect("a provider has a behavior")
    }

    fn began(&self, received: Received) {
        self.received.lock().unwrap().push(received);
        self.seen.send_modify(|seen| {
            seen.requests += 1;
            seen.now += 1;
            seen.most = seen.most.max(seen.now);
        });
    }

    fn ended(&self) {
        self.seen.send_modify(|seen| seen.now -= 1);
    }
}
