//! When a request is sent again, and after how long.

use std::time::Duration;

use uuid::Uuid;

use crate::error::Error;

const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Clients that were refused together do not come back together.
const LARGEST_JITTER_MS: u64 = 250;

/// How often a request is sent that may succeed later: one that reads, or a POST, whose
/// `Idempotency-Key` makes it safe. Others are sent once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    attempts: u32,
    first_wait: Duration,
    longest_wait: Duration,
}

impl Default for Retries {
    /// 4 attempts, waits of 250 ms, 500 ms and 1 s where the server asks for none, and of at most
    /// 30 s where it does.
    fn default() -> Self {
        Self { attempts: ATTEMPTS, first_wait: FIRST_WAIT, longest_wait: LONGEST_WAIT }
    }
}

impl Retries {
    /// Every request is sent once.
    pub fn none() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How often a request is sent at most, the first time included; 0 is 1.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// The wait before the second attempt, where the server does not ask for one; each later one is
    /// twice as long.
    #[must_use]
    pub fn first_wait(self, first_wait: Duration) -> Self {
        Self { first_wait, ..self }
    }

    /// The longest wait. A server that asks for more by `Retry-After` is not asked again: the error
    /// tells how long.
    #[must_use]
    pub fn longest_wait(self, longest_wait: Duration) -> Self {
        Self { longest_wait, ..self }
    }

    /// How long to wait after as many attempts as failed, the last one with this error; none where
    /// it is not worth another.
    pub(crate) fn wait(&self, failed: u32, error: &Error) -> Option<Duration> {
        if failed >= self.attempts || !error.can_retry() {
            return None;
        }
        let wait = match error.retry_after() {
            Some(asked) if asked > self.longest_wait => return None,
            Some(asked) => asked,
            None => self.backoff(failed),
        };
        Some(wait + jitter())
    }

    fn backoff(&self, failed: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failed.saturating_sub(1));
        self.first_wait.saturating_mul(factor).min(self.longest_wait)
    }
}

fn jitter() -> Duration {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    Duration::from_millis(low % LARGEST_JITTER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, seconds: Option<u64>) -> Error {
        Error::refused("GET /", status, b"", seconds.map(Duration::from_secs))
    }

    #[test]
    fn what_may_succeed_later_is_worth_a_bounded_number_of_tries() {
        let retries = Retries::default();
        for (failed, least) in [(1, 250), (2, 500), (3, 1000)] {
            let wait = retries.wait(failed, &refused(503, None));
            let expected = Duration::from_millis(least)..Duration::from_millis(least + 250);
            assert!(wait.is_some_and(|wait| expected.contains(&wait)), "{failed}: {wait:?}");
        }
        assert_eq!(retries.wait(4, &refused(503, None)), None);
        assert_eq!(retries.wait(1, &refused(404, None)), None);
        assert_eq!(Retries::none().wait(1, &refused(503, None)), None);
    }

    #[test]
    fn a_server_is_never_asked_sooner_than_it_wishes() {
        let retries = Retries::default().longest_wait(Duration::from_secs(10));
        let wait = retries.wait(1, &refused(429, Some(10)));
        assert!(wait.is_some_and(|wait| wait >= Duration::from_secs(10)), "{wait:?}");
        assert_eq!(retries.wait(1, &refused(429, Some(11))), None);
    }

    #[test]
    fn waits_are_bounded() {
        let retries = Retries::default().attempts(u32::MAX);
        let wait = retries.wait(u32::MAX - 1, &refused(503, None));
        assert!(wait.is_some_and(|wait| wait < Duration::from_secs(31)), "{wait:?}");
    }
}
