//! The workflows of the books, run by hand, and what the books say of each other.

use std::time::Duration;

use contract::{
    names::BILLING_QUEUE,
    usage::{AggregateUsage, UsageAggregated},
};
use postcall::temporal;
use serde_json::Value;
use temporalio_client::{
    Client, WorkflowCountOptions, WorkflowGetResultOptions, WorkflowStartOptions,
};
use tokio::time::timeout;
use workflows::UsageAggregation;

use super::{World, calls::fresh_id, wait::until};

/// A killed worker is missed after ten seconds, and what is waited for may have been killed twice.
const PATIENCE: Duration = Duration::from_secs(240);

impl World {
    /// A client of the world's namespace.
    pub(crate) async fn temporal_client(&self) -> Client {
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        client.expect("Temporal")
    }

    /// Runs an aggregation to its end.
    pub(crate) async fn aggregate_days(&self, input: AggregateUsage) -> UsageAggregated {
        let id = self.begin_aggregation(input).await;
        self.end_of_aggregation(&id).await
    }

    /// Starts an aggregation; gives the id of its workflow.
    pub(crate) async fn begin_aggregation(&self, input: AggregateUsage) -> String {
        let id = format!("usage-aggregation-{}", fresh_id());
        let options = WorkflowStartOptions::new(BILLING_QUEUE, id.clone()).build();
        let client = self.temporal_client().await;
        client.start_workflow(UsageAggregation::run, input, options).await.expect("it starts");
        id
    }

    /// What an aggregation did.
    pub(crate) async fn end_of_aggregation(&self, id: &str) -> UsageAggregated {
        let client = self.temporal_client().await;
        let run = client.get_workflow_handle::<UsageAggregation>(id);
        let result = run.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }

    /// Waits until no workflow runs any more.
    pub(crate) async fn workflows_have_ended(&self) {
        let client = self.temporal_client().await;
        until("no workflow runs", PATIENCE, || async {
            (workflows(&client, "ExecutionStatus = 'Running'").await == 0).then_some(())
        })
        .await;
    }

    /// What `usage reconcile` finds, and its exit code.
    pub(crate) async fn reconcile(&self) -> (Vec<Value>, i32) {
        let (shown, talk, code) = self.cli(&["usage", "reconcile", "-o", "json"]).await;
        let rows = serde_json::from_str(&shown);
        (rows.unwrap_or_else(|error| panic!("{error}: {shown} {talk}")), code)
    }

    /// `usage reconcile` finds nothing that is not explained.
    pub(crate) async fn is_reconciled(&self, what: &str) {
        let (rows, code) = self.reconcile().await;
        assert_eq!(code, 0, "{what}: {rows:#?}");
    }
}

/// How many workflows a query of visibility finds.
pub(crate) async fn workflows(client: &Client, query: &str) -> usize {
    let counted = client.count_workflows(query, WorkflowCountOptions::default()).await;
    counted.expect("visibility").count()
}

/// What an aggregation says that changed nothing.
pub(crate) fn unchanged(organizations: u32) -> UsageAggregated {
    UsageAggregated { organizations, ..UsageAggregated::default() }
}
