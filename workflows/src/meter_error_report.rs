//! `MeterErrorReport`: what Stripe could not bill, and of which period it was.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::billing::{Billing, ErrorReportRead, ReadErrorReport};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowResult};

use crate::policy;

/// Started by a thin event of Stripe.
#[workflow]
#[derive(Default)]
pub struct MeterErrorReport;

#[workflow_methods]
impl MeterErrorReport {
    #[run(name = "MeterErrorReport")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: ReadErrorReport,
    ) -> WorkflowResult<ErrorReportRead> {
        Ok(ctx
            .execute_activity(Billing::read_error_report, input, policy::stripe_for_days())
            .await?)
    }
}
