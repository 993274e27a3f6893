//! Channels: how text reaches people on other platforms, and how theirs comes in.
//!
//! **Invariant:** nothing is stored and nothing is decided here: what is sent, when it is sent
//! again and who may speak is the gateway's to say. A channel says what became of one attempt
//! ([`SendOutcome`]) and hands on what it hears ([`Ingress`]).

mod backoff;
mod discord;
mod fetch;
mod http;
mod inbound;
mod poll;
mod port;
mod telegram;
pub mod text;
mod webhook;

pub use backoff::Backoff;
pub use discord::{Discord, DiscordOptions};
pub use fetch::FetchError;
pub use inbound::{ButtonPress, Inbound, Media, MediaKind};
pub use poll::poll_limits;
pub use port::{
    Button, Channel, ConnectError, ConnectionStatus, Destination, Identity, Ingress, IngressError,
    ListenEnd, Part, PermanentKind, SendOutcome, StatusSink,
};
pub use telegram::{Telegram, TelegramOptions};
pub use text::{Dialect, parts};
pub use webhook::{WebhookOptions, WebhookSender, signing_key};
