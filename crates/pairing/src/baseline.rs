//! What was approved for a device, and how much of it its tokens carry.

use openclaw_scopes::{Grant, Scope, ScopeSet};

/// What is proposed for a device when nobody says what: never admin, never pairing.
pub const PROPOSED: ScopeSet = ScopeSet::of(&[Scope::Read, Scope::Write]);

/// The two ceilings of a device in a role: what was approved, and what its tokens may carry of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Baseline {
    approved: ScopeSet,
    granted: ScopeSet,
}

/// Why a grant cannot be set so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// More than was approved.
    #[error("outside of what was approved: {0}")]
    OutsideBaseline(ScopeSet),
    /// More than the caller may pass on.
    #[error("missing scope: {0}")]
    TooNarrow(ScopeSet),
}

impl Baseline {
    /// Nothing: absence is denial.
    pub const NONE: Self = Self { approved: ScopeSet::EMPTY, granted: ScopeSet::EMPTY };

    /// Reads back what was kept. What would exceed the approval counts for nothing.
    pub fn recorded(approved: ScopeSet, granted: ScopeSet) -> Self {
        Self { approved: approved.closed(), granted: approved.attenuate(granted) }
    }

    /// Returns what was approved, implied scopes included.
    pub const fn approved(self) -> ScopeSet {
        self.approved
    }

    /// Returns what tokens may carry, implied scopes included.
    pub const fn granted(self) -> ScopeSet {
        self.granted
    }

    /// Adds what was just approved to both: nothing that was held is lost by being given more.
    #[must_use]
    pub fn admit(self, approved: ScopeSet) -> Self {
        let approved = approved.closed();
        Self {
            approved: self.approved.union(approved).closed(),
            granted: self.granted.union(approved).closed(),
        }
    }

    /// Sets what tokens may carry: within what was approved, and within what `caller` holds.
    ///
    /// # Errors
    /// When the wish exceeds either; nothing is narrowed silently.
    //= docs/threat-model.md#T31
    pub fn rotate(self, wish: ScopeSet, caller: &Grant) -> Result<Self, RotateError> {
        let outside = wish.closed().without(self.approved);
        if !outside.is_empty() {
            return Err(RotateError::OutsideBaseline(outside.reduced()));
        }
        let missing = wish.closed().without(caller.scopes());
        if !missing.is_empty() {
            return Err(RotateError::TooNarrow(missing.reduced()));
        }
        Ok(Self { granted: wish.closed(), ..self })
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::{Epoch, GrantHolder};
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::subsequence;

    use super::*;

    fn grant(scopes: ScopeSet) -> Grant {
        Grant::recorded(GrantHolder::Owner, Epoch(1), scopes, scopes)
    }

    fn sets() -> impl Iterator<Item = ScopeSet> + Clone {
        use Scope::{Admin, Approvals, Pairing, Read, Write};
        let scopes = [Admin, Approvals, Pairing, Read, Write];
        (0_usize..32).map(move |bits| {
            let chosen = scopes.into_iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
            chosen.fold(ScopeSet::EMPTY, |set, (_, scope)| set.with(scope))
        })
    }

    /// 2^5 baselines × 2^5 wishes × 2^5 callers.
    #[test]
    //= docs/threat-model.md#T31
    fn rotating_never_exceeds_baseline_or_caller() {
        for approved in sets() {
            let baseline = Baseline::NONE.admit(approved);
            for wish in sets() {
                for held in sets() {
                    let rotated = baseline.rotate(wish, &grant(held));
                    let fits = wish.closed().is_subset(approved.closed())
                        && wish.closed().is_subset(held.closed());
                    assert_eq!(rotated.is_ok(), fits, "{approved:?} {wish:?} {held:?}");
                    if let Ok(rotated) = rotated {
                        assert_eq!(rotated.granted(), wish.closed());
                        assert_eq!(rotated.approved(), baseline.approved());
                    }
                }
            }
        }
    }

    #[test]
    fn a_damaged_row_grants_no_more_than_was_approved() {
        let kept = Baseline::recorded(Scope::Read.into(), Scope::Admin.into());
        assert_eq!(kept.granted(), ScopeSet::from(Scope::Read).closed());
        assert_eq!(Baseline::recorded(ScopeSet::EMPTY, ScopeSet::ALL), Baseline::NONE);
    }

    #[test]
    fn being_given_more_takes_nothing_away() {
        let both = Baseline::NONE.admit(Scope::Approvals.into()).admit(Scope::Read.into());
        assert_eq!(both.granted(), ScopeSet::of(&[Scope::Approvals, Scope::Read]).closed());
    }

    fn any_set() -> impl Strategy<Value = ScopeSet> {
        subsequence(&Scope::ALL[..], 0..=Scope::ALL.len()).prop_map(|scopes| ScopeSet::of(&scopes))
    }

    proptest! {
        /// Whatever is approved and set, in whatever order, and whoever sets it.
        #[test]
        //= docs/threat-model.md#T31
        fn no_step_carries_more_than_was_approved(
            steps in vec((any::<bool>(), any_set(), any_set()), 0..24),
        ) {
            let (mut baseline, mut approved) = (Baseline::NONE, ScopeSet::EMPTY);
            for (is_approval, scopes, held) in steps {
                let before = baseline;
                if is_approval {
                    approved = approved.union(scopes).closed();
                    baseline = baseline.admit(scopes);
                    prop_assert!(before.granted().is_subset(baseline.granted()));
                } else if let Ok(rotated) = baseline.rotate(scopes, &grant(held)) {
                    baseline = rotated;
                    prop_assert!(baseline.granted().is_subset(held.closed()));
                }
                prop_assert_eq!(baseline.approved(), approved);
                prop_assert!(baseline.granted().is_subset(approved));
                let kept = Baseline::recorded(approved.reduced(), baseline.granted().reduced());
                prop_assert_eq!(kept, baseline, "what is stored is what is read");
            }
        }
    }
}
