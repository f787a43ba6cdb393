//! A world with an account at Stripe, its calls, and its workflows run by hand.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::{PeriodsSwept, SweepPeriods},
    names::BILLING_QUEUE,
};
use serde_json::json;
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use tokio::time::timeout;
use workflows::BillingSweep;

use crate::harness::{
    Options, World,
    calls::{fresh_id, report_with},
};

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
    pub(super) async fn with_account_at_stripe() -> Self {
        let mut world = Self::with(Options { no_worker: true, ..Options::default() }).await;
        world.without_options().await;
        let variables = [
            ("STRIPE_BASE_URL", format!("{}/stripe", world.fakes.url())),
            ("STRIPE_SECRET_KEY", "sk_test_together".to_owned()),
        ];
        world.start_worker(&variables).await;
        world
    }

    /// Runs the hourly sweep to its end; the periods that it finds close after it.
    pub(super) async fn sweep_for_periods(&self) -> PeriodsSwept {
        let id = format!("billing-sweep-{}", fresh_id());
        let options = WorkflowStartOptions::new(BILLING_QUEUE, id).build();
        let client = self.temporal_client().await;
        let input = SweepPeriods::default();
        let run = client.start_workflow(BillingSweep::run, input, options).await.unwrap();
        let result = run.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }
}
