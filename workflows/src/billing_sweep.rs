//! `BillingSweep`: every period that is over is closed.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::billing::{Billing, PeriodsSwept, SweepPeriods};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowResult};

use crate::policy;

/// Started hourly by the schedule `billing-sweep`. It only asks for each `BillingCycle`: the dispatcher
/// starts them.
#[workflow]
#[derive(Default)]
pub struct BillingSweep;

#[workflow_methods]
impl BillingSweep {
    #[run(name = "BillingSweep")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: SweepPeriods,
    ) -> WorkflowResult<PeriodsSwept> {
        Ok(ctx.execute_activity(Billing::due, input, policy::books()).await?)
    }
}
