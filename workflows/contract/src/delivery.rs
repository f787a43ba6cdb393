//! Webhooks to customers: first attempts within the call, `WebhookDelivery` for the rest.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

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
