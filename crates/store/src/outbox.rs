//! The outbox: everything that leaves the gateway is a row first, and "delivered" is a receipt.

mod list;
mod notice;
mod poll;
mod put;
mod target;
mod work;

use openclaw_scopes::{GrantHolder, SessionKey, Timestamp};
use openclaw_sessions::Poll;

use crate::act::Failure;
use crate::sessions::{SendDenied, WITHHELD};

pub use list::{DeliveryCursor, DeliveryFilter, DeliveryPage, GetDelivery};
pub use notice::{LostNotice, Undelivered};
pub use poll::SendPoll;
pub(crate) use put::{Answer, answer};
pub use put::{BODY, DiscardDelivery, NewDelivery, RetryDelivery, SendGuard, SendMessage, WEBHOOK};
pub(crate) use put::{put, put_as_gateway};
pub use target::{Carrier, ReplyTo};
pub use work::{ClaimedDelivery, DeliveryFence, Lost, Progress};

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryState {
    /// It did not arrive, and is not tried again by itself.
    Dead,
    /// Somebody gave it up.
    Discarded,
    /// Some of its parts arrived, and the rest is not tried again by itself.
    Partial,
    /// It is being sent.
    Sending,
    /// It arrived: there is a receipt of each part.
    Sent,
    /// Whether it arrived cannot be told.
    Unknown,
    /// It waits to be sent.
    Waiting,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Dead,
        Self::Discarded,
        Self::Partial,
        Self::Sending,
        Self::Sent,
        Self::Unknown,
        Self::Waiting,
    ];

    /// Returns its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Partial => "partial",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
        }
    }

    /// Returns the state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A delivery as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// What it is of: a run, a request.
    pub source: String,
    /// Where it goes.
    pub to: ReplyTo,
    /// What is said.
    pub text: String,
    /// What is sent along: a URL; empty for nothing.
    pub media: String,
    /// What is asked; `None` for what is no poll.
    pub poll: Option<Poll>,
    /// The conversation that it belongs to.
    pub session: Option<SessionKey>,
    /// On whose behalf.
    pub on_behalf_of: GrantHolder,
    /// What has become of it.
    pub state: DeliveryState,
    /// In how many parts it goes; zero while that is not known.
    pub parts: u32,
    /// The platform's receipts of the parts that went.
    pub receipts: Vec<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; `None` when it is not.
    pub next_at: Option<Timestamp>,
    /// What went wrong last.
    pub error: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When nothing more was done with it.
    pub settled_at: Option<Timestamp>,
}

/// Why an operation on a delivery was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeliveryError {
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// Nothing leaves from where it was said, or is to be sent.
    #[error("{}", silent(.by, .channel))]
    SendPolicy {
        /// What says so.
        by: SendDenied,
        /// The channel that it was to go to.
        channel: String,
    },
    /// It is on its way, or has arrived.
    #[error("delivery `{id}` is {}: there is nothing to do about it", .state.name())]
    Settled {
        /// The delivery.
        id: String,
        /// What has become of it.
        state: DeliveryState,
    },
    /// Too much waits to be sent on the channel.
    #[error("{max} deliveries wait on channel `{channel}`, as many as may")]
    TooMany {
        /// The channel.
        channel: String,
        /// How many.
        max: u32,
    },
    /// There is no such delivery.
    #[error("no delivery `{0}`")]
    Unknown(String),
}

fn silent(by: &SendDenied, channel: &str) -> String {
    match by {
        SendDenied::Rules => {
            format!("nothing leaves there to channel `{channel}`: `session.sendPolicy` denies it")
        }
        SendDenied::Session(key) => {
            format!("nothing leaves from conversation `{key}`: its send policy is `deny`")
        }
    }
}

impl Failure for DeliveryError {
    fn reason(&self) -> &'static str {
        match self {
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::SendPolicy { .. } => WITHHELD,
            Self::Settled { .. } => "delivery-settled",
            Self::TooMany { .. } => "too-many-deliveries",
            Self::Unknown(_) => "unknown-delivery",
        }
    }
}
