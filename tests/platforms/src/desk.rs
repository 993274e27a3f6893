//! What every platform keeps: what it was asked, and how it is to answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::Answer;

/// Requests that are remembered at most.
const MAX_RECEIVED: usize = 10_000;

/// A request that a platform received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The body.
    pub body: Vec<u8>,
    /// The headers, under their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// What the platform calls this kind of request.
    pub route: String,
}

impl Received {
    /// Returns the body as JSON, null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What a platform was asked, and how it is to answer.
#[derive(Debug)]
pub(crate) struct Desk {
    count: watch::Sender<usize>,
    received: Mutex<Vec<Received>>,
    scripts: Mutex<BTreeMap<String, VecDeque<Answer>>>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { count: watch::Sender::new(0), received: Mutex::default(), scripts: Mutex::default() }
    }

    /// Sets how the next requests of a route are answered.
    pub(crate) fn script(&self, route: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.entry(route.to_owned()).or_default().extend(answers);
    }

    /// Notes a request, and returns how it is to be answered.
    pub(crate) fn take(&self, request: Received) -> Answer {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = scripts.get_mut(&request.route).and_then(VecDeque::pop_front);
        drop(scripts);
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(received.len() < MAX_RECEIVED, "a platform is asked without end");
        received.push(request);
        drop(received);
        answer.unwrap_or(Answer::Normal)
    }

    /// Tells those who wait that a request has had its effect.
    pub(crate) fn done(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Returns what was asked of a route.
    pub(crate) fn received(&self, route: &str) -> Vec<Received> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().filter(|request| request.route == route).cloned().collect()
    }

    /// Returns how much was asked of a route.
    pub(crate) fn count(&self, route: &str) -> usize {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().filter(|request| request.route == route).count()
    }

    /// Waits until something holds; it is looked at after every request.
    pub(crate) async fn wait(&self, holds: impl Fn() -> bool) {
        let mut count = self.count.subscribe();
        crate::soon(count.wait_for(|_| holds())).await.unwrap();
    }
}
