//! Of many who miss the same at once one reads it, and all get what it found.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use crate::StoreError;

type Flight<T> = BoxFuture<'static, Result<T, Arc<StoreError>>>;

/// What is read, and how many writes there were when the reading began: it is not for those who ask after
/// the next.
type Name = (u64, String);

/// Readings under way, by what is read.
#[derive(Debug, Clone)]
pub struct Flights<T: Clone> {
    under_way: Arc<Mutex<HashMap<Name, WeakShared<Flight<T>>>>>,
    writes: Arc<AtomicU64>,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// None under way; `writes` counts the writes that a later reading must see.
    pub(super) fn new(writes: Arc<AtomicU64>) -> Self {
        Self { under_way: Arc::default(), writes }
    }

    /// What somebody reads of this just now, and began to after the last write; or what `read` finds.
    ///
    /// # Errors
    /// Those of the reading, for all who waited for it.
    pub async fn join(
        &self,
        name: String,
        read: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Arc<StoreError>> {
        let name = (self.writes.load(Ordering::SeqCst), name);
        let flight = self.flight(&name, read);
        let found = flight.await;
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may have begun since this one landed.
        if under_way
            .get(&name)
            .is_some_and(|flight| flight.upgrade().is_none_or(|f| f.peek().is_some()))
        {
            under_way.remove(&name);
        }
        found
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn flight(
        &self,
        name: &Name,
        read: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Shared<Flight<T>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let found = under_way.get(name).and_then(WeakShared::upgrade);
        // One that has landed tells what was so a moment ago: a write may have come between.
        if let Some(flight) = found.filter(|flight| flight.peek().is_none()) {
            return flight;
        }
        let flight = read.map(|found| found.map_err(Arc::new)).boxed().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.insert(name.clone(), weak);
        }
        flight
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_reading_and_later_ones_have_their_own() {
        let flights = Flights::<usize>::new(Arc::default());
        let readings = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let read = || {
            let (readings, gate) = (readings.clone(), gate.clone());
            async move {
                drop(gate.acquire().await);
                Ok(readings.fetch_add(1, Ordering::SeqCst) + 1)
            }
        };
        let ask = || flights.join("one".to_owned(), read());
        // The gate opens when all have asked.
        let asked = futures::future::join_all((0..20).map(|_| ask()));
        let (all, ()) = futures::join!(asked, async { gate.add_permits(1) });
        assert!(all.into_iter().all(|found| found.unwrap() == 1));
        assert_eq!(ask().await.unwrap(), 2);
        assert!(flights.is_empty());
    }
}
