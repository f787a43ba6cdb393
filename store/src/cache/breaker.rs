//! Redis is left alone for a moment after it failed, so that not every request waits for it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// For so long.
const PAUSE: Duration = Duration::from_millis(500);

/// Says whether Redis may be asked. After a pause one asks for all.
#[derive(Debug)]
pub(super) struct Breaker {
    began: Instant,
    /// Milliseconds after `began`; 0 while it answers.
    closed_until: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { began: Instant::now(), closed_until: AtomicU64::new(0) }
    }
}

impl Breaker {
    pub(super) fn allows(&self) -> bool {
        let until = self.closed_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = self.now();
        let next = now + Self::pause();
        // Whoever moves it on is the one that asks.
        now >= until
            && self
                .closed_until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(super) fn answered(&self) {
        self.closed_until.store(0, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.closed_until.store(self.now() + Self::pause(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    const fn pause() -> u64 {
        PAUSE.as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_nobody_asks_and_after_the_pause_one() {
        let breaker = Breaker::default();
        assert!(breaker.allows() && breaker.allows());
        breaker.failed();
        assert!(!breaker.allows());
        let over = Breaker { began: Instant::now() - PAUSE * 2, closed_until: AtomicU64::new(1) };
        assert!(over.allows());
        assert!(!over.allows(), "the one that asks has not been answered");
        over.answered();
        assert!(over.allows() && over.allows());
    }
}
