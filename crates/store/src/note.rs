//! Decisions about work whose effect is outside the database.

use std::convert::Infallible;
use std::fmt;

use openclaw_scopes::method::Method;
use openclaw_scopes::{Authorized, IdempotencyKey, Timestamp};
use rusqlite::Connection;

use crate::act::{Applied, Ask, Failure, Query, Transaction};
use crate::error::Fault;
use crate::idempotency::{self, Recorded};

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

/// Decides about `M` as [`Note`] does, under a name that makes a retry the same request.
pub struct NoteOnce<M: Method> {
    /// Names the request.
    pub idempotency_key: IdempotencyKey,
    /// SHA-256 of what was asked, so that another request under the same name is told apart.
    pub request_digest: [u8; 32],
    /// What a retry is told of the first request.
    pub result: String,
    /// What it is about.
    pub target: M::Target,
}

impl<M: Method> fmt::Debug for NoteOnce<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteOnce<{}>({})", M::ROW.name, self.target)
    }
}

/// A decision, and whether it was asked for before.
#[derive(Debug)]
pub enum Noted<M: Method> {
    /// It was: this was kept of the first request. The work may still have to be done.
    Again(Authorized<M>, String),
    /// It was not.
    First(Authorized<M>),
}

/// The idempotency key was used for another request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the idempotency key was used for another request")]
pub struct ConflictError;

impl Failure for ConflictError {
    fn reason(&self) -> &'static str {
        "idempotency-conflict"
    }
}

impl<M: Method> Ask for NoteOnce<M> {
    type Method = M;
    type Output = Noted<M>;
    type Error = ConflictError;

    fn target(&self, _: &Transaction<'_>) -> Result<M::Target, Fault<ConflictError>> {
        Ok(self.target.clone())
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<M>,
        now: Timestamp,
    ) -> Result<Applied<Noted<M>>, Fault<ConflictError>> {
        let request = idempotency::Request {
            holder: authorized.on_behalf_of(),
            method: M::ROW.name,
            key: &self.idempotency_key,
            digest: &self.request_digest,
        };
        match idempotency::find(tx, &request)? {
            Recorded::Another => Err(Fault::Domain(ConflictError)),
            Recorded::Same(result) => Ok(Applied::Unchanged(Noted::Again(authorized, result))),
            Recorded::None => {
                idempotency::record(tx, &request, &self.result, now)?;
                Ok(Applied::Changed(Noted::First(authorized)))
            }
        }
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
