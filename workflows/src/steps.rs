//! The steps of a call: which activity each is, and what becomes of its failure.
//!
//! Optimistic local, durable remote: a short step runs as a local activity first, which costs the
//! server next to nothing; when that fails or takes too long, it is scheduled again as an ordinary
//! activity with the full retry policy, so that trouble is visible and survives the worker.

use contract::{
    call::CallStatus,
    calls::{CallRef, Calls, CloseCall, FinishCall, ProcessCall, ProcessedCall},
    delivery::{DeliverWebhook, FirstAttempts, Undelivered, Webhooks},
    extraction::Extraction,
    names::delivery_workflow_id,
    notifications::{Notifications, Notify},
    recording::Recordings,
    steps::{Step, StepRecord, StepStatus},
};
use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable};
use temporalio_workflow::{
    ActivityExecutionError, ActivityOptions, LocalActivityOptions, WorkflowContext,
    WorkflowTermination,
};

use crate::{CallProcessing, WebhookDelivery, policy};

type Context = WorkflowContext<CallProcessing>;

/// A call after its first step: what it is and what it still needs.
pub(crate) struct FinishedCall {
    call: CallRef,
    status: CallStatus,
    needed: Vec<Step>,
}

impl FinishedCall {
    fn needs(&self, step: Step) -> bool {
        self.needed.contains(&step)
    }
}

/// Folds the events into rows. Without it there is no call, so it is tried until it works.
pub(crate) async fn finish(
    ctx: &Context,
    input: &ProcessCall,
) -> Result<FinishedCall, WorkflowTermination> {
    let fold = FinishCall {
        organization_id: input.organization_id,
        call_id: input.call_id,
        retry: input.retry.clone(),
    };
    let finished =
        local_first(ctx, || Calls::finish, fold, policy::local_short(), policy::until_done())
            .await?;
    let call = CallRef {
        organization_id: input.organization_id,
        call_id: input.call_id,
        created_at: finished.created_at,
    };
    Ok(FinishedCall { call, status: finished.status, needed: finished.needed })
}

/// Copies the audio. Slow, so an ordinary activity from the start.
pub(crate) async fn archive_recording(ctx: &Context, call: &FinishedCall) -> StepRecord {
    if !call.needs(Step::Recording) {
        return skipped(Step::Recording);
    }
    let done = ctx.execute_activity(Recordings::archive, call.call, policy::recording()).await;
    record(Step::Recording, done.map(drop))
}

/// Asks the model. Slow, so an ordinary activity from the start.
pub(crate) async fn extract(ctx: &Context, call: &FinishedCall) -> StepRecord {
    if !call.needs(Step::Extract) {
        return skipped(Step::Extract);
    }
    let done = ctx.execute_activity(Extraction::extract, call.call, policy::extraction()).await;
    record(Step::Extract, done.map(drop))
}

/// Text messages (`Step::Sms`) or emails (`Step::Email`).
pub(crate) async fn notify(
    ctx: &Context,
    call: &FinishedCall,
    step: Step,
    input: &ProcessCall,
) -> StepRecord {
    if !call.needs(step) {
        return skipped(step);
    }
    let notify = Notify { call: call.call, retry_failed: input.retry.contains(&step) };
    let (local, remote) = (policy::local_http(), policy::notification());
    let done = match step {
        Step::Sms => local_first(ctx, || Notifications::sms, notify, local, remote).await,
        _ => local_first(ctx, || Notifications::email, notify, local, remote).await,
    };
    record(step, done.map(drop))
}

/// First attempts at every endpoint; what fails goes on in workflows of its own, not waited for.
pub(crate) async fn deliver_webhooks(
    ctx: &Context,
    call: &FinishedCall,
    input: &ProcessCall,
) -> StepRecord {
    if !call.needs(Step::Webhooks) {
        return skipped(Step::Webhooks);
    }
    let retry_failed = input.retry.contains(&Step::Webhooks);
    let first = FirstAttempts { call: call.call, retry_failed };
    let (local, remote) = (policy::local_http(), policy::notification());
    match local_first(ctx, || Webhooks::first_attempts, first, local, remote).await {
        Ok(made) => {
            for delivery in made.undelivered {
                hand_over(ctx, call.call, delivery).await;
            }
            record(Step::Webhooks, Ok(()))
        }
        Err(error) => record(Step::Webhooks, Err(error)),
    }
}

/// Starts the delivery's own workflow. One that runs already is as good.
async fn hand_over(ctx: &Context, call: CallRef, delivery: Undelivered) {
    let input = DeliverWebhook {
        organization_id: call.organization_id,
        delivery_id: delivery.delivery_id,
        attempts_made: delivery.attempts_made,
        retry_after_seconds: delivery.retry_after_seconds,
        schedule: delivery.schedule,
    };
    let options = policy::delivery_child(delivery_workflow_id(delivery.delivery_id));
    let started = ctx.start_child_workflow(WebhookDelivery::run, input, options).await;
    drop(started);
}

/// Writes the step list, projects counters, tells dashboards. Tried until it works: until then the
/// call's events count as undone.
pub(crate) async fn close(
    ctx: &Context,
    call: &FinishedCall,
    done: [StepRecord; 5],
) -> Result<ProcessedCall, WorkflowTermination> {
    let failed_steps =
        done.iter().filter(|s| s.status == StepStatus::Failed).map(|s| s.name).collect();
    let own = |name| StepRecord { name, status: StepStatus::Completed, error: None };
    let steps = [own(Step::Finish)].into_iter().chain(done).chain([own(Step::Close)]).collect();
    let input = CloseCall { call: call.call, steps };
    local_first(ctx, || Calls::close, input, policy::local_short(), policy::until_done()).await?;
    Ok(ProcessedCall { status: call.status, failed_steps })
}

async fn local_first<A>(
    ctx: &Context,
    activity: impl Fn() -> A,
    input: A::Input,
    local: LocalActivityOptions,
    remote: ActivityOptions,
) -> Result<A::Output, ActivityExecutionError>
where
    A: ActivityDefinition,
    A::Input: Clone,
    A::Output: TemporalDeserializable,
{
    match ctx.execute_local_activity(activity(), input.clone(), local).await {
        Ok(output) => Ok(output),
        Err(error) if policy::is_final(&error) => Err(error),
        Err(_) => ctx.execute_activity(activity(), input, remote).await,
    }
}

fn skipped(name: Step) -> StepRecord {
    StepRecord { name, status: StepStatus::Skipped, error: None }
}

fn record(name: Step, done: Result<(), ActivityExecutionError>) -> StepRecord {
    match done {
        Ok(()) => StepRecord { name, status: StepStatus::Completed, error: None },
        Err(error) => {
            let error = Some(policy::describe(&error));
            StepRecord { name, status: StepStatus::Failed, error }
        }
    }
}
