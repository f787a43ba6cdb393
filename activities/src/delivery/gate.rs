//! How many attempts are under way at each endpoint, so that one that hangs takes few of our places.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use contract::ids::EndpointId;
use store::deliveries::Capacity;

/// Counts the attempts of this process.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    under_way: Arc<Mutex<HashMap<EndpointId, u32>>>,
}

/// An attempt that is counted until this is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    endpoint: EndpointId,
}

impl Gate {
    /// Counts an attempt.
    pub fn enter(&self, endpoint: EndpointId) -> Pass {
        *self.counts().entry(endpoint).or_default() += 1;
        Pass { gate: self.clone(), endpoint }
    }

    /// Attempts under way, by endpoint.
    pub fn under_way(&self) -> HashMap<EndpointId, u32> {
        self.counts().clone()
    }

    /// Endpoints that get no further attempt now.
    pub(super) fn full(&self) -> Vec<EndpointId> {
        let counts = self.counts();
        counts.iter().filter(|(_, count)| Capacity::is_full(**count)).map(|(id, _)| *id).collect()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<EndpointId, u32>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        if let Some(count) = counts.get_mut(&self.endpoint) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.endpoint);
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
        let endpoint = EndpointId(uuid::Uuid::from_u128(1));
        let passes: Vec<Pass> = (0..40).map(|_| gate.enter(endpoint)).collect();
        assert_eq!(gate.under_way(), HashMap::from([(endpoint, 40)]));
        assert_eq!(gate.full(), [endpoint]);
        drop(passes);
        assert_eq!((gate.under_way().len(), gate.full().len()), (0, 0));
    }
}
