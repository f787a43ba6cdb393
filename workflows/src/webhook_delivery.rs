//! `WebhookDelivery`: brings one event to one endpoint, for as long as its schedule says.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use std::time::Duration;

use contract::{
    delivery::{AttemptDelivery, DeliverWebhook, DeliveredWebhook, DeliverySchedule, Webhooks},
    failure::{DELIVERY_FAILED, WEBHOOK_DISABLED},
};
use temporalio_common::error::IncomingError;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ActivityOptions, RetryPolicy, TimerResult, WorkflowContext,
    WorkflowResult, WorkflowTermination,
};

use crate::policy;

/// Longer waits are the long tail's; an endpoint cannot park its deliveries for a year.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// An attempt takes at most 10 s; the rest is for the database.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);

/// The workflow of a delivery; its id is `delivery-{delivery_id}`.
#[workflow]
#[derive(Default)]
pub struct WebhookDelivery;

type Context = WorkflowContext<WebhookDelivery>;

enum Phase {
    Delivered,
    Disabled,
    Failing,
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
        let mut phase = first_phase(ctx, &input, delivery).await?;
        for wait in &input.schedule.tail_seconds {
            if !matches!(phase, Phase::Failing) {
                break;
            }
            sleep(ctx, Duration::from_secs(*wait)).await?;
            phase = attempt(ctx, delivery, single_attempt()).await?;
        }
        if matches!(phase, Phase::Failing) {
            ctx.execute_activity(Webhooks::give_up, delivery, policy::until_done()).await?;
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
    let schedule = &input.schedule;
    let left = schedule.first_attempts.saturating_sub(input.attempts_made);
    if left == 0 {
        return Ok(Phase::Failing);
    }
    if input.attempts_made > 0 {
        let asked = Duration::from_secs(input.retry_after_seconds.unwrap_or(0));
        let wait = Duration::from_secs(schedule.first_seconds);
        sleep(ctx, wait.max(asked.min(LONGEST_RETRY_AFTER))).await?;
    }
    attempt(ctx, delivery, attempts(schedule, input.attempts_made, left)).await
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
            Some(IncomingError::Application(f)) if f.type_name() == Some(WEBHOOK_DISABLED) => {
                Ok(Phase::Disabled)
            }
            _ => Ok(Phase::Failing),
        },
    }
}

async fn sleep(ctx: &Context, wait: Duration) -> Result<(), WorkflowTermination> {
    match ctx.timer(wait).await {
        TimerResult::Fired => Ok(()),
        _ => Err(WorkflowTermination::cancelled()),
    }
}

fn attempts(schedule: &DeliverySchedule, made: u32, left: u32) -> ActivityOptions {
    let first = Duration::from_secs(schedule.first_seconds.max(1));
    let retry = RetryPolicy::builder()
        .initial_interval(first * 2_u32.saturating_pow(made.min(10)))
        .backoff_coefficient(2.0)
        .maximum_attempts(left)
        .non_retryable_error_types([WEBHOOK_DISABLED])
        .build();
    ActivityOptions::with_start_to_close_timeout(ATTEMPT_LIMIT).retry_policy(retry).build()
}

/// One attempt at the endpoint; trouble of our own before it is tried again until it passes.
fn single_attempt() -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .maximum_interval(Duration::from_secs(60))
        .non_retryable_error_types([WEBHOOK_DISABLED, DELIVERY_FAILED])
        .build();
    ActivityOptions::with_start_to_close_timeout(ATTEMPT_LIMIT).retry_policy(retry).build()
}
