//! How many attempts are under way at each endpoint, so that one that hangs takes few of our places.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use contract::ids::{EndpointId, OrganizationId};
use store::deliveries::Capacity;

type Counts = HashMap<(OrganizationId, EndpointId), u32>;

/// Counts the attempts of this process.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    under_way: Arc<Mutex<Counts>>,
}

/// An attempt that is counted until this is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    at: (OrganizationId, EndpointId),
}

impl Gate {
    /// Counts an attempt.
    pub fn enter(&self, organization: OrganizationId, endpoint: EndpointId) -> Pass {
        let at = (organization, endpoint);
        *self.counts().entry(at).or_default() += 1;
        Pass { gate: self.clone(), at }
    }

    /// Attempts under way.
    pub fn under_way(&self) -> Counts {
        self.counts().clone()
    }

    /// Endpoints that get no further attempt now.
    pub(super) fn full(&self) -> Vec<EndpointId> {
        let counts = self.counts();
        let full = counts.iter().filter(|(_, count)| Capacity::is_full(**count));
        full.map(|((_, endpoint), _)| *endpoint).collect()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        if let Some(count) = counts.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_while_they_last() {
        let gate = Gate::default();
        let organization = OrganizationId(uuid::Uuid::from_u128(1));
        let endpoint = EndpointId(uuid::Uuid::from_u128(2));
        let passes: Vec<Pass> = (0..40).map(|_| gate.enter(organization, endpoint)).collect();
        assert_eq!(gate.under_way(), HashMap::from([((organization, endpoint), 40)]));
        assert_eq!(gate.full(), [endpoint]);
        drop(passes);
        assert_eq!((gate.under_way().len(), gate.full().len()), (0, 0));
    }
}
