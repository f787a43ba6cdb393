//! Idempotency keys as providers keep them: for a day, with what was asked and what came of it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::reply::Reply;

/// Resend keeps keys for 24 hours; Stripe keeps keys and identifiers for at least as long.
const KEPT_HOURS: i64 = 24;
/// How many are kept; the oldest go first.
const MOST: usize = 200_000;

/// Keys of the last 24 hours of the fakes' clock.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<String, Entry>,
    order: VecDeque<(DateTime<Utc>, String)>,
}

#[derive(Debug)]
struct Entry {
    fingerprint: String,
    reply: Reply,
    at: DateTime<Utc>,
}

/// What a key came to.
#[derive(Debug)]
pub(super) enum Once {
    /// The key was new: this was done now.
    Now(Reply),
    /// The same was asked before: this had come of it.
    Before(Reply),
    /// Something else was asked under the key before.
    Other,
}

impl Remembered {
    /// Does it unless the key is known; only what was accepted is remembered. Two requests with one
    /// key never do it twice, also not at the same moment.
    pub(super) fn once(
        &self,
        key: &str,
        fingerprint: String,
        now: DateTime<Utc>,
        make: impl FnOnce() -> Reply,
    ) -> Once {
        let mut kept = self.lock();
        kept.forget(now);
        if let Some(entry) = kept.by_key.get(key) {
            if entry.fingerprint != fingerprint {
                return Once::Other;
            }
            let reply = Reply { accepted: false, result: None, ..entry.reply.clone() };
            return Once::Before(reply);
        }
        let reply = make();
        if reply.accepted {
            kept.keep(key, fingerprint, reply.clone(), now);
        }
        Once::Now(reply)
    }

    /// Remembers what an effect of an earlier run came to.
    pub(super) fn put_back(&self, key: &str, fingerprint: String, reply: Reply, at: DateTime<Utc>) {
        self.lock().keep(key, fingerprint, reply, at);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, key: &str, fingerprint: String, reply: Reply, at: DateTime<Utc>) {
        self.by_key.insert(key.to_owned(), Entry { fingerprint, reply, at });
        self.order.push_back((at, key.to_owned()));
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        let oldest = now - TimeDelta::hours(KEPT_HOURS);
        while let Some((at, key)) = self.order.front() {
            if *at > oldest && self.order.len() <= MOST {
                break;
            }
            // The key may have been taken anew since; then it is the later entry's.
            if self.by_key.get(key).is_some_and(|entry| entry.at == *at) {
                self.by_key.remove(key);
            }
            self.order.pop_front();
        }
    }
}
