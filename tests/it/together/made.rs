//! A world with an account at Stripe, its calls, and its workflows run by hand.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::{PeriodsSwept, SweepPeriods},
    names::BILLING_QUEUE,
    usage::{AggregateUsage, UsageAggregated},
};
use postcall::temporal;
use serde_json::json;
use temporalio_client::{
    Client, WorkflowCountOptions, WorkflowGetResultOptions, WorkflowStartOptions,
};
use tokio::time::timeout;
use uuid::Uuid;
use workflows::{BillingSweep, UsageAggregation};

use crate::harness::{Options, World, calls::report_with, wait::until};

/// A test build takes the calls of half a minute in more than that.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);

/// What the books have to say of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) started: DateTime<Utc>,
    pub(super) seconds: u64,
}

impl Counted {
    /// A call that was answered then.
    pub(super) fn since(started: DateTime<Utc>, seconds: u64) -> Self {
        Self { started, seconds }
    }

    pub(super) fn minutes(self) -> i64 {
        self.seconds.div_ceil(60).cast_signed()
    }

    /// Vapi's report of it. It costs a ten-thousandth of a dollar for a second.
    pub(super) fn report(self, id: &str) -> Vec<u8> {
        let ended = self.started + TimeDelta::seconds(self.seconds.cast_signed());
        let fields = json!({
            "startedAt": self.started, "endedAt": ended, "cost": self.seconds as f64 / 10_000.0,
        });
        report_with(id, &fields)
    }
}

impl World {
    pub(super) async fn with_account_at_stripe(extra: &[(&str, String)]) -> Self {
        let mut world = Self::with(Options { no_worker: true, ..Options::default() }).await;
        world.without_options().await;
        world.start_worker_with_account(extra).await;
        world
    }

    pub(super) async fn start_worker_with_account(&mut self, extra: &[(&str, String)]) {
        let mut variables = vec![
            ("STRIPE_BASE_URL", format!("{}/stripe", self.fakes.url())),
            ("STRIPE_SECRET_KEY", "sk_test_together".to_owned()),
        ];
        variables.extend_from_slice(extra);
        self.start_worker(&variables).await;
    }

    pub(super) async fn temporal_client(&self) -> Client {
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        client.expect("Temporal")
    }

    /// Runs an aggregation to its end.
    pub(super) async fn aggregate_days(&self, input: AggregateUsage) -> UsageAggregated {
        let id = fresh("usage-aggregation");
        self.begin_aggregation(&id, input).await;
        self.end_of_aggregation(&id).await
    }

    pub(super) async fn begin_aggregation(&self, id: &str, input: AggregateUsage) {
        let options = WorkflowStartOptions::new(BILLING_QUEUE, id).build();
        let client = self.temporal_client().await;
        client.start_workflow(UsageAggregation::run, input, options).await.expect("it starts");
    }

    pub(super) async fn end_of_aggregation(&self, id: &str) -> UsageAggregated {
        let client = self.temporal_client().await;
        let run = client.get_workflow_handle::<UsageAggregation>(id);
        let result = run.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }

    /// Runs the hourly sweep to its end; the periods that it finds close after it.
    pub(super) async fn sweep_for_periods(&self) -> PeriodsSwept {
        let options = WorkflowStartOptions::new(BILLING_QUEUE, fresh("billing-sweep")).build();
        let client = self.temporal_client().await;
        let input = SweepPeriods::default();
        let run = client.start_workflow(BillingSweep::run, input, options).await.unwrap();
        let result = run.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }

    /// Waits until no workflow runs any more.
    pub(super) async fn workflows_have_ended(&self) {
        let client = self.temporal_client().await;
        until("no workflow runs", PATIENCE, || async {
            (workflows(&client, "ExecutionStatus = 'Running'").await == 0).then_some(())
        })
        .await;
    }

    /// What `usage reconcile` finds, and its exit code.
    pub(super) async fn reconcile(&self) -> (Vec<serde_json::Value>, i32) {
        let (shown, talk, code) = self.cli(&["usage", "reconcile", "-o", "json"]).await;
        let rows = serde_json::from_str(&shown);
        (rows.unwrap_or_else(|error| panic!("{error}: {shown} {talk}")), code)
    }
}

/// How many workflows a query of visibility finds.
pub(super) async fn workflows(client: &Client, query: &str) -> usize {
    let counted = client.count_workflows(query, WorkflowCountOptions::default()).await;
    counted.expect("visibility").count()
}

/// A workflow id that nobody else has.
pub(super) fn fresh(name: &str) -> String {
    format!("{name}-{}", Uuid::now_v7())
}
