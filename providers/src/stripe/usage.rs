//! Meter events (`POST /v1/billing/meter_events`).

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde::Deserialize;

use super::{
    StripeClient,
    answer::{Answered, send},
};
use crate::{
    error::{ErrorKind, ProviderError},
    operation::Operation,
};

const METER_EVENT: Operation =
    Operation { provider: "stripe", name: "meter_event", repeatable: true };

/// Usage of a customer, as Stripe is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterEvent {
    /// Name of the meter's events, at most 100 characters.
    pub event_name: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// What is added.
    pub quantity: u64,
    /// Ours, at most 100 characters. Stripe forgets it after 24 hours at the earliest.
    pub identifier: String,
    /// When it was used: at most 35 days ago, at most 5 minutes ahead.
    pub at: DateTime<Utc>,
}

/// Why Stripe was not told, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum MeterEventError {
    /// The account's key is not taken (401, 403): nothing is wrong with the usage.
    #[error(transparent)]
    Unauthorized(ProviderError),
    /// No decision, and the same idempotency key will get no other answer for 24 hours: Stripe
    /// repeated one that it keeps under the key, or says that asking again does not help. Under
    /// another key the same identifier is still counted once.
    #[error(transparent)]
    Stored(ProviderError),
    /// Everything else: see [`ErrorKind`] for what is known.
    #[error(transparent)]
    Failed(ProviderError),
}

impl MeterEventError {
    /// What happened, without what it means for keys.
    pub fn error(&self) -> &ProviderError {
        match self {
            Self::Unauthorized(error) | Self::Stored(error) | Self::Failed(error) => error,
        }
    }

    fn of(answered: &Answered) -> Self {
        let error = answered.error(METER_EVENT);
        let is_decision = matches!(error.kind, ErrorKind::Rejected { .. });
        let is_lost = matches!(error.kind, ErrorKind::Ambiguous { .. });
        let is_last = is_lost && answered.should_retry == Some(false);
        match answered.answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized(error),
            _ if !is_decision && (answered.is_replayed || is_last) => Self::Stored(error),
            _ => Self::Failed(error),
        }
    }
}

impl From<MeterEventError> for ProviderError {
    fn from(error: MeterEventError) -> Self {
        match error {
            MeterEventError::Unauthorized(error)
            | MeterEventError::Stored(error)
            | MeterEventError::Failed(error) => error,
        }
    }
}

#[derive(Deserialize)]
struct Taken {
    object: String,
}

impl StripeClient {
    /// Adds usage. Repeated under the same identifier within 23 hours it has no second effect,
    /// whatever the idempotency key: Stripe refuses an identifier that it knows, and that it knows
    /// it is what was asked for.
    ///
    /// Taken is not yet billed: Stripe tells of an unknown customer or meter later, by an event.
    ///
    /// # Errors
    /// When Stripe refuses, does not answer, or its answer is lost.
    pub async fn meter_event(
        &self,
        event: &MeterEvent,
        idempotency_key: &str,
    ) -> Result<(), MeterEventError> {
        let form = [
            ("event_name", event.event_name.as_str()),
            ("payload[stripe_customer_id]", event.customer.as_str()),
            ("payload[value]", &event.quantity.to_string()),
            ("identifier", event.identifier.as_str()),
            ("timestamp", &event.at.timestamp().to_string()),
        ];
        let request = self.post(&["v1", "billing", "meter_events"], idempotency_key).form(&form);
        let answered = send(METER_EVENT, request).await.map_err(MeterEventError::Failed)?;
        if answered.answer.status.is_success() {
            let taken = answered.answer.json::<Taken>();
            if taken.is_some_and(|taken| taken.object == "billing.meter_event") {
                return Ok(());
            }
            let malformed = METER_EVENT.malformed(answered.answer.status);
            return Err(MeterEventError::Failed(malformed));
        }
        if is_known(&answered, &event.identifier) {
            return Ok(());
        }
        Err(MeterEventError::of(&answered))
    }
}

/// Whether Stripe refused because it has the event already (seen: 400, no code, this message; its
/// list of error codes has `duplicate_meter_event`).
fn is_known(answered: &Answered, identifier: &str) -> bool {
    if answered.answer.status != StatusCode::BAD_REQUEST {
        return false;
    }
    let refusal = answered.refusal();
    let rest = refusal
        .message
        .as_deref()
        .and_then(|message| message.strip_prefix("An event already exists with identifier "));
    refusal.code.as_deref() == Some("duplicate_meter_event")
        || rest.is_some_and(|rest| rest.strip_suffix('.').unwrap_or(rest) == identifier)
}
