//! Days that a person names, aggregated now, in place of those of a scheduled time.

use chrono::NaiveDate;
use contract::{names::BILLING_QUEUE, usage::AggregateUsage};
use temporalio_client::{Client, WorkflowIdConflictPolicy, WorkflowStartOptions};
use workflows::UsageAggregation;

use crate::{Run, RunError};

pub use workflows::usage_aggregation::MOST_DAYS;

/// The schedule whose runs are for days.
pub const AGGREGATION: &str = "usage-aggregation";

/// Starts the aggregation of these local days, both included. The same days that are being aggregated
/// already are waited for in place of a second run.
///
/// # Errors
/// When the server refuses, or does not answer.
pub async fn aggregate_days(
    client: &Client,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Run, RunError> {
    let workflow_id = if from == to {
        format!("{AGGREGATION}-{from}")
    } else {
        format!("{AGGREGATION}-{from}-{to}")
    };
    let input = AggregateUsage { from: Some(from), to: Some(to), ..AggregateUsage::default() };
    let options = WorkflowStartOptions::new(BILLING_QUEUE, workflow_id.as_str())
        .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
        .build();
    let started = client.start_workflow(UsageAggregation::run, input, options).await;
    let handle = started.map_err(|problem| RunError::Start {
        workflow_id: workflow_id.clone(),
        problem: Box::new(problem),
    })?;
    let run_id = handle.run_id().unwrap_or_default().to_owned();
    Ok(Run { workflow_id, run_id })
}
