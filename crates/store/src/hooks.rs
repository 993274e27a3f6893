//! Hooks: who posts to one has a grant for as long as the configuration names it.

use openclaw_scopes::method::KeepHooks as KeepMethod;
use openclaw_scopes::target::Whole;
use openclaw_scopes::{Authorized, GrantHolder, HookName, Timestamp};
use rusqlite::Connection;

use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, damaged};
use crate::grants::{self, End};

/// Has exactly these hooks have a grant: those of others end, with everything that rests on them.
#[derive(Clone, Debug)]
pub struct KeepHooks(pub Vec<HookName>);

impl Ask for KeepHooks {
    type Method = KeepMethod;
    type Output = ();
    type Error = std::convert::Infallible;

    fn target(&self, _: &Transaction<'_>) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<KeepMethod>,
        now: Timestamp,
    ) -> Result<Applied<()>, Fault<Self::Error>> {
        drop(authorized.into_parts());
        let there = live(tx)?;
        let mut is_changed = false;
        let wanted: Vec<_> = self.0.iter().cloned().map(GrantHolder::Hook).collect();
        for holder in there.iter().filter(|holder| !wanted.contains(holder)) {
            grants::end(tx, holder, End::Withdrawn, now)?;
            is_changed = true;
        }
        for holder in wanted.iter().filter(|holder| !there.contains(holder)) {
            grants::begin(tx, holder)?;
            is_changed = true;
        }
        Ok(if is_changed { Applied::Changed(()) } else { Applied::Unchanged(()) })
    }
}

/// Returns the hooks that have a grant.
fn live(connection: &Connection) -> rusqlite::Result<Vec<GrantHolder>> {
    let sql = "SELECT holder FROM grants
               WHERE holder >= 'hook:' AND holder < 'hook;' AND ended_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let holders = statement
        .query_map([], |row| row.get::<_, String>(0)?.parse().map_err(|error| damaged(0, error)))?;
    holders.collect()
}
