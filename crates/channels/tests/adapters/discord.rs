//! The adapter of Discord against a Discord.

mod listening;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use openclaw_channels::{Backoff, Destination, Discord, DiscordOptions, Part};
use openclaw_config::Secret;
use openclaw_sessions::ChatType;

/// For what is answered: the slowest machine is in time.
const PATIENT: Duration = Duration::from_secs(20);

/// For what is never answered: nobody wants to wait for it.
const HASTY: Duration = Duration::from_millis(300);

fn adapter_with(
    platform: &openclaw_platforms::Discord,
    token: &str,
    timeout: Duration,
) -> Arc<Discord> {
    let soon = Backoff { first: Duration::from_millis(5), most: Duration::from_millis(20) };
    let mut options = DiscordOptions::new("main", Secret::new(token.to_owned()));
    options.api_url = Some(platform.url());
    options.backoff = soon;
    options.gateway_url = Some(platform.gateway_url());
    options.introductions = soon;
    options.timeout = timeout;
    Arc::new(Discord::new(options).unwrap())
}

fn adapter(platform: &openclaw_platforms::Discord) -> Arc<Discord> {
    adapter_with(platform, openclaw_platforms::Discord::TOKEN, PATIENT)
}

fn hasty(platform: &openclaw_platforms::Discord) -> Arc<Discord> {
    adapter_with(platform, openclaw_platforms::Discord::TOKEN, HASTY)
}

fn to(peer: &str, kind: ChatType) -> Destination {
    Destination {
        account: "main".to_owned(),
        channel: "discord".to_owned(),
        kind,
        peer: peer.to_owned(),
        thread: None,
    }
}

fn part(text: &str) -> Part {
    Part { text: text.to_owned(), plain: text.to_owned(), ..Part::default() }
}
