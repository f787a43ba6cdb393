//! How many attempts are under way at each endpoint, so that one that hangs takes few of our places.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use contract::ids::{EndpointId, OrganizationId};
use store::deliveries::{Busy, Haste};
use tokio::sync::Notify;

/// Attempts at one endpoint beside which a step or a workflow makes no further one: it would wait for
/// one that is slow.
const AT_ONE: u32 = 8;
/// And those that steps make at the endpoints of one organization, and at all: a third of the places for
/// steps, of which every call needs some.
const OF_ORGANIZATION: u32 = 8;
const OF_ALL: u32 = 16;

/// Attempts, by where they are made.
type Counts = HashMap<(OrganizationId, EndpointId), u32>;

#[derive(Debug, Default)]
struct UnderWay {
    all: Counts,
    /// Those of them that a step or a workflow waits for.
    of_steps: Counts,
}

/// Counts the attempts of this process.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    under_way: Arc<Mutex<UnderWay>>,
    ended: Arc<Notify>,
}

/// An attempt that is counted until this is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    at: (OrganizationId, EndpointId),
    is_step: bool,
}

impl Pass {
    /// Who waits until the attempt is written down.
    pub(super) const fn haste(&self) -> Haste {
        if self.is_step { Haste::Awaited } else { Haste::Queued }
    }
}

impl Gate {
    /// Counts an attempt that nothing waits for.
    pub fn enter(&self, organization: OrganizationId, endpoint: EndpointId) -> Pass {
        self.count((organization, endpoint), false)
    }

    /// Counts an attempt that a step or a workflow waits for.
    pub(super) fn enter_step(&self, organization: OrganizationId, endpoint: EndpointId) -> Pass {
        self.count((organization, endpoint), true)
    }

    /// Attempts under way.
    pub fn under_way(&self) -> Counts {
        self.counts().all.clone()
    }

    /// Returns when an attempt has ended since this last returned; for one who waits. It may not be written
    /// down yet.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Endpoints that steps and workflows of an organization leave to the queue now.
    pub(super) fn busy(&self, organization: OrganizationId) -> Busy {
        let counts = self.counts();
        let steps: u32 = counts.of_steps.values().sum();
        let own = counts.of_steps.iter().filter(|((of, _), _)| *of == organization);
        let own: u32 = own.map(|(_, count)| count).sum();
        if steps >= OF_ALL || own >= OF_ORGANIZATION {
            return Busy::Everybody;
        }
        let full = counts.all.iter().filter(|(_, count)| **count >= AT_ONE);
        Busy::Only(full.map(|((_, endpoint), _)| *endpoint).collect())
    }

    fn count(&self, at: (OrganizationId, EndpointId), is_step: bool) -> Pass {
        let mut counts = self.counts();
        *counts.all.entry(at).or_default() += 1;
        if is_step {
            *counts.of_steps.entry(at).or_default() += 1;
        }
        Pass { gate: self.clone(), at, is_step }
    }

    fn counts(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        leave(&mut counts.all, self.at);
        if self.is_step {
            leave(&mut counts.of_steps, self.at);
        }
        drop(counts);
        self.gate.ended.notify_one();
    }
}

fn leave(counts: &mut Counts, at: (OrganizationId, EndpointId)) {
    if let Some(count) = counts.get_mut(&at) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn at(number: u128) -> (OrganizationId, EndpointId) {
        let id = uuid::Uuid::from_u128(number);
        (OrganizationId(id), EndpointId(id))
    }

    #[test]
    fn attempts_are_counted_while_they_last() {
        let gate = Gate::default();
        let (organization, endpoint) = at(1);
        let passes: Vec<Pass> = (0..40).map(|_| gate.enter(organization, endpoint)).collect();
        assert_eq!(gate.under_way(), HashMap::from([((organization, endpoint), 40)]));
        assert_eq!(gate.busy(organization), Busy::Only(vec![endpoint]));
        assert!(gate.busy(at(2).0).holds(endpoint) && !gate.busy(at(2).0).holds(at(2).1));
        drop(passes);
        assert!(gate.under_way().is_empty());
        assert_eq!(gate.busy(organization), Busy::Only(Vec::new()));
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_many_ends_once() {
        let gate = Gate::default();
        let passes = [gate.enter(at(1).0, at(1).1), gate.enter(at(2).0, at(2).1)];
        assert_eq!(gate.ended().now_or_never(), None);
        drop(passes);
        assert_eq!([gate.ended().now_or_never(), gate.ended().now_or_never()], [Some(()), None]);
    }

    #[test]
    fn steps_wait_for_few_endpoints_of_an_organization_and_of_all() {
        let gate = Gate::default();
        let enter = |of: u128, endpoint: u128| gate.enter_step(at(of).0, at(endpoint).1);
        let passes: Vec<Pass> = (0..8).map(|number| enter(1, number)).collect();
        assert_eq!(gate.busy(at(1).0), Busy::Everybody);
        assert_eq!(gate.busy(at(2).0), Busy::Only(Vec::new()));
        let others: Vec<Pass> = (2..10).map(|number| enter(number, number)).collect();
        assert_eq!(gate.busy(at(99).0), Busy::Everybody);
        drop((passes, others));
        assert!(gate.counts().of_steps.is_empty());
    }
}
