//! Finding deliveries.

use openclaw_scopes::method::{ListDeliveries, ReadDelivery};
use openclaw_scopes::target::Whole;
use openclaw_scopes::{Authorized, GrantHolder, IdempotencyKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Delivery, DeliveryError, DeliveryState, ReplyTo, poll};
use crate::act::Query;
use crate::error::{Fault, StoreError, damaged};
use crate::filter::{Clauses, Rows};
use crate::handle::Store;

const SELECT: &str =
    "SELECT id, delivery, source, channel, account, kind, peer, thread, answers, text, media,
    session, on_behalf_of, state, parts, receipts, attempts, next_at, error, created_at, settled_at,
    poll
    FROM outbox";

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not what was stored")]
struct Unreadable(String);

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let text = |column: usize| row.get::<_, String>(column);
    let (session, state) = (text(11)?, text(13)?);
    let state =
        DeliveryState::parse(&state).ok_or_else(|| damaged(13, Unreadable(state.clone())))?;
    let next: i64 = row.get(17)?;
    let settled: Option<i64> = row.get(20)?;
    let on_behalf_of = text(12)?.parse().map_err(|error| damaged(12, error))?;
    let source = text(2)?;
    // A code stands in it, which is for those who may list who asked to be let in.
    //= docs/threat-model.md#T29
    let is_code = on_behalf_of == GrantHolder::Gateway && source.starts_with("door:");
    Ok(Delivery {
        id: text(1)?,
        source,
        to: ReplyTo {
            channel: text(3)?,
            account: text(4)?,
            kind: text(5)?,
            peer: text(6)?,
            thread: text(7)?,
            answers: text(8)?,
            ..ReplyTo::default()
        },
        text: if is_code { String::new() } else { text(9)? },
        media: text(10)?,
        poll: poll::read(row, 21)?,
        session: match session.as_str() {
            "" => None,
            key => Some(key.parse().map_err(|error| damaged(11, error))?),
        },
        on_behalf_of,
        state,
        parts: row.get(14)?,
        receipts: serde_json::from_str(&text(15)?).map_err(|error| damaged(15, error))?,
        attempts: row.get(16)?,
        next_at: (state == DeliveryState::Waiting).then(|| Timestamp::from_millis(next)),
        error: text(18)?,
        created_at: Timestamp::from_millis(row.get(19)?),
        settled_at: settled.map(Timestamp::from_millis),
    })
}

/// Finds a delivery by its id.
pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Delivery>> {
    let sql = format!("{SELECT} WHERE delivery = ?1");
    connection.prepare_cached(&sql)?.query_row([id], delivery).optional()
}

/// Asks for one delivery.
#[derive(Clone, Debug)]
pub struct GetDelivery(pub String);

impl Query for GetDelivery {
    type Method = ReadDelivery;
    type Output = Delivery;
    type Error = DeliveryError;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<DeliveryError>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadDelivery>,
    ) -> Result<Delivery, Fault<DeliveryError>> {
        let (_, Whole) = authorized.into_parts();
        let unknown = || DeliveryError::Unknown(self.0.chars().take(64).collect());
        find(connection, &self.0)?.ok_or_else(|| Fault::Domain(unknown()))
    }
}

/// Where a page of deliveries ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeliveryCursor(pub i64);

/// Which deliveries are wanted.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only those on this channel; empty for all.
    pub channel: String,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those before this place; `None` for the newest.
    pub after: Option<DeliveryCursor>,
    /// Rows of the page.
    pub limit: u32,
}

/// A page of deliveries, the newest first.
#[derive(Clone, Debug)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// Where the page ends; `None` on the last one.
    pub next: Option<DeliveryCursor>,
}

impl Query for DeliveryFilter {
    type Method = ListDeliveries;
    type Output = DeliveryPage;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListDeliveries>,
    ) -> Result<DeliveryPage, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        let mut clauses = Clauses::of(SELECT);
        if let Some(DeliveryCursor(row)) = self.after {
            clauses.narrow("id < ?").bind(row);
        }
        if !self.channel.is_empty() {
            clauses.narrow("channel = ?").bind(self.channel.clone());
        }
        if let Some(state) = self.state {
            clauses.narrow("state = ?").bind(state.name());
        }
        let read = |row: &Row<'_>| Ok((DeliveryCursor(row.get(0)?), delivery(row)?));
        let cursor = |(cursor, _): &(DeliveryCursor, Delivery)| *cursor;
        let Rows { rows, next } = clauses.page(connection, "id DESC", self.limit, read, cursor)?;
        Ok(DeliveryPage { deliveries: rows.into_iter().map(|(_, it)| it).collect(), next })
    }
}

impl Store {
    /// Returns whether a holder's request of this name was accepted: [`SendMessage`](super::SendMessage) would write
    /// nothing new.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn was_sent(
        &self,
        holder: &GrantHolder,
        request: &IdempotencyKey,
    ) -> Result<bool, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE source = ?1)";
            let source = format!("send:{holder}:{request}");
            Ok(connection.prepare_cached(sql)?.query_row([source], |row| row.get(0))?)
        })
    }
}
