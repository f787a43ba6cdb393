//! `WebhookDelivery`: brings one event to one endpoint, for as long as its schedule says.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use std::time::Duration;

use contract::{
    delivery::{AttemptDelivery, DeliverWebhook, DeliveredWebhook, Webhooks},
    failure::{DELIVERY_FAILED, DELIVERY_RELEASED, WEBHOOK_DISABLED},
};
use temporalio_common::error::IncomingError;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ActivityOptions, RetryPolicy, TimerResult, WorkflowContext,
    WorkflowResult, WorkflowTermination,
};

use crate::policy;

/// An attempt takes at most 10 s; the rest is for the database.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);

/// The workflow of a delivery; its id is `delivery-{delivery_id}`.
#[workflow]
#[derive(Default)]
pub struct WebhookDelivery;

type Context = WorkflowContext<WebhookDelivery>;

enum Phase {
    Delivered,
    /// Disabled, or back in the queue: nothing is left to do here.
    Over,
    /// `Retry-After` of the last answer.
    Failing(Option<Duration>),
}

#[workflow_methods]
impl WebhookDelivery {
    #[run(name = "WebhookDelivery")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: DeliverWebhook,
    ) -> WorkflowResult<DeliveredWebhook> {
        let delivery = AttemptDelivery {
            organization_id: input.organization_id,
            delivery_id: input.delivery_id,
        };
        let mut attempts = input.schedule.first_attempts;
        // Its first releases began the tail anew for a delivery that came back from the middle of it.
        if input.attempts_made > attempts && ctx.patched("tail-goes-on") {
            attempts = input.attempts_made;
        }
        let mut phase = first_phase(ctx, &input, delivery).await?;
        while let Phase::Failing(asked) = phase {
            let Some(wait) = input.schedule.next(input.delivery_id, attempts, asked) else {
                ctx.execute_activity(Webhooks::give_up, delivery, policy::until_done()).await?;
                break;
            };
            sleep(ctx, wait).await?;
            phase = attempt(ctx, delivery, single_attempt()).await?;
            attempts += 1;
        }
        Ok(DeliveredWebhook { delivered: matches!(phase, Phase::Delivered) })
    }
}

/// Attempts seconds apart, as one activity with its retries; waits first where one was made.
async fn first_phase(
    ctx: &Context,
    input: &DeliverWebhook,
    delivery: AttemptDelivery,
) -> Result<Phase, WorkflowTermination> {
    let asked = input.retry_after_seconds.map(Duration::from_secs);
    let left = input.schedule.first_attempts.saturating_sub(input.attempts_made);
    if left == 0 {
        return Ok(Phase::Failing(asked));
    }
    if input.attempts_made > 0
        && let Some(wait) = input.schedule.next(input.delivery_id, input.attempts_made, asked)
    {
        sleep(ctx, wait).await?;
    }
    attempt(ctx, delivery, attempts(left)).await
}

async fn attempt(
    ctx: &Context,
    delivery: AttemptDelivery,
    options: ActivityOptions,
) -> Result<Phase, WorkflowTermination> {
    match ctx.execute_activity(Webhooks::attempt, delivery, options).await {
        Ok(()) => Ok(Phase::Delivered),
        Err(error @ ActivityExecutionError::Cancelled(_)) => Err(error.into()),
        Err(error) => match error.reason() {
            Some(IncomingError::Application(failure)) => match failure.type_name() {
                Some(WEBHOOK_DISABLED | DELIVERY_RELEASED) => Ok(Phase::Over),
                // What it asked for before the last attempt of the first phase is heard there.
                _ => Ok(Phase::Failing(failure.details().ok().flatten().map(Duration::from_secs))),
            },
            _ => Ok(Phase::Failing(None)),
        },
    }
}

async fn sleep(ctx: &Context, wait: Duration) -> Result<(), WorkflowTermination> {
    match ctx.timer(wait).await {
        TimerResult::Fired => Ok(()),
        _ => Err(WorkflowTermination::cancelled()),
    }
}

/// The activity says after each failure how long to wait; what is here is for trouble of our own.
fn attempts(left: u32) -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(5))
        .backoff_coefficient(2.0)
        .maximum_attempts(left)
        .non_retryable_error_types([WEBHOOK_DISABLED, DELIVERY_RELEASED])
        .build();
    ActivityOptions::with_start_to_close_timeout(ATTEMPT_LIMIT).retry_policy(retry).build()
}

/// One attempt at the endpoint; trouble of our own before it is tried again until it passes.
fn single_attempt() -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .maximum_interval(Duration::from_secs(60))
        .non_retryable_error_types([WEBHOOK_DISABLED, DELIVERY_RELEASED, DELIVERY_FAILED])
        .build();
    ActivityOptions::with_start_to_close_timeout(ATTEMPT_LIMIT).retry_policy(retry).build()
}
