//! `EndpointNotice`: people hear that an endpoint fails, or is disabled.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::recovery::{OwnersTold, Recovery, TellOwners};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowResult};

use crate::policy;

/// Started with the event that it writes about; its id is `endpoint-notice-{endpoint_id}-{microseconds}`.
#[workflow]
#[derive(Default)]
pub struct EndpointNotice;

#[workflow_methods]
impl EndpointNotice {
    #[run(name = "EndpointNotice")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: TellOwners,
    ) -> WorkflowResult<OwnersTold> {
        // Until each email is sent, refused, or may not be repeated any more.
        Ok(ctx.execute_activity(Recovery::send_notice, input, policy::until_done()).await?)
    }
}
