//! Webhooks to customers' endpoints.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

mod gate;
mod notice;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use contract::{
    delivery::{AttemptDelivery, DeliverySchedule, FirstAttempts, FirstAttemptsMade, Undelivered},
    failure::{DELIVERY_FAILED, DELIVERY_RELEASED, UNAVAILABLE, WEBHOOK_DISABLED},
    ids::DeliveryId,
    recovery::{OwnersTold, PageRecovered, RecoverWebhooks, TellOwners},
};
use futures::future::join_all;
use providers::{
    resend::ResendClient,
    webhook_out::{AttemptResult, Message, WebhookSender},
};
use store::{
    Database,
    deliveries::{self, Attempted, Claimed, Next, Recorder, Turn},
    recoveries,
    sealing::Sealer,
    signals::Teller,
};
use temporalio_macros::activities;
use temporalio_sdk::{
    ApplicationFailure,
    activities::{ActivityContext, ActivityError},
};

pub use self::gate::{Gate, Pass};
use crate::{
    clock::Clock,
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
    /// Writes attempts down.
    pub recorder: Recorder,
    /// Counts attempts under way.
    pub gate: Gate,
    /// Wakes whoever serves the queue of deliveries.
    pub queue: Teller,
    /// Who carries emails to owners; nobody where no key is configured.
    pub resend: Option<ResendClient>,
    /// What time it is.
    pub clock: Clock,
    /// Where a test may strike.
    pub faults: Faults,
}

/// An attempt that was made and written down.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// How the delivery goes on.
    pub next: Next,
    /// Class of the failure; none where it arrived.
    pub error: Option<&'static str>,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// How long the endpoint asks to wait.
    pub retry_after: Option<Duration>,
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
        let busy = self.gate.busy(input.call.organization_id);
        let (db, sealer) = (&self.db, &self.sealer);
        let found = deliveries::claim_of_call(db, sealer, input.call, input.retry_failed, &busy)
            .await
            .map_err(|e| of_store(&e))?;
        if found.left {
            self.queue.tell();
        }
        self.faults.point("webhooks.claimed").await?;
        let attempts = found.claimed.iter().map(|delivery| async {
            let pass = self.gate.enter_step(delivery.organization_id, delivery.endpoint_id);
            self.attempt_claimed(delivery.clone(), pass).await
        });
        let attempts = join_all(attempts).await;
        // By a worker that died before it could hand them over. A workflow that runs already is as good.
        let tried = found.tried.into_iter();
        let tried = tried.map(|tried| hand_over(tried.id, 1, Some(tried.wait), tried.schedule));
        let mut made = FirstAttemptsMade { delivered: 0, undelivered: tried.collect() };
        for (delivery, attempt) in found.claimed.into_iter().zip(attempts) {
            match attempt? {
                Made { next: Next::Delivered, .. } => made.delivered += 1,
                Made { next: Next::Workflow(_), retry_after, .. } => {
                    let (id, attempts) = (delivery.id, delivery.attempts + 1);
                    made.undelivered.push(hand_over(id, attempts, retry_after, delivery.schedule));
                }
                Made { .. } => {}
            }
        }
        self.faults.point("webhooks.after").await?;
        Ok(made)
    }

    /// One attempt at one delivery; fails with `DeliveryFailed`, `WebhookDisabledError` or
    /// `DeliveryReleased`.
    #[activity(definition = contract::delivery::Attempt)]
    pub async fn attempt(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AttemptDelivery,
    ) -> Result<(), ActivityError> {
        let busy = self.gate.busy(input.organization_id);
        let turn = deliveries::claim_turn(&self.db, &self.sealer, input, &busy).await;
        let delivery = match turn.map_err(|e| of_store(&e))? {
            Turn::Yours(delivery) => *delivery,
            // By an attempt whose worker died before it could say so.
            Turn::Delivered => return Ok(()),
            Turn::Disabled => return Err(disabled()),
            Turn::Over => return Err(released("it was ended elsewhere")),
            Turn::Released => {
                self.queue.tell();
                return Err(released("it waits in the queue"));
            }
        };
        let pass = self.gate.enter_step(delivery.organization_id, delivery.endpoint_id);
        let made = self.attempt_claimed(delivery, pass).await?;
        match made.next {
            Next::Delivered => Ok(()),
            Next::Disabled => Err(disabled()),
            Next::Workflow(wait) => Err(failed(&made, wait)),
            Next::GivenUp => Err(released("that was the last attempt")),
            Next::Queue => Err(released("it waits in the queue")),
            Next::Lost => Err(released("another attempt has taken its place")),
        }
    }

    /// Hands the next deliveries of a recovery to the queue.
    #[activity(definition = contract::recovery::RecoverPage)]
    pub async fn recover_page(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: RecoverWebhooks,
    ) -> Result<PageRecovered, ActivityError> {
        self.faults.point("recover.before").await?;
        let page = recoveries::page(&self.db, input).await.map_err(|e| of_store(&e))?;
        self.queue.tell();
        self.faults.point("recover.after").await?;
        Ok(page)
    }

    /// Sends an email about an endpoint to each owner.
    #[activity(definition = contract::recovery::SendNotice)]
    pub async fn send_notice(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: TellOwners,
    ) -> Result<OwnersTold, ActivityError> {
        notice::send(&self, &input).await
    }

    /// Marks a delivery as given up after its last attempt.
    #[activity(definition = contract::delivery::GiveUp)]
    pub async fn give_up(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AttemptDelivery,
    ) -> Result<(), ActivityError> {
        self.faults.point("give-up.before").await?;
        deliveries::give_up(&self.db, input.organization_id, input.delivery_id)
            .await
            .map_err(|e| of_store(&e))?;
        self.faults.point("give-up.after").await
    }
}

impl WebhookActivities {
    /// Makes the attempt that was claimed and writes it down.
    ///
    /// # Errors
    /// When it cannot be written down: the claim runs out, and the attempt is made again.
    pub async fn attempt_claimed(
        &self,
        delivery: Claimed,
        pass: Pass,
    ) -> Result<Made, ActivityError> {
        self.faults.point("webhooks.sending").await?;
        let id = delivery.event_id.to_string();
        let message = Message {
            url: &delivery.url,
            id: &id,
            body: Bytes::from(delivery.body.clone()),
            secrets: &delivery.secrets,
            headers: &delivery.headers,
        };
        let result = self.sender.attempt(&message, ATTEMPT_TIMEOUT).await;
        let haste = pass.haste();
        drop(pass);
        self.faults.point("webhooks.posted").await?;
        let outcome = result.error_code.unwrap_or("delivered");
        metrics::counter!("postcall_webhook_attempts_total", "outcome" => outcome).increment(1);
        let (error, status, retry_after) = (result.error_code, result.status, result.retry_after);
        let recorded = self.recorder.record(attempted(delivery, result), haste).await;
        let next = recorded.map_err(|error| {
            tracing::warn!(%error, "an attempt was made and not written down");
            failure(UNAVAILABLE, error.to_string(), true, None)
        })?;
        self.faults.point("webhooks.settled").await?;
        Ok(Made { next, error, status, retry_after })
    }
}

fn hand_over(
    delivery_id: DeliveryId,
    attempts_made: u32,
    retry_after: Option<Duration>,
    schedule: DeliverySchedule,
) -> Undelivered {
    let retry_after_seconds = retry_after.map(|wait| wait.as_secs());
    Undelivered { delivery_id, attempts_made, retry_after_seconds, schedule }
}

fn attempted(delivery: Claimed, result: AttemptResult) -> Attempted {
    Attempted {
        delivery,
        status: result.status,
        error: result.error_code,
        request_headers: result.request_headers,
        response_headers: result.response_headers,
        response_body: result.response_body,
        latency: result.latency,
        gone: result.status == Some(GONE),
        retry_after: result.retry_after,
    }
}

/// The next attempt of the first phase is made after `wait`; the long tail hears what was asked for.
fn failed(made: &Made, wait: Duration) -> ActivityError {
    let status = made.status.map(|status| format!(" {status}")).unwrap_or_default();
    let text = format!("{}{status}", made.error.unwrap_or("status"));
    let asked: Option<u64> = made.retry_after.map(|asked| asked.as_secs());
    ActivityError::application(
        ApplicationFailure::builder(text)
            .type_name(DELIVERY_FAILED.to_owned())
            .next_retry_delay(wait)
            .details(asked)
            .build(),
    )
}

fn disabled() -> ActivityError {
    let text = "the endpoint is disabled, deleted or answered 410";
    failure(WEBHOOK_DISABLED, text.to_owned(), false, None)
}

fn released(why: &str) -> ActivityError {
    failure(DELIVERY_RELEASED, why.to_owned(), false, None)
}
