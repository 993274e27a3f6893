//! The adapter of Telegram against a Telegram.

mod listening;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use openclaw_channels::{Backoff, Destination, Part, Telegram, TelegramOptions};
use openclaw_config::Secret;
use openclaw_sessions::ChatType;

/// For what is answered: the slowest machine is in time.
const PATIENT: Duration = Duration::from_secs(20);

/// For what is never answered: nobody wants to wait for it.
const HASTY: Duration = Duration::from_millis(300);

fn adapter_with(
    platform: &openclaw_platforms::Telegram,
    token: &str,
    timeout: Duration,
) -> Arc<Telegram> {
    let mut options = TelegramOptions::new("main", Secret::new(token.to_owned()));
    options.api_url = Some(platform.url());
    options.backoff = Backoff { first: Duration::from_millis(5), most: Duration::from_millis(20) };
    options.poll = Duration::from_secs(1);
    options.timeout = timeout;
    Arc::new(Telegram::new(options).unwrap())
}

fn adapter(platform: &openclaw_platforms::Telegram) -> Arc<Telegram> {
    adapter_with(platform, openclaw_platforms::Telegram::TOKEN, PATIENT)
}

fn hasty(platform: &openclaw_platforms::Telegram) -> Arc<Telegram> {
    adapter_with(platform, openclaw_platforms::Telegram::TOKEN, HASTY)
}

fn to(peer: &str) -> Destination {
    Destination {
        account: "main".to_owned(),
        channel: "telegram".to_owned(),
        kind: ChatType::Direct,
        peer: peer.to_owned(),
        thread: None,
    }
}

fn part(text: &str) -> Part {
    Part { text: text.to_owned(), plain: text.to_owned(), ..Part::default() }
}
