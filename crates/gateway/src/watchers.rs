//! How many watch what happens: each looks whenever something does, so there are only so many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_scopes::GrantHolder;

/// Watchers of one holder at most.
const MAX_OF_ONE: usize = 16;
/// Watchers in all.
const MAX: usize = 256;

/// Those who watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchers(Arc<Mutex<BTreeMap<GrantHolder, usize>>>);

/// The place of one who watches, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    holder: GrantHolder,
    watchers: Watchers,
}

/// There is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TooMany {
    /// For anybody.
    #[error("{MAX} watch already, and no more can")]
    InAll,
    /// For this holder.
    #[error("{MAX_OF_ONE} watch already on behalf of the same grant, and no more can")]
    OfOne,
}

impl Watchers {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<GrantHolder, usize>> {
        // A poisoned count is still one: nothing is half-done in it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place to one more, if there is one.
    pub(crate) fn enter(&self, holder: &GrantHolder) -> Result<Place, TooMany> {
        let mut counts = self.counts();
        if counts.values().sum::<usize>() >= MAX {
            return Err(TooMany::InAll);
        }
        let count = counts.entry(holder.clone()).or_default();
        if *count >= MAX_OF_ONE {
            return Err(TooMany::OfOne);
        }
        *count = count.saturating_add(1);
        Ok(Place { holder: holder.clone(), watchers: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.watchers.counts();
        if let Some(count) = counts.get_mut(&self.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::DeviceId;

    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let watchers = Watchers::default();
        let holder =
            |number: usize| GrantHolder::Device(DeviceId::parse(&format!("d{number}")).unwrap());
        let mut places: Vec<_> =
            (0..MAX_OF_ONE).map(|_| watchers.enter(&holder(0)).unwrap()).collect();
        assert_eq!(watchers.enter(&holder(0)).err(), Some(TooMany::OfOne));
        let others =
            (MAX_OF_ONE..MAX).map(|number| watchers.enter(&holder(number / 10 + 1)).unwrap());
        places.extend(others);
        assert_eq!(watchers.enter(&holder(9_999)).err(), Some(TooMany::InAll));
        drop(places.pop());
        assert!(watchers.enter(&holder(9_999)).is_ok());
        drop(places);
        assert!(watchers.counts().is_empty());
    }
}
