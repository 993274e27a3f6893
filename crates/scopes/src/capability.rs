//! What runs, plugins and parts of the gateway itself may do: a closed list, never turned into scopes.

use std::fmt;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $bit:literal $name:literal,)*) => {
        /// One permission of an internal principal.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Capability {
            $($(#[$doc])* $variant,)*
        }

        impl Capability {
            /// Every capability.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name that manifests, errors and the audit log use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn bit(self) -> u32 {
                match self { $(Self::$variant => 1 << $bit,)* }
            }
        }
    };
}

capabilities! {
    /// Sealing old segments of the audit log.
    AuditSeal = 0 "audit:seal",
    /// Doing what jobs are for that are due.
    CronFire = 13 "cron:fire",
    /// Adding, listing and removing jobs of the run's own conversation.
    CronOwn = 14 "cron:own",
    /// Letting devices in that proved their key, within what was approved for them.
    DevicesAdmit = 8 "devices:admit",
    /// Running commands inside the workspace sandbox.
    ExecSandboxed = 1 "exec:sandboxed",
    /// Running commands with the rights of the owner's account.
    ExecUnsandboxed = 2 "exec:unsandboxed",
    /// Reading files of the agent's workspace.
    FilesRead = 3 "files:read",
    /// Writing files of the agent's workspace.
    FilesWrite = 4 "files:write",
    /// Fetching public web pages.
    NetFetch = 5 "net:fetch",
    /// Going on with a conversation whose sub-agents have something to tell.
    RunsContinue = 9 "runs:continue",
    /// Ending runs that a crash or a drain left behind.
    RunsRecover = 6 "runs:recover",
    /// Listing and reading the conversations that the run's own has delegated to.
    SessionsRead = 10 "sessions:read",
    /// Removing sessions that nobody keeps: of sub-agents, jobs, hooks and plugins.
    SessionsReap = 11 "sessions:reap",
    /// Delegating to sub-agents, and looking after one's own.
    SessionsSpawn = 12 "sessions:spawn",
    /// Reading the status of the run's own session.
    SessionsStatus = 7 "sessions:status",
}

impl Capability {
    /// Parses the name of a capability.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|capability| capability.name() == text)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct CapabilitySet(u32);

impl CapabilitySet {
    /// No capability: allows nothing.
    pub const EMPTY: Self = Self(0);

    /// The set of exactly these capabilities.
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        let mut rest = capabilities;
        while let [first, tail @ ..] = rest {
            bits |= first.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// Returns the set with `capability` added.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// What only a turn that a person asked for may do: no sub-agent ever, whatever the scopes of the
    /// grant that it acts for.
    pub const OWNER_ONLY: Self = Self::of(&[Capability::CronOwn, Capability::ExecUnsandboxed]);

    /// Parses the names of capabilities, with spaces between.
    pub fn parse(text: &str) -> Option<Self> {
        text.split_whitespace()
            .try_fold(Self::EMPTY, |set, name| Some(set.with(Capability::parse(name)?)))
    }

    /// Returns what a sub-agent may do that wishes for this: never more than its parent, and nothing of
    /// [`Self::OWNER_ONLY`].
    #[must_use]
    pub const fn delegated(self, wish: Self) -> Self {
        self.attenuate(wish).without(Self::OWNER_ONLY)
    }

    /// Tells whether `capability` is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Tells whether every capability of this set is in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns this set without what `other` holds.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns what both sets hold: the only way in which a child's set is made.
    #[must_use]
    pub const fn attenuate(self, wish: Self) -> Self {
        Self(self.0 & wish.0)
    }

    /// Returns the capabilities in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |capability| self.contains(*capability))
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, capability) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(capability.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse() {
        for capability in Capability::ALL.iter().copied() {
            assert_eq!(Capability::parse(capability.name()), Some(capability));
        }
        assert_eq!(Capability::parse("exec"), None);
    }

    #[test]
    fn a_child_never_gains() {
        // Each capability is a bit of its own, so what holds for pairs of them holds for all sets.
        let all = CapabilitySet::of(Capability::ALL);
        let pair = |one: Capability, other: Capability| CapabilitySet::of(&[one, other]);
        let pairs: Vec<_> = Capability::ALL
            .iter()
            .flat_map(|one| Capability::ALL.iter().map(move |other| pair(*one, *other)))
            .chain([CapabilitySet::EMPTY, all, all.without(CapabilitySet::OWNER_ONLY)])
            .collect();
        for held in pairs.iter().copied() {
            for wish in pairs.iter().copied() {
                assert!(held.attenuate(wish).is_subset(held));
                assert!(held.attenuate(wish).is_subset(wish));
                let child = held.delegated(wish);
                assert!(child.is_subset(held.attenuate(wish)));
                assert_eq!(child.attenuate(CapabilitySet::OWNER_ONLY), CapabilitySet::EMPTY);
            }
        }
    }

    #[test]
    fn sets_are_read_as_they_are_written() {
        let all = CapabilitySet::of(Capability::ALL);
        assert_eq!(CapabilitySet::parse(&all.to_string()), Some(all));
        assert_eq!(CapabilitySet::parse(""), Some(CapabilitySet::EMPTY));
        assert_eq!(CapabilitySet::parse("exec:sandboxed exec"), None);
    }
}
