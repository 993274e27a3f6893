//! Keeps refusals from becoming a load: the first of a minute singly, the rest as one row.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_scopes::Timestamp;

use super::Entry;

/// Equal refusals of a minute that are written singly before they are only counted.
const SINGLES_PER_MINUTE: u64 = 20;
/// Kinds of refusals that are told apart within a minute; more share one row. Bounds memory against
/// a client that invents principals or sources. Strangers have half of them, so that they cannot
/// push a known principal's refusals out of the log.
const MAX_KINDS: usize = 4096;
const MINUTE: Duration = Duration::from_secs(60);

/// What makes two refusals equal: who, what, why.
type Kind = (String, &'static str, String);

/// Counts the refusals of the running minute.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    minute: Option<Timestamp>,
    kinds: BTreeMap<Kind, Counted>,
}

#[derive(Debug)]
struct Counted {
    written: u64,
    more: u64,
    last: Entry,
}

/// How a refusal is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Throttled {
    /// As part of the minute's counted row.
    Counted,
    /// As a row of its own, now.
    Single,
}

impl Refusals {
    /// Takes note of the refusal of an authenticated principal.
    pub(crate) fn note(&mut self, entry: &Entry, now: Timestamp) -> Throttled {
        self.count(entry, SINGLES_PER_MINUTE, now)
    }

    /// Takes note of a refusal before authentication: it is only ever counted.
    pub(crate) fn note_unauthenticated(&mut self, entry: &Entry, now: Timestamp) {
        self.count(entry, 0, now);
    }

    //= docs/threat-model.md#T21
    fn count(&mut self, entry: &Entry, singles: u64, now: Timestamp) -> Throttled {
        self.minute.get_or_insert(now);
        let mut kind = (entry.principal.clone(), entry.method, entry.reason.clone());
        let most = if singles == 0 { MAX_KINDS / 2 } else { MAX_KINDS };
        if self.kinds.len() >= most && !self.kinds.contains_key(&kind) {
            kind = ("others".into(), "", String::new());
        }
        let is_shared = kind.0 == "others";
        let counted = self.kinds.entry(kind).or_insert_with(|| Counted {
            written: 0,
            more: 0,
            last: entry.clone(),
        });
        if is_shared {
            "others".clone_into(&mut counted.last.principal);
        }
        if counted.written < singles && !is_shared {
            counted.written = counted.written.saturating_add(1);
            return Throttled::Single;
        }
        counted.more = counted.more.saturating_add(1);
        Throttled::Counted
    }

    /// Tells how long from `now` on the minute lasts; `None` when nothing was refused.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Duration> {
        self.minute.map(|minute| {
            // A clock that was set back must not make the minute longer.
            if now < minute { Duration::ZERO } else { MINUTE.saturating_sub(now.since(minute)) }
        })
    }

    /// Returns the rows that stand for what was only counted.
    pub(crate) fn rows(&self) -> Vec<Entry> {
        let counted = self.kinds.values().filter(|counted| counted.more > 0);
        counted.map(|counted| Entry { count: counted.more, ..counted.last.clone() }).collect()
    }

    /// Ends the minute, after its rows were written.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes the minute longer, when its rows could not be written.
    pub(crate) fn postpone(&mut self, now: Timestamp) {
        self.minute = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Decision;

    fn entry(principal: &str) -> Entry {
        Entry {
            principal: principal.into(),
            on_behalf_of: String::new(),
            method: "agent",
            target: String::new(),
            decision: Decision::Denied,
            reason: "missing scope".into(),
            cause: "request".into(),
            count: 1,
        }
    }

    #[test]
    fn twenty_singly_then_one_row() {
        let (mut refusals, now) = (Refusals::default(), Timestamp::from_millis(5));
        assert_eq!(refusals.due(now), None);
        let singles =
            (0..100).filter(|_| refusals.note(&entry("a"), now) == Throttled::Single).count();
        assert_eq!(singles, 20);
        assert_eq!(refusals.note(&entry("b"), now), Throttled::Single);
        let at = Timestamp::from_millis;
        assert_eq!(refusals.due(at(1_005)), Some(Duration::from_secs(59)));
        assert_eq!(refusals.due(at(60_005)), Some(Duration::ZERO));
        assert_eq!(refusals.due(at(4)), Some(Duration::ZERO), "the clock was set back");
        refusals.postpone(at(60_005));
        assert_eq!(refusals.due(at(60_005)), Some(Duration::from_secs(60)), "could not be written");
        assert_eq!(refusals.rows().iter().map(|row| row.count).collect::<Vec<_>>(), [80]);
        refusals.clear();
        assert_eq!((refusals.rows(), refusals.due(now)), (Vec::new(), None));
    }

    #[test]
    //= docs/threat-model.md#T21
    fn strangers_are_only_counted_and_bounded() {
        let (mut refusals, now) = (Refusals::default(), Timestamp::from_millis(0));
        for index in 0..5000 {
            refusals.note_unauthenticated(&entry(&format!("uid:{index}")), now);
        }
        let known = Entry { reason: "other".into(), ..entry("known") };
        assert_eq!(refusals.note(&known, now), Throttled::Single, "strangers leave a place");
        let rows = refusals.rows();
        assert_eq!(rows.len(), MAX_KINDS / 2 + 1);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 5000);
        assert!(rows.iter().any(|row| row.principal == "others"));
    }
}
