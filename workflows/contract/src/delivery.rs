//! Webhooks to customers: first attempts within the call, `WebhookDelivery` for the rest.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::{
    calls::CallRef,
    ids::{DeliveryId, OrganizationId},
};

/// Workflow type: brings one event to one endpoint.
pub const WEBHOOK_DELIVERY: &str = "WebhookDelivery";

/// Input of `WebhookDelivery`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverWebhook {
    /// Owner of the endpoint.
    pub organization_id: OrganizationId,
    /// The event on its way to the endpoint.
    pub delivery_id: DeliveryId,
    /// Attempts made before this workflow (one when `CallProcessing` tried already).
    #[serde(default)]
    pub attempts_made: u32,
    /// `Retry-After` of the last attempt, in seconds.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
    /// When to try; a test shortens it.
    #[serde(default)]
    pub schedule: DeliverySchedule,
}

/// When the attempts of a delivery are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliverySchedule {
    /// Wait before the second attempt in seconds; doubles for each further one of the first phase.
    pub first_seconds: u64,
    /// Attempts of the first phase.
    pub first_attempts: u32,
    /// Waits of the long tail in seconds, one attempt after each.
    pub tail_seconds: Vec<u64>,
}

impl Default for DeliverySchedule {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            first_seconds: 5,
            first_attempts: 5,
            tail_seconds: vec![5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR],
        }
    }
}

/// Waits are prolonged by up to a fifth, so that what failed together does not come back together.
const JITTER_STEPS: u32 = 64;
/// An endpoint cannot park its deliveries for a year.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

impl DeliverySchedule {
    /// An endpoint's own schedule: waits in seconds, one attempt after each.
    pub fn of_waits(waits: Vec<u64>) -> Self {
        Self { first_seconds: 0, first_attempts: 1, tail_seconds: waits }
    }

    /// The wait after this many attempts, from 1; nothing where that was the last.
    pub fn wait_after(&self, attempts: u32) -> Option<Duration> {
        let seconds = match attempts.checked_sub(self.first_attempts) {
            None => self.first_seconds.saturating_mul(1 << attempts.saturating_sub(1).min(20)),
            Some(index) => *self.tail_seconds.get(usize::try_from(index).ok()?)?,
        };
        Some(Duration::from_secs(seconds))
    }

    /// When to try again: at least as late as the endpoint asked, within an hour, and each delivery a
    /// little later than the schedule says, always by the same.
    pub fn next(
        &self,
        delivery: DeliveryId,
        attempts: u32,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let wait = self.wait_after(attempts)?;
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let steps = u32::from(delivery.0.as_bytes()[15]).wrapping_add(attempts * 7) % JITTER_STEPS;
        let wait = wait.max(asked);
        Some(wait + wait / 5 * steps / JITTER_STEPS)
    }
}

/// Result of `WebhookDelivery`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredWebhook {
    /// Whether the endpoint took the event.
    pub delivered: bool,
}

/// Input of `webhooks.first_attempts`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct FirstAttempts {
    /// The call whose events are delivered.
    pub call: CallRef,
    /// Whether deliveries given up are tried again (`retry-step`).
    #[serde(default)]
    pub retry_failed: bool,
}

/// Result of `webhooks.first_attempts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstAttemptsMade {
    /// Deliveries that arrived.
    pub delivered: u32,
    /// Deliveries that go on in workflows of their own.
    pub undelivered: Vec<Undelivered>,
}

/// A delivery whose first attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Attempts made so far.
    pub attempts_made: u32,
    /// `Retry-After` of the answer, in seconds.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
    /// The endpoint's own schedule, where it has one.
    #[serde(default)]
    pub schedule: DeliverySchedule,
}

/// Input of `webhooks.attempt` and `webhooks.give_up`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AttemptDelivery {
    /// Owner of the endpoint.
    pub organization_id: OrganizationId,
    /// The delivery to attempt.
    pub delivery_id: DeliveryId,
}

/// Declares the activities; `activities` implements them.
pub struct Webhooks;

#[activity_definitions]
impl Webhooks {
    /// One attempt at every pending delivery of a call, all at once.
    #[activity(name = "webhooks.first_attempts")]
    pub fn first_attempts(_: FirstAttempts) -> FirstAttemptsMade {
        unimplemented!()
    }

    /// One attempt at one delivery; fails with `DeliveryFailed` or `WebhookDisabledError`.
    #[activity(name = "webhooks.attempt")]
    pub fn attempt(_: AttemptDelivery) {
        unimplemented!()
    }

    /// Marks a delivery as given up after its last attempt.
    #[activity(name = "webhooks.give_up")]
    pub fn give_up(_: AttemptDelivery) {
        unimplemented!()
    }
}

pub use self::webhooks::{Attempt, FirstAttempts as FirstAttemptsActivity, GiveUp};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn seconds(schedule: &DeliverySchedule) -> Vec<u64> {
        (1..).map_while(|attempts| schedule.wait_after(attempts)).map(|w| w.as_secs()).collect()
    }

    #[test]
    fn the_usual_schedule_is_seconds_and_then_hours() {
        let usual = [5, 10, 20, 40, 300, 1800, 7200, 18_000, 36_000, 36_000];
        assert_eq!(seconds(&DeliverySchedule::default()), usual);
        assert_eq!(seconds(&DeliverySchedule::of_waits(vec![1, 60])), [1, 60]);
        assert!(seconds(&DeliverySchedule::of_waits(vec![])).is_empty());
    }

    #[test]
    fn a_wait_is_as_long_as_asked_for_within_an_hour_and_spread_by_a_fifth() {
        let schedule = DeliverySchedule::default();
        for id in 0..256 {
            let id = DeliveryId(uuid::Uuid::from_u128(id));
            let next = |attempts, asked| {
                schedule.next(id, attempts, Some(Duration::from_secs(asked))).unwrap().as_secs_f64()
            };
            assert!((5.0..6.0).contains(&next(1, 0)), "{}", next(1, 0));
            assert!((30.0..36.0).contains(&next(1, 30)), "{}", next(1, 30));
            assert!((3600.0..4320.0).contains(&next(1, 1_000_000)));
            assert!((36_000.0..43_200.0).contains(&next(10, 0)));
            assert_eq!(schedule.next(id, 11, None), None);
        }
    }
}
