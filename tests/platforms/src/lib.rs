//! Local servers that behave like chat platforms, for tests.
//!
//! Each listens on a port of this machine, remembers what it was asked, and misbehaves when told
//! to ([`Answer`]). Nothing here sleeps: whoever waits, waits for an event, and at most
//! [`PATIENCE`].

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code"
)]

mod answer;
mod desk;
mod discord;
mod files;
mod server;
mod telegram;
mod web_sink;

use std::time::Duration;

pub use answer::Answer;
pub use desk::Received;
pub use discord::{Discord, Resumable, Say, SentToDiscord};
pub use telegram::{SentToTelegram, Telegram, Tell};
pub use web_sink::WebSink;

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must happen soon.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("what must happen did not happen")
}
