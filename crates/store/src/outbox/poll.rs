//! Polls: what leaves to be voted for.

use openclaw_scopes::method::SendPoll as Method;
use openclaw_scopes::target::{DestinationTarget, Reach};
use openclaw_scopes::{Authorized, IdempotencyKey, Timestamp};
use openclaw_sessions::Poll;
use rusqlite::Row;

use super::put::{SendGuard, accept};
use super::{Delivery, DeliveryError, NewDelivery, ReplyTo};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, damaged};

/// Sends a poll, on behalf of the caller. A retry is the same poll; one name is that of one message or poll.
#[derive(Clone, Debug)]
pub struct SendPoll {
    /// Names the request.
    pub idempotency_key: IdempotencyKey,
    /// SHA-256 of what was asked for.
    pub digest: [u8; 32],
    /// Where it goes.
    pub to: ReplyTo,
    /// What is asked.
    pub poll: Poll,
    /// What holds it back.
    pub guard: Option<SendGuard>,
}

impl Ask for SendPoll {
    type Method = Method;
    type Output = Delivery;
    type Error = DeliveryError;

    fn target(&self, _: &Transaction<'_>) -> Result<DestinationTarget, Fault<DeliveryError>> {
        let (channel, peer) = (self.to.channel.as_str().into(), self.to.peer.as_str().into());
        Ok(DestinationTarget { channel, peer, reach: Reach::Agents })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Method>,
        now: Timestamp,
    ) -> Result<Applied<Delivery>, Fault<DeliveryError>> {
        let (caller, _) = authorized.into_parts();
        let new = NewDelivery {
            source: String::new(),
            digest: self.digest,
            to: self.to.clone(),
            text: String::new(),
            media: String::new(),
            session: String::new(),
            buttons: Vec::new(),
            poll: Some(self.poll.clone()),
        };
        accept(tx, &caller, &self.idempotency_key, new, self.guard.as_ref(), now)
    }
}

/// Reads the poll that a row is, if it is one.
pub(super) fn read(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Poll>> {
    let stored: String = row.get(column)?;
    if stored.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&stored).map(Some).map_err(|error| damaged(column, error))
}
