//! Why a principal may or may not call a method, in terms a person can act on.

use crate::authorize::judge;
use crate::method::{Case, Row};
use crate::{Caller, Denial, ScopeSet};

/// The answer to "may this principal call this method, and if not, what is missing?".
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// The row of the policy.
    pub row: &'static Row,
    /// The scopes of the grant, shortest form.
    pub held: ScopeSet,
    /// What each applicable line of the policy says.
    pub verdicts: Vec<Verdict>,
}

/// What one line of the policy says about a principal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The line.
    pub case: &'static Case,
    /// Whether it allows, or why not.
    pub decision: Result<(), Denial>,
    /// The smallest grant that would do; empty when it is held, or no grant would.
    pub smallest_grant: ScopeSet,
}

/// Explains whether `caller` may call `row`'s method, on the targets of `case` or on any.
///
/// It asks the same function that decides, so it cannot say anything else.
pub fn explain(caller: &Caller, row: &'static Row, case: Option<&'static Case>) -> Explanation {
    let verdicts = row
        .cases
        .iter()
        .filter(|line| case.is_none_or(|only| *line == only))
        .map(|case| {
            // What a call would touch depends on it; the line says that it counts.
            let decision = judge(caller, case, ScopeSet::EMPTY);
            let smallest_grant = decision.err().map_or(ScopeSet::EMPTY, Denial::smallest_grant);
            Verdict { case, decision, smallest_grant }
        })
        .collect();
    Explanation { row, held: caller.grant().scopes().reduced(), verdicts }
}
