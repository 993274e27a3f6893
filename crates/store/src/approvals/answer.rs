//! What people answer.

use openclaw_scopes::method::{ApproveCall, DenyCall};
use openclaw_scopes::target::ApprovalTarget;
use openclaw_scopes::{Authorized, Caller, Timestamp};
use rusqlite::params;

use super::{Approval, ApprovalError, ApprovalState, approval_target, find, lapse, standing};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, StoreError};
use crate::handle::Store;

/// An answer, in the types that make it one method or the other.
pub trait Answer: Clone + Send + Sync + 'static {
    /// The method that it performs.
    type Method: openclaw_scopes::method::Method<Target = ApprovalTarget>;
    /// What the approval is then.
    const STATE: ApprovalState;
    /// What is said with it, and whether it is for good.
    fn said(&self) -> (&str, Term);
}

/// For how long an operation is approved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Term {
    /// For good.
    Always,
    /// For one use.
    Once,
}

/// The operation may be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Approve(pub Term);

impl Answer for Approve {
    type Method = ApproveCall;
    const STATE: ApprovalState = ApprovalState::Approved;

    fn said(&self) -> (&str, Term) {
        ("", self.0)
    }
}

/// It may not, for this reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deny(pub String);

impl Answer for Deny {
    type Method = DenyCall;
    const STATE: ApprovalState = ApprovalState::Denied;

    fn said(&self) -> (&str, Term) {
        (&self.0, Term::Once)
    }
}

/// Answers an approval that waits.
#[derive(Clone, Debug)]
pub struct AnswerCall<A> {
    /// The approval.
    pub id: String,
    /// The answer.
    pub answer: A,
    /// The id of an approval for good, if it comes to one.
    pub standing: String,
}

impl<A: Answer> Ask for AnswerCall<A> {
    type Method = A::Method;
    type Output = Approval;
    type Error = ApprovalError;

    fn target(&self, tx: &Transaction<'_>) -> Result<ApprovalTarget, Fault<ApprovalError>> {
        Ok(approval_target(tx, &self.id)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<A::Method>,
        now: Timestamp,
    ) -> Result<Applied<Approval>, Fault<ApprovalError>> {
        let (caller, _) = authorized.into_parts();
        lapse(tx, now)?;
        let unknown = || Fault::Domain(ApprovalError::Unknown(self.id.clone()));
        let before = find(tx, &self.id, now)?.ok_or_else(unknown)?;
        if before.state != ApprovalState::Pending {
            let (id, state) = (self.id.clone(), before.state);
            return Err(Fault::Domain(ApprovalError::Decided { id, state }));
        }
        let (reason, term) = self.answer.said();
        let sql =
            "UPDATE tool_approvals SET state = ?2, decided_by = ?3, decided_at = ?4, reason = ?5
                   WHERE id = ?1";
        let by = decider(&caller);
        let values = params![self.id, A::STATE.name(), by, now.as_millis(), reason];
        tx.prepare_cached(sql)?.execute(values)?;
        if term == Term::Always {
            standing::add(tx, &self.standing, &before, &by, now)?;
        }
        find(tx, &self.id, now)?.map(Applied::Changed).ok_or_else(unknown)
    }
}

fn decider(caller: &Caller) -> String {
    caller.actor().to_string()
}

impl Store {
    /// Returns an approval as it stands, for the run that waits for it.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn approval(&self, id: &str, now: Timestamp) -> Result<Option<Approval>, StoreError> {
        self.snapshot(|connection| Ok(find(connection, id, now)?))
    }
}
