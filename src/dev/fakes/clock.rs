//! A clock that a test may put forward, for what providers forget after a time.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// Ten years: further than any rule of a provider looks, and far from overflowing a date.
const FURTHEST_SECONDS: i64 = 10 * 365 * 24 * 3600;

/// The machine's clock plus what was added to it.
#[derive(Debug)]
pub(super) struct Clock {
    ahead_seconds: AtomicI64,
}

impl Clock {
    pub(super) fn new(ahead_seconds: i64) -> Self {
        let ahead_seconds = ahead_seconds.clamp(-FURTHEST_SECONDS, FURTHEST_SECONDS);
        Self { ahead_seconds: AtomicI64::new(ahead_seconds) }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        ahead(Utc::now(), self.ahead_seconds())
    }

    pub(super) fn ahead_seconds(&self) -> i64 {
        self.ahead_seconds.load(Ordering::Relaxed)
    }

    /// Lets the clock show a time of the ten years around now. Put back, what was remembered until
    /// then is forgotten later.
    pub(super) fn set(&self, now: DateTime<Utc>) {
        let ahead = (now - Utc::now()).num_seconds().clamp(-FURTHEST_SECONDS, FURTHEST_SECONDS);
        self.ahead_seconds.store(ahead, Ordering::Relaxed);
    }

    /// Puts the clock forward; never back, because remembered times must not lie in the future.
    pub(super) fn advance(&self, seconds: u32) {
        let advanced = (self.ahead_seconds() + i64::from(seconds)).min(FURTHEST_SECONDS);
        self.ahead_seconds.store(advanced, Ordering::Relaxed);
    }
}

/// `at` as a clock so many seconds ahead would show it.
pub(super) fn ahead(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    TimeDelta::try_seconds(seconds).and_then(|delta| at.checked_add_signed(delta)).unwrap_or(at)
}
