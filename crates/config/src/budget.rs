//! How much may be spent on models.

use crate::Dollars;

/// How much an agent's work may cost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Budget {
    /// One run.
    pub run: Spending,
    /// A run and everything that it delegates.
    pub tree: Spending,
    /// All runs of the agent on one day in UTC.
    pub day: Spending,
}

impl Budget {
    /// The names of its parts.
    pub(crate) const PARTS: [&'static str; 3] = ["run", "tree", "day"];

    /// Returns its parts, with their names.
    pub fn parts(&self) -> [(&'static str, Spending); 3] {
        let [run, tree, day] = Self::PARTS;
        [(run, self.run), (tree, self.tree), (day, self.day)]
    }

    /// Whether any part is an amount of money.
    pub fn has_cost(&self) -> bool {
        self.parts().iter().any(|(_, part)| part.cost.is_some())
    }
}

/// How much may be spent at most; absent, without limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spending {
    /// Tokens that are read and written.
    pub tokens: Option<u64>,
    /// Money, by the configured prices.
    pub cost: Option<Dollars>,
    /// Time in which the runs are at work, in seconds. When one waits for an approval it is not.
    pub seconds: Option<u64>,
}
