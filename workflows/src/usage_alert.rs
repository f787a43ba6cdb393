//! `UsageAlert`: people hear that a share of their minutes is used up.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::usage::{TellUsage, Usage, UsageTold};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowResult};

use crate::policy;

/// Started for each alert, by what found it; its id is `usage-alert-{alert_id}`. Events and webhooks
/// of the alert were written with it and wait for nothing here.
#[workflow]
#[derive(Default)]
pub struct UsageAlert;

#[workflow_methods]
impl UsageAlert {
    #[run(name = "UsageAlert")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: TellUsage,
    ) -> WorkflowResult<UsageTold> {
        // Until each email is sent, refused, or may not be repeated any more.
        Ok(ctx.execute_activity(Usage::send_alert, input, policy::until_done()).await?)
    }
}
