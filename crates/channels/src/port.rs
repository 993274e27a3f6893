//! The port between the gateway and a chat platform: what is sent, what is heard, what became of it.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use openclaw_sessions::{ChatType, Poll};

use crate::fetch::FetchError;
use crate::inbound::{ButtonPress, Inbound, Media};
use crate::text::Dialect;

/// Where a message goes: fixed when it was created.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Destination {
    /// The account of the gateway on the channel.
    pub account: String,
    /// The channel, such as `discord`.
    pub channel: String,
    /// With how many the conversation is.
    pub kind: ChatType,
    /// The person, group or room, as the platform names it.
    ///
    /// Discord: the id of a channel, or that of a person if the kind is direct; `channel:<id>` and
    /// `user:<id>` say it whatever the kind. Telegram: the id of a chat.
    pub peer: String,
    /// The thread below the peer.
    pub thread: Option<String>,
}

/// One part of a message, ready for the platform.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// What can be pressed below the text.
    pub buttons: Vec<Button>,
    /// A picture or file that the platform shows with the text: an `https` URL.
    pub media: Option<String>,
    /// The text without markup, for a platform that refuses the markup.
    pub plain: String,
    /// What is asked for votes, instead of all that is said: one that fits the platform.
    pub poll: Option<Poll>,
    /// The platform's id of the message that this answers.
    pub reply_to: Option<String>,
    /// Whether the platform is asked not to make a noise.
    pub silent: bool,
    /// The text, rendered for the platform.
    pub text: String,
}

/// Something below a message that a person can press.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Button {
    /// What comes back when it is pressed: at most 64 bytes.
    pub data: String,
    /// What stands on it.
    pub label: String,
}

/// What became of one attempt to send one part.
///
/// The rule behind the variants: only what certainly had no effect may be tried again without a
/// second thought. A connection that was never made had none, and a refusal had none. A time-out
/// or a lost connection after the request was written, an answer that cannot be read, and a
/// failure inside the platform (status 500 and above) may hide a message that was delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum SendOutcome {
    /// It was not sent, and trying again changes nothing.
    Permanent {
        /// What the platform said. For the log.
        error: String,
        /// What kind of refusal it is.
        kind: PermanentKind,
    },
    /// It was certainly not sent; it may be tried again.
    Retry {
        /// How long the platform wants to be left alone.
        after: Option<Duration>,
        /// What happened. For the log.
        error: String,
    },
    /// The platform has it.
    Sent {
        /// The platform's id of the message.
        receipt: String,
    },
    /// The request was written, and what became of it cannot be told.
    Unknown {
        /// What happened. For the log.
        error: String,
    },
}

/// Why a message can never be delivered in this way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PermanentKind {
    /// The token or signature is not accepted.
    Auth,
    /// The platform knows who asks, and refuses: blocked, kicked or without permission.
    Forbidden,
    /// The request itself is wrong.
    Invalid,
    /// There is no such person, room or address.
    NotFound,
}

/// Who the gateway is on a platform.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The immutable id.
    pub id: String,
    /// The name that people see or call.
    pub name: String,
}

/// How a channel's connection is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConnectionStatus {
    /// It hears what people say.
    Connected,
    /// It is being made.
    Connecting,
    /// It was lost or could not be made, and is tried again.
    Reconnecting {
        /// What happened.
        error: String,
    },
    /// Nobody listens any more.
    Stopped,
}

/// Why a channel no longer listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenEnd {
    /// It was told to stop.
    Cancelled,
    /// The platform will never let it in as it is configured.
    Fatal {
        /// What the platform said.
        error: String,
    },
}

/// Takes what a channel hears.
pub trait Ingress: Debug + Send + Sync {
    /// Takes a message into custody. When it returns `Ok`, the message survives a crash.
    fn accept<'a>(&'a self, message: Inbound) -> BoxFuture<'a, Result<(), IngressError>>;

    /// Takes the press of a button into custody, likewise.
    fn pressed<'a>(&'a self, press: ButtonPress) -> BoxFuture<'a, Result<(), IngressError>>;
}

/// Why something heard was not taken; the channel offers it again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the ingress is unavailable: {reason}")]
pub struct IngressError {
    /// What stands in the way.
    pub reason: String,
}

/// Is told how a channel's connection is.
pub trait StatusSink: Debug + Send + Sync {
    /// Notes the status. It must not block.
    fn status(&self, status: ConnectionStatus);
}

/// An account of the gateway on a chat platform.
pub trait Channel: Debug + Send + Sync {
    /// Returns the name of the channel, such as `discord`.
    fn name(&self) -> &str;

    /// Returns the account of the gateway.
    fn account(&self) -> &str;

    /// Returns how text is written there.
    fn dialect(&self) -> Dialect;

    /// Returns how long after an attempt the same key certainly sends nothing twice, if at all.
    ///
    /// Within that time an [`SendOutcome::Unknown`] may be tried again with the same key.
    fn replay_window(&self) -> Option<Duration>;

    /// Whether a text is so long that the platform may have cut it off, and tells of the rest as another message.
    fn may_go_on(&self, _text: &str) -> bool {
        false
    }

    /// Sends one part, once. `key` is the idempotency key of this very part.
    fn send<'a>(
        &'a self,
        to: &'a Destination,
        part: &'a Part,
        key: &'a str,
    ) -> BoxFuture<'a, SendOutcome>;

    /// Shows that an answer is being written. A failure is of no consequence.
    fn typing<'a>(&'a self, to: &'a Destination) -> BoxFuture<'a, ()>;

    /// Fetches what came with a message, if it has at most so many bytes, from where the platform keeps it.
    fn fetch<'a>(
        &'a self,
        media: &'a Media,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<u8>, FetchError>>;

    /// Listens until it is cancelled or can never be let in.
    ///
    /// It reconnects by itself, and confirms a message to the platform only once the ingress has
    /// it; what the ingress does not take is offered again.
    fn listen<'a>(
        &'a self,
        ingress: &'a dyn Ingress,
        status: &'a dyn StatusSink,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, ListenEnd>;

    /// Asks the platform who the gateway is there.
    fn check(&self) -> BoxFuture<'_, Result<Identity, SendOutcome>>;
}

/// Why the client of a platform cannot be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConnectError {
    /// An address of the platform is none.
    #[error("`{url}` is not the address of a platform")]
    Address {
        /// What was given.
        url: String,
    },
    /// TLS cannot be set up.
    #[error("the client cannot be made: {problem}")]
    Client {
        /// What is wrong.
        problem: String,
    },
    /// The token has characters that cannot be sent.
    #[error("the token has characters that cannot be sent")]
    Token,
}
