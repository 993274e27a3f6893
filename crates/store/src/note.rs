//! Decisions about work whose effect is outside the database.

use std::convert::Infallible;
use std::fmt;

use openclaw_scopes::method::Method;
use openclaw_scopes::{Authorized, Timestamp};
use rusqlite::Connection;

use crate::act::{Applied, Ask, Query, Transaction};
use crate::error::Fault;

/// Decides about `M` and records the decision before the work is done; answers the witness.
pub struct Note<M: Method>(pub M::Target);

impl<M: Method> fmt::Debug for Note<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Note<{}>({})", M::ROW.name, self.0)
    }
}

impl<M: Method> Ask for Note<M> {
    type Method = M;
    type Output = Authorized<M>;
    type Error = Infallible;

    fn target(&self, _: &Transaction<'_>) -> Result<M::Target, Fault<Infallible>> {
        Ok(self.0.clone())
    }

    fn apply(
        &self,
        _: &Transaction<'_>,
        authorized: Authorized<M>,
        _: Timestamp,
    ) -> Result<Applied<Authorized<M>>, Fault<Infallible>> {
        Ok(Applied::Changed(authorized))
    }
}

/// Decides about reading with `M`, without a record unless it is refused; answers the witness.
pub struct Peek<M: Method>(pub M::Target);

impl<M: Method> fmt::Debug for Peek<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peek<{}>({})", M::ROW.name, self.0)
    }
}

impl<M: Method> Query for Peek<M> {
    type Method = M;
    type Output = Authorized<M>;
    type Error = Infallible;

    fn target(&self, _: &Connection) -> Result<M::Target, Fault<Infallible>> {
        Ok(self.0.clone())
    }

    fn read(
        &self,
        _: &Connection,
        authorized: Authorized<M>,
    ) -> Result<Authorized<M>, Fault<Infallible>> {
        Ok(authorized)
    }
}
