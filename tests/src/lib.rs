//! The harness of the end-to-end tests: gateways in the test's process, clients, and model
//! providers that behave as they are told.
//!
//! Nothing here sleeps: whoever waits, waits for an event, and at most [`PATIENCE`].

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "test code"
)]

mod alone;
mod client;
mod device;
mod dial;
mod gateway;
mod hook;
mod log;
mod provider;
mod refusal;
mod turn;

use std::time::Duration;

pub use alone::alone;
pub use client::{Client, Metadata, connect};
pub use device::{Attempt, Connected, Device, names};
pub use dial::{dial, dial_from, dial_tcp, loopback, shake_hands};
pub use gateway::{Setup, Stopped, TestGateway};
pub use hook::{Answered, exchange, post};
pub use log::{Line, Log};
pub use provider::{Api, Behavior, Provider, Received};
pub use refusal::Refusal;
pub use turn::{Asked, Events, ask, request, start};

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen soon.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("what must happen did not happen")
}

/// Does something beside what the test goes on to do.
pub fn background<T: Send + 'static>(
    what: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(what)
}

/// Returns the present instant, as a length since the epoch.
pub fn since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

/// Returns the present instant in seconds since the epoch, for what is to be due now.
pub fn seconds_now() -> i64 {
    i64::try_from(since_epoch().as_secs()).unwrap()
}
