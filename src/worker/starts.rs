//! From `workflow_starts` to Temporal: workflows and signals that were asked for in a transaction.

use std::time::Duration;

use contract::names::{BILLING_QUEUE, WEBHOOK_DELIVERY_QUEUE};
use futures::{StreamExt, stream};
use serde::{Deserialize, de::DeserializeOwned};
use store::{
    Database, StoreError,
    starts::{self, DueStart, StartKind},
};
use temporalio_client::{
    Client, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowSignalOptions,
    WorkflowStartOptions,
    errors::{WorkflowInteractionError, WorkflowStartError},
};
use temporalio_common::HasWorkflowDefinition;
use tokio::sync::watch;
use workflows::{
    BillingCycle, EndpointNotice, MeterErrorReport, Onboarding, UsageAlert, WebhookRecovery,
};

use crate::temporal;

/// Starts claimed at once.
const BATCH: i64 = 100;
/// Starts under way at once; each takes the server about 10 ms.
const AT_ONCE: usize = 8;
/// Starts are looked for this often.
const POLL: Duration = Duration::from_secs(1);
/// A start that nobody brought to Temporal by then comes up again. A whole batch fits, also where
/// each one takes its deadline.
const LEASE: Duration = Duration::from_secs(60);
/// A start that takes longer has failed, and comes up again.
const START_DEADLINE: Duration = Duration::from_secs(2);
/// Between two tries while Temporal does not answer, doubled with each.
const RETRY: Duration = Duration::from_secs(2);
/// And at most.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Between two tries of one whose input this release cannot read: a person, or a later release,
/// mends it.
const UNREADABLE_RETRY: Duration = Duration::from_secs(3600);

/// Why a workflow was not started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the input cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("temporal.start: {0}")]
    Refused(#[from] WorkflowStartError),
    #[error("temporal.signal: {0}")]
    Signal(#[from] WorkflowInteractionError),
    #[error("no answer within {} s", START_DEADLINE.as_secs())]
    Late(#[from] tokio::time::error::Elapsed),
}

/// Brings starts to Temporal until `stop` turns true.
pub(super) async fn keep_starting(db: Database, client: Client, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::select! {
            // What is under way comes up again when its lease ends; starting twice is harmless.
            _ = stop.wait_for(|stop| *stop) => return,
            () = once(&db, &client) => {}
        }
    }
}

/// One batch; then the wait for the next, unless more is due.
async fn once(db: &Database, client: &Client) {
    // A connection may hang when Postgres fails over; the starts come up again by their lease.
    match tokio::time::timeout(LEASE, batch(db, client)).await {
        Ok(Ok(claimed)) if claimed >= usize::try_from(BATCH).unwrap_or(usize::MAX) => return,
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "workflows that wait to be started cannot be read")
        }
        Err(_) => tracing::warn!("a batch of starts took too long and is given up"),
    }
    tokio::time::sleep(POLL).await;
}

async fn batch(db: &Database, client: &Client) -> Result<usize, StoreError> {
    let due = starts::claim(db, BATCH, LEASE).await?;
    let claimed = due.len();
    stream::iter(due).for_each_concurrent(AT_ONCE, |due| settle(db, client, due)).await;
    Ok(claimed)
}

async fn settle(db: &Database, client: &Client, due: DueStart) {
    let kind = due.kind.as_str();
    let settled = match bring(client, &due).await {
        Ok(()) => {
            metrics::counter!("postcall_workflow_starts_total", "kind" => kind).increment(1);
            starts::done(db, due.id).await
        }
        Err(error @ StartError::Unreadable(_)) => {
            tracing::error!(start = %due.id, kind, %error, "a workflow waits to be started");
            metrics::counter!("postcall_workflow_start_failures_total", "kind" => kind)
                .increment(1);
            starts::failed(db, due.id, UNREADABLE_RETRY).await
        }
        Err(error) => {
            tracing::warn!(start = %due.id, kind, %error, "a workflow is started later");
            metrics::counter!("postcall_workflow_start_failures_total", "kind" => kind)
                .increment(1);
            starts::failed(db, due.id, pause(due.attempts)).await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(%error, "a start comes up again when its lease ends");
    }
}

async fn bring(client: &Client, due: &DueStart) -> Result<(), StartError> {
    match due.kind {
        StartKind::BillingCycle => start(client, BillingCycle::run, due).await,
        StartKind::UsageAlert => start(client, UsageAlert::run, due).await,
        StartKind::Onboarding => start(client, Onboarding::run, due).await,
        StartKind::MeterErrorReport => start(client, MeterErrorReport::run, due).await,
        StartKind::WebhookRecovery => start(client, WebhookRecovery::run, due).await,
        StartKind::EndpointNotice => start(client, EndpointNotice::run, due).await,
        StartKind::FirstCall => signal_first_call(client, due).await,
    }
}

/// Starts a workflow. One that runs already is what was asked for; one that has closed runs again.
async fn start<W>(client: &Client, workflow: W, due: &DueStart) -> Result<(), StartError>
where
    W: HasWorkflowDefinition,
    W::Input: DeserializeOwned + Send,
{
    let input = W::Input::deserialize(&due.input)?;
    let queue = match due.kind {
        StartKind::WebhookRecovery | StartKind::EndpointNotice => WEBHOOK_DELIVERY_QUEUE,
        _ => BILLING_QUEUE,
    };
    let options = WorkflowStartOptions::new(queue, due.workflow_id.clone())
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .enable_eager_workflow_start(true)
        .search_attributes(temporal::of_organization(due.organization_id))
        .build();
    let started = client.start_workflow(workflow, input, options);
    match tokio::time::timeout(START_DEADLINE, started).await? {
        Ok(_) | Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Tells a running onboarding; where none runs there is nobody to tell.
async fn signal_first_call(client: &Client, due: &DueStart) -> Result<(), StartError> {
    let handle = client.get_workflow_handle::<Onboarding>(due.workflow_id.clone());
    let options = WorkflowSignalOptions::builder().build();
    let signalled = handle.signal(Onboarding::first_call, (), options);
    match tokio::time::timeout(START_DEADLINE, signalled).await? {
        Ok(()) | Err(WorkflowInteractionError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Temporal may be away for long: no flood of tries, and not long to wait when it is back.
fn pause(attempts: u32) -> Duration {
    let doubled = RETRY.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(10)));
    doubled.min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let seconds = |attempts| pause(attempts).as_secs();
        assert_eq!([0, 1, 2, 3, 5, 6, 100].map(seconds), [2, 2, 4, 8, 32, 60, 60]);
    }
}
