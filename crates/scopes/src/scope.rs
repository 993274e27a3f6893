//! The closed set of ten operator scopes, what each implies, and sets of them.

use std::fmt;

/// One named permission of a grant (`access.md` §1.2 of the reference: a closed set of ten).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Scope {
    /// Everything; implies every other scope.
    Admin,
    /// Answering approvals.
    Approvals,
    /// Managing devices, tokens and what they may do.
    Pairing,
    /// Answering a run's questions.
    Questions,
    /// Status, lists and histories; implies `sessions.read`.
    Read,
    /// Reading conversations only.
    SessionsRead,
    /// Changing the caller's own conversations; implies `sessions.read`.
    SessionsWrite,
    /// Voice sessions.
    Talk,
    /// Voice configuration with its secrets.
    TalkSecrets,
    /// Running agents and sending; implies `read`, `talk`, `sessions.read` and `sessions.write`.
    Write,
}

impl Scope {
    /// Every scope, in the order of their names.
    pub const ALL: [Self; 10] = [
        Self::Admin,
        Self::Approvals,
        Self::Pairing,
        Self::Questions,
        Self::Read,
        Self::SessionsRead,
        Self::SessionsWrite,
        Self::Talk,
        Self::TalkSecrets,
        Self::Write,
    ];

    /// Returns the name that users, tokens and the wire use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "operator.admin",
            Self::Approvals => "operator.approvals",
            Self::Pairing => "operator.pairing",
            Self::Questions => "operator.questions",
            Self::Read => "operator.read",
            Self::SessionsRead => "operator.sessions.read",
            Self::SessionsWrite => "operator.sessions.write",
            Self::Talk => "operator.talk",
            Self::TalkSecrets => "operator.talk.secrets",
            Self::Write => "operator.write",
        }
    }

    /// Parses the full name of a scope.
    ///
    /// # Errors
    /// When the text is not exactly one of the ten names.
    pub fn parse(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| {
            UnknownScope(text.chars().take(64).flat_map(char::escape_debug).collect())
        })
    }

    /// Returns this scope and all it implies (`access.md` §1.3).
    pub const fn implied(self) -> ScopeSet {
        match self {
            Self::Admin => ScopeSet::ALL,
            Self::Write => ScopeSet::of(&[
                Self::Read,
                Self::SessionsRead,
                Self::SessionsWrite,
                Self::Talk,
                Self::Write,
            ]),
            Self::Read => ScopeSet::of(&[Self::Read, Self::SessionsRead]),
            Self::SessionsWrite => ScopeSet::of(&[Self::SessionsRead, Self::SessionsWrite]),
            Self::Approvals
            | Self::Pairing
            | Self::Questions
            | Self::SessionsRead
            | Self::Talk
            | Self::TalkSecrets => ScopeSet::of(&[self]),
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Admin => 1,
            Self::Approvals => 1 << 1,
            Self::Pairing => 1 << 2,
            Self::Questions => 1 << 3,
            Self::Read => 1 << 4,
            Self::SessionsRead => 1 << 5,
            Self::SessionsWrite => 1 << 6,
            Self::Talk => 1 << 7,
            Self::TalkSecrets => 1 << 8,
            Self::Write => 1 << 9,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no scope; scopes are a closed set, so it grants nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown scope `{0}`")]
pub struct UnknownScope(pub String);

/// A set of scopes, taken literally: call [`ScopeSet::closed`] for what they imply.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct ScopeSet(u16);

impl ScopeSet {
    /// No scope: allows nothing.
    pub const EMPTY: Self = Self(0);
    /// All ten scopes.
    pub const ALL: Self = Self::of(&Scope::ALL);

    /// The set of exactly these scopes.
    pub const fn of(scopes: &[Scope]) -> Self {
        let mut bits = 0;
        let mut rest = scopes;
        while let [first, tail @ ..] = rest {
            bits |= first.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// Parses a list of scopes separated by spaces or commas, in any order, repeats allowed.
    ///
    /// # Errors
    /// When one of them is unknown: nothing of the list is then taken.
    pub fn parse(text: &str) -> Result<Self, UnknownScope> {
        text.split([' ', ','])
            .filter(|word| !word.is_empty())
            .try_fold(Self::EMPTY, |set, word| Ok(set.with(Scope::parse(word)?)))
    }

    /// Returns the set with `scope` added.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Tells whether `scope` itself is in the set.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Tells whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells whether every scope of this set is in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns what is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns what is in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the set with everything that its scopes imply.
    #[must_use]
    pub fn closed(self) -> Self {
        self.iter().fold(Self::EMPTY, |set, scope| set.union(scope.implied()))
    }

    /// Returns the shortest set that implies the same: what people are shown.
    #[must_use]
    pub fn reduced(self) -> Self {
        let implied_by_another = |scope: Scope| {
            self.iter().any(|other| other != scope && other.implied().contains(scope))
        };
        self.iter().filter(|scope| !implied_by_another(*scope)).fold(Self::EMPTY, Self::with)
    }

    /// Tells whether a holder of this set may do what needs `required`.
    pub fn satisfies(self, required: Scope) -> bool {
        self.closed().contains(required)
    }

    /// Returns what a holder of this set may pass on of `wish`: never more than either.
    ///
    /// The intersection is by meaning, not by name: write narrowed by read is read.
    #[must_use]
    pub fn attenuate(self, wish: Self) -> Self {
        Self(self.closed().0 & wish.closed().0)
    }

    /// Returns the scopes in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl From<Scope> for ScopeSet {
    fn from(scope: Scope) -> Self {
        Self::EMPTY.with(scope)
    }
}

impl fmt::Display for ScopeSet {
    /// Writes the names with a space between, as RFC 6749 §3.3 does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_set() -> impl Iterator<Item = ScopeSet> + Clone {
        (0..1 << 10).map(ScopeSet)
    }

    /// `satisfied(required, granted)` of the reference, word for word.
    fn reference(required: Scope, granted: ScopeSet) -> bool {
        use Scope::{Admin, Read, SessionsRead, SessionsWrite, Talk, Write};
        granted.contains(required)
            || granted.contains(Admin)
            || (matches!(required, Read | Talk | SessionsWrite) && granted.contains(Write))
            || (required == SessionsRead
                && [Write, Read, SessionsWrite].into_iter().any(|scope| granted.contains(scope)))
    }

    #[test]
    fn implications_are_those_of_the_reference() {
        for granted in every_set() {
            for required in Scope::ALL {
                assert_eq!(
                    granted.satisfies(required),
                    reference(required, granted),
                    "{granted:?} {required}"
                );
            }
        }
    }

    #[test]
    fn closing_and_reducing_keep_the_meaning() {
        for set in every_set() {
            assert_eq!(set.closed().closed(), set.closed());
            assert_eq!(set.reduced().closed(), set.closed(), "{set:?}");
            assert!(set.reduced().is_subset(set));
        }
    }

    /// The domain is finite, so every pair of the 2^10 sets is tried.
    #[test]
    fn attenuation_never_widens() {
        for held in every_set() {
            let held_closed = held.closed();
            for wish in every_set() {
                let child = held.attenuate(wish);
                assert!(child.is_subset(held_closed), "{held:?} widened to {child:?}");
                assert!(child.is_subset(wish.closed()), "{wish:?} grew to {child:?}");
                assert_eq!(child.closed(), child, "{held:?} {wish:?}: implication adds nothing");
            }
        }
    }

    #[test]
    fn absence_is_denial() {
        assert!(Scope::ALL.into_iter().all(|scope| !ScopeSet::EMPTY.satisfies(scope)));
    }

    #[test]
    #[rustfmt::skip]
    fn names() {
        assert_eq!(Scope::parse("operator.nope").unwrap_err().to_string(), "unknown scope `operator.nope`");
        assert_eq!(ScopeSet::parse("operator.write, operator.read").unwrap().to_string(), "operator.read operator.write");
        assert_eq!(ScopeSet::parse("operator.write admin"), Err(UnknownScope("admin".into())));
        for set in every_set() {
            assert_eq!(ScopeSet::parse(&set.to_string()), Ok(set));
        }
    }
}
