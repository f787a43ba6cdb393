//! How many exports go on at once, in this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use contract::ids::OrganizationId;

/// Each holds at most two pages, and reads the next as fast as its client takes them.
const MOST: usize = 16;
/// Of them, for one organization.
const MOST_OF_ONE: usize = 4;

#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<OrganizationId, usize>>>);

/// Room for one export, as long as it is kept.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    of: OrganizationId,
}

impl Places {
    /// Room for one more; none where all is taken.
    pub(super) fn take(&self, of: OrganizationId) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= MOST {
            return None;
        }
        let own = taken.entry(of).or_default();
        if *own >= MOST_OF_ONE {
            return None;
        }
        *own += 1;
        Some(Place { places: self.clone(), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.of) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_organization_and_all_of_them_have_bounds() {
        let places = Places::default();
        let id = |number| OrganizationId(Uuid::from_u128(number));
        let mut kept: Vec<Place> = (0..MOST_OF_ONE).map(|_| places.take(id(1)).unwrap()).collect();
        assert!(places.take(id(1)).is_none());
        kept.pop();
        kept.push(places.take(id(1)).unwrap());
        kept.extend((MOST_OF_ONE..MOST).map(|number| places.take(id(number as u128)).unwrap()));
        assert!(places.take(id(99)).is_none());
        drop(kept);
        assert!(places.0.lock().unwrap().is_empty());
    }
}
