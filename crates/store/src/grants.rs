//! What holders may do, as it stands now, and the one place where it ends.

use openclaw_pairing::Baseline;
use openclaw_scopes::{DeviceId, Epoch, Grant, GrantHolder, RunId, ScopeSet, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::act::{Transaction, live_epoch};
use crate::error::{StoreError, damaged};
use crate::handle::Store;
use crate::people;
use crate::runs::grant_of_run;

/// A grant whose former epochs are void.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// Whose.
    pub holder: GrantHolder,
    /// What became of it.
    pub how: End,
}

/// What became of a grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Its holder has another one, and must prove anew who it is.
    Replaced,
    /// Its holder has none any more.
    Withdrawn,
}

/// Gives a holder a grant, or back what it lost: older epochs stay void.
pub(crate) fn begin(connection: &Connection, holder: &GrantHolder) -> rusqlite::Result<()> {
    let sql = "INSERT INTO grants (holder, epoch) VALUES (?1, 1)
               ON CONFLICT (holder) DO UPDATE SET epoch = epoch + 1, ended_at = NULL
                   WHERE ended_at IS NOT NULL";
    connection.prepare_cached(sql)?.execute([holder.to_string()]).map(|_| ())
}

/// Voids the epochs of a holder's grant. Whoever listens is told once it is on disk, before the answer.
//= docs/threat-model.md#T32
pub(crate) fn end(
    tx: &Transaction<'_>,
    holder: &GrantHolder,
    how: End,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let ended_at = match how {
        End::Replaced => None,
        End::Withdrawn => Some(now.as_millis()),
    };
    let sql = "UPDATE grants SET epoch = epoch + 1, ended_at = ?2
               WHERE holder = ?1 AND ended_at IS NULL";
    let changed = tx.prepare_cached(sql)?.execute(params![holder.to_string(), ended_at])?;
    if changed > 0 {
        if how == End::Withdrawn {
            crate::cron::suspend(tx, holder, now)?;
        }
        tx.note_ended(Ended { holder: holder.clone(), how });
    }
    Ok(())
}

/// Returns what a holder may do now, and since which epoch; `None` when it has no grant.
pub(crate) fn live(
    connection: &Connection,
    holder: &GrantHolder,
) -> rusqlite::Result<Option<(Epoch, ScopeSet)>> {
    let Some(epoch) = live_epoch(connection, holder)? else { return Ok(None) };
    let scopes = match holder {
        GrantHolder::Owner => Some(ScopeSet::ALL),
        GrantHolder::Gateway => Some(ScopeSet::EMPTY),
        GrantHolder::Device(id) => baseline_of(connection, id)?.map(Baseline::granted),
        GrantHolder::Token(id) => {
            let sql = "SELECT scopes FROM tokens WHERE id = ?1 AND revoked_at IS NULL";
            let scopes = scopes_of(connection, sql, id.as_str())?;
            let sql = "SELECT issuer FROM tokens WHERE id = ?1";
            let issuer = connection.prepare_cached(sql)?.query_row([id.as_str()], |row| {
                row.get::<_, String>(0)?.parse::<GrantHolder>().map_err(|error| damaged(0, error))
            });
            // A token is never more than whoever issued it is now.
            //= docs/threat-model.md#T31
            match issuer.optional()? {
                Some(GrantHolder::Token(_)) | None => None,
                Some(issuer) => match (scopes, live(connection, &issuer)?) {
                    (Some(scopes), Some((_, bound))) => Some(bound.attenuate(scopes)),
                    _ => None,
                },
            }
        }
        GrantHolder::Sender(person) => match people::approved_by(connection, person)? {
            // A person in a chat has never more than whoever let them in has now.
            //= docs/threat-model.md#T31
            Some(by) => live(connection, &by)?.map(|(_, bound)| bound.attenuate(people::MEANS)),
            None => None,
        },
        // It is there as long as the configuration names it, and asks, and reaches nothing else.
        GrantHolder::Hook(_) => Some(people::MEANS),
        // No plugin has been granted anything yet; absence is denial.
        GrantHolder::Plugin(_) => None,
    };
    Ok(scopes.map(|scopes| (epoch, scopes.closed())))
}

/// What a damaged row grants beyond what was approved counts for nothing.
fn baseline_of(connection: &Connection, id: &DeviceId) -> rusqlite::Result<Option<Baseline>> {
    let sql = "SELECT approved, granted FROM device_roles WHERE device = ?1 AND role = 'operator'";
    let read = |row: &Row<'_>| {
        let kept = |column| scopes(column, &row.get::<_, String>(column)?);
        Ok(Baseline::recorded(kept(0)?, kept(1)?))
    };
    connection.prepare_cached(sql)?.query_row([id.as_str()], read).optional()
}

fn scopes_of(connection: &Connection, sql: &str, id: &str) -> rusqlite::Result<Option<ScopeSet>> {
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    text.map(|text| scopes(0, &text)).transpose()
}

/// Parses scopes as they are stored.
pub(crate) fn scopes(column: usize, text: &str) -> rusqlite::Result<ScopeSet> {
    ScopeSet::parse(text).map_err(|error| damaged(column, error))
}

/// Returns scopes as they are stored.
pub(crate) fn stored(scopes: ScopeSet) -> String {
    scopes.reduced().to_string()
}

impl Store {
    /// Returns the current epoch of a holder's grant; `None` when it has none any more.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn epoch(&self, holder: &GrantHolder) -> Result<Option<Epoch>, StoreError> {
        self.snapshot(|connection| Ok(live_epoch(connection, holder)?))
    }

    /// Returns what a holder may do now, narrowed to a wish; `None` when it has no grant.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn grant(&self, holder: &GrantHolder, wish: ScopeSet) -> Result<Option<Grant>, StoreError> {
        self.snapshot(|connection| {
            let live = live(connection, holder)?;
            Ok(live.map(|(epoch, scopes)| Grant::recorded(holder.clone(), epoch, scopes, wish)))
        })
    }

    /// Returns the grant that a run rests on, as it is now; `None` when there is no such run, or its
    /// holder's grant has ended since.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn grant_of_run(&self, run: &RunId) -> Result<Option<Grant>, StoreError> {
        self.snapshot(|connection| Ok(grant_of_run(connection, run)?))
    }
}
