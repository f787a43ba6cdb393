//! Requests of keys, counted in memory and written once a second for all keys together.
//!
//! A key's quota is compared with what the database knew at the last write or look, and what this
//! process has counted since. So a process alone never lets one request too many through, and several
//! together no more than the others let through within two seconds.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use store::{
    Database, StoreError,
    keys::{self, Used},
};
use tokio::sync::Mutex as Turn;
use uuid::Uuid;

/// Keys in one statement.
const AT_ONCE: usize = 1_000;
/// Keys without uncounted requests that are remembered.
const MOST_QUIET: usize = 20_000;

#[derive(Default)]
pub(super) struct Counts {
    keys: Mutex<HashMap<Uuid, Count>>,
    /// One write at a time: two would not know what the other has taken along.
    writing: Turn<()>,
}

#[derive(Default)]
struct Count {
    /// All requests, as the database last said.
    known: i64,
    /// Of this process, not written yet.
    waiting: i64,
    /// Of this process, on their way into the database: nobody knows whether it has them already.
    leaving: i64,
    last_at: DateTime<Utc>,
}

impl Counts {
    /// Counts a request, unless that would be more than the quota.
    pub(super) fn take(&self, id: Uuid, quota: Option<i64>) -> bool {
        let mut keys = self.keys();
        let count = keys.entry(id).or_default();
        let used = count.known + count.leaving + count.waiting;
        if quota.is_some_and(|quota| used >= quota) {
            return false;
        }
        count.waiting += 1;
        count.last_at = Utc::now();
        true
    }

    /// What the database says of a key.
    pub(super) fn learn(&self, id: Uuid, known: i64) {
        let mut keys = self.keys();
        let count = keys.entry(id).or_default();
        // It may have the requests on their way already; they must not count twice.
        if count.leaving == 0 {
            count.known = count.known.max(known);
        }
    }

    /// Writes what waits. What cannot be written waits on.
    pub(super) async fn write(&self, db: &Database) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        loop {
            let used = self.leave();
            if used.is_empty() {
                return Ok(());
            }
            let written = keys::count(db, &used).await;
            self.settle(&used, written.as_ref().ok().map(Vec::as_slice));
            written?;
        }
    }

    fn leave(&self) -> Vec<Used> {
        let mut keys = self.keys();
        if keys.len() > MOST_QUIET {
            keys.retain(|_, count| count.waiting > 0);
        }
        let waiting = keys.iter_mut().filter(|(_, count)| count.waiting > 0).take(AT_ONCE);
        let used = waiting.map(|(id, count)| {
            count.leaving = std::mem::take(&mut count.waiting);
            Used { id: *id, requests: count.leaving, last_at: count.last_at }
        });
        used.collect()
    }

    /// A key that was not among those written was revoked.
    fn settle(&self, used: &[Used], written: Option<&[(Uuid, i64)]>) {
        let mut keys = self.keys();
        for Used { id, .. } in used {
            let Some(count) = keys.get_mut(id) else { continue };
            match written {
                None => count.waiting += std::mem::take(&mut count.leaving),
                Some(_) => count.leaving = 0,
            }
        }
        for (id, known) in written.unwrap_or_default() {
            if let Some(count) = keys.get_mut(id) {
                count.known = *known;
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Uuid, Count>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_quota_counts_what_is_written_what_waits_and_what_is_on_its_way() {
        let counts = Counts::default();
        counts.learn(KEY, 7);
        assert!(counts.take(KEY, Some(10)) && counts.take(KEY, Some(10)));
        let used = counts.leave();
        assert_eq!((used.len(), used[0].requests), (1, 2));
        // The database has them by now, and another request reads that.
        counts.learn(KEY, 9);
        assert!(counts.take(KEY, Some(10)), "nine so far");
        assert!(!counts.take(KEY, Some(10)), "ten");
        counts.settle(&used, Some(&[(KEY, 9)]));
        assert!(!counts.take(KEY, Some(10)));
        assert!(counts.take(KEY, Some(11)), "the quota was raised");
        assert!(counts.take(KEY, None));
        assert_eq!(counts.leave()[0].requests, 3);
    }

    #[test]
    fn what_was_not_written_waits_on() {
        let counts = Counts::default();
        assert!(counts.take(KEY, None));
        let used = counts.leave();
        assert!(counts.leave().is_empty(), "nothing new waits");
        assert!(counts.take(KEY, None));
        counts.settle(&used, None);
        assert_eq!(counts.leave()[0].requests, 2);
    }

    #[test]
    fn a_quota_of_none_lets_nothing_through() {
        assert!(!Counts::default().take(KEY, Some(0)));
    }
}
