//! Whether Redis is asked: after a failure not for a moment, so that no request after the first waits
//! for nothing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Says whether Redis may be asked.
#[derive(Debug)]
pub struct Breaker {
    /// After which one request asks again.
    pause: Duration,
    start: Instant,
    /// Milliseconds from the start to the next question; 0 while all is well.
    ask_at: AtomicU64,
}

impl Breaker {
    /// Closed; it pauses for so long after a failure.
    pub fn pausing(pause: Duration) -> Self {
        Self { pause, start: Instant::now(), ask_at: AtomicU64::new(0) }
    }

    /// Whether this request asks. After a pause it is one request that does.
    pub fn may_ask(&self) -> bool {
        self.may_ask_at(self.start.elapsed())
    }

    /// Whether there was an answer.
    pub fn heard(&self, answered: bool) {
        self.heard_at(answered, self.start.elapsed());
    }

    fn may_ask_at(&self, now: Duration) -> bool {
        let ask_at = self.ask_at.load(Ordering::Relaxed);
        if ask_at == 0 {
            return true;
        }
        let next = milliseconds(now + self.pause);
        let is_time = milliseconds(now) >= ask_at;
        let swap =
            |next| self.ask_at.compare_exchange(ask_at, next, Ordering::Relaxed, Ordering::Relaxed);
        is_time && swap(next).is_ok()
    }

    fn heard_at(&self, answered: bool, now: Duration) {
        let ask_at = if answered { 0 } else { milliseconds(now + self.pause) };
        self.ask_at.store(ask_at, Ordering::Relaxed);
    }
}

fn milliseconds(since_start: Duration) -> u64 {
    u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_request_a_second_asks() {
        let breaker = Breaker::pausing(Duration::from_secs(1));
        let at = Duration::from_millis;
        assert!(breaker.may_ask_at(at(0)) && breaker.may_ask_at(at(0)));
        breaker.heard_at(false, at(100));
        assert!(!breaker.may_ask_at(at(1099)));
        assert!(breaker.may_ask_at(at(1100)));
        assert!(!breaker.may_ask_at(at(1100)), "another one asks already");
        assert!(breaker.may_ask_at(at(2100)), "which got no answer at all");
        breaker.heard_at(true, at(2200));
        assert!(breaker.may_ask_at(at(2200)) && breaker.may_ask_at(at(2200)));
    }
}
