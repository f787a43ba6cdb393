//! Webhooks to customers' endpoints.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use contract::{
    delivery::{AttemptDelivery, FirstAttempts, FirstAttemptsMade, Undelivered},
    failure::{DELIVERY_FAILED, WEBHOOK_DISABLED},
    ids::OrganizationId,
};
use futures::future::join_all;
use providers::webhook_out::{Message, WebhookSender};
use store::{
    Database,
    deliveries::{self, Attempt, Delivery},
    events::CALL_STARTED,
    sealing::Sealer,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    failure::{failure, of_store},
    faults::Faults,
};

/// An endpoint that answers later has failed this attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The endpoint will never come back at this URL.
const GONE: u16 = 410;

/// What deliveries need.
#[derive(Debug, Clone)]
pub struct WebhookActivities {
    /// Where deliveries and their log lie.
    pub db: Database,
    /// Opens the endpoints' secrets.
    pub sealer: Sealer,
    /// Sends to addresses that customers chose.
    pub sender: WebhookSender,
    /// Where a test may strike.
    pub faults: Faults,
}

#[derive(Default)]
struct Attempted {
    delivered: bool,
    /// The endpoint is disabled, or said that it will never come back.
    gone: bool,
    retry_after: Option<Duration>,
    error: Option<&'static str>,
    status: Option<u16>,
}

#[activities]
impl WebhookActivities {
    /// One attempt at every pending delivery of a call, all at once.
    #[activity(definition = contract::delivery::FirstAttemptsActivity)]
    pub async fn first_attempts(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: FirstAttempts,
    ) -> Result<FirstAttemptsMade, ActivityError> {
        self.faults.point("webhooks.before").await?;
        let call = input.call;
        let pending = deliveries::pending_of_call(&self.db, &self.sealer, call, input.retry_failed)
            .await
            .map_err(|e| of_store(&e))?;
        // Begun by another: by a worker that died before it could hand them over, or, of a start, by
        // the dispatcher. Its own workflow is the one to go on; where it runs, nothing happens.
        let (first, left_behind): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|delivery| delivery.attempts == 0 && delivery.event_type != CALL_STARTED);
        let mut made = FirstAttemptsMade {
            delivered: 0,
            undelivered: left_behind.iter().map(|delivery| hand_over(delivery, None)).collect(),
        };
        let attempts = first.iter().map(|delivery| self.attempt_at(call.organization_id, delivery));
        for (delivery, attempted) in first.iter().zip(join_all(attempts).await) {
            match attempted {
                Ok(attempted) if attempted.delivered => made.delivered += 1,
                Ok(attempted) if attempted.gone => {}
                Ok(attempted) => {
                    let attempts = delivery.attempts + 1;
                    let tried = Delivery { attempts, ..delivery.clone() };
                    made.undelivered.push(hand_over(&tried, attempted.retry_after));
                }
                // Its own workflow tries again; the others are not held up.
                Err(_) => made.undelivered.push(hand_over(delivery, None)),
            }
        }
        self.faults.point("webhooks.after").await?;
        Ok(made)
    }

    /// One attempt at one delivery; fails with `DeliveryFailed` or `WebhookDisabledError`.
    #[activity(definition = contract::delivery::Attempt)]
    pub async fn attempt(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AttemptDelivery,
    ) -> Result<(), ActivityError> {
        let organization = input.organization_id;
        let delivery = deliveries::get(&self.db, &self.sealer, organization, input.delivery_id)
            .await
            .map_err(|e| of_store(&e))?;
        // Delivered by an attempt whose worker died before it could say so, or erased.
        let Some(delivery) = delivery.filter(|delivery| delivery.pending) else { return Ok(()) };
        let attempted = self.attempt_at(organization, &delivery).await?;
        if attempted.delivered {
            return Ok(());
        }
        if attempted.gone {
            return Err(disabled("the endpoint is disabled or answered 410"));
        }
        let code = attempted.error.unwrap_or("status");
        let status = attempted.status.map(|status| format!(" {status}")).unwrap_or_default();
        Err(failure(DELIVERY_FAILED, format!("{code}{status}"), true, attempted.retry_after))
    }

    /// Marks a delivery as given up after its last attempt.
    #[activity(definition = contract::delivery::GiveUp)]
    pub async fn give_up(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AttemptDelivery,
    ) -> Result<(), ActivityError> {
        deliveries::end(&self.db, input.organization_id, input.delivery_id, false)
            .await
            .map_err(|e| of_store(&e))
    }
}

impl WebhookActivities {
    async fn attempt_at(
        &self,
        organization: OrganizationId,
        delivery: &Delivery,
    ) -> Result<Attempted, ActivityError> {
        if !delivery.enabled {
            let ended = deliveries::end(&self.db, organization, delivery.id, true).await;
            ended.map_err(|e| of_store(&e))?;
            return Ok(Attempted { gone: true, ..Attempted::default() });
        }
        let id = delivery.event_id.to_string();
        let body = Bytes::from(delivery.body.clone());
        let (url, secrets) = (&delivery.url, &delivery.secrets);
        let message = Message { url, id: &id, body, secrets, headers: &[] };
        let result = self.sender.attempt(&message, ATTEMPT_TIMEOUT).await;
        self.faults.point("webhooks.posted").await?;
        let gone = result.status == Some(GONE);
        let attempt = Attempt {
            status: result.status,
            error: result.error_code,
            response_body: &result.response_body,
            latency_ms: u32::try_from(result.latency.as_millis()).unwrap_or(u32::MAX),
            gone,
        };
        deliveries::attempted(&self.db, organization, delivery, &attempt)
            .await
            .map_err(|e| of_store(&e))?;
        Ok(Attempted {
            delivered: result.is_success(),
            gone,
            retry_after: result.retry_after,
            error: result.error_code,
            status: result.status,
        })
    }
}

fn hand_over(delivery: &Delivery, retry_after: Option<Duration>) -> Undelivered {
    Undelivered {
        delivery_id: delivery.id,
        attempts_made: delivery.attempts,
        retry_after_seconds: retry_after.map(|wait| wait.as_secs()),
    }
}

fn disabled(text: &str) -> ActivityError {
    failure(WEBHOOK_DISABLED, text.to_owned(), false, None)
}
