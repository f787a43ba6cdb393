//! `WebhookRecovery`: deliveries of an endpoint are made again, as many a second as was asked for.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use std::time::Duration;

use contract::recovery::{RecoverWebhooks, Recovery, WebhooksRecovered};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, TimerResult, WorkflowContext, WorkflowResult, WorkflowTermination,
};

use crate::policy;

/// Pages of one run; each costs some eleven events of its history.
const PAGES: usize = 200;

/// Started when somebody asks for it and when it is resumed; its id is `webhook-recovery-{recovery_id}`.
/// What it is to do, and whether it is paused or ended, stands in its row.
#[workflow]
#[derive(Default)]
pub struct WebhookRecovery;

#[workflow_methods]
impl WebhookRecovery {
    #[run(name = "WebhookRecovery")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: RecoverWebhooks,
    ) -> WorkflowResult<WebhooksRecovered> {
        let mut begun = 0;
        for _ in 0..PAGES {
            let page =
                ctx.execute_activity(Recovery::recover_page, input, policy::until_done()).await?;
            begun += u64::from(page.begun);
            let Some(wait) = page.next_in_ms else { return Ok(WebhooksRecovered { begun }) };
            if ctx.timer(Duration::from_millis(wait)).await != TimerResult::Fired {
                return Err(WorkflowTermination::cancelled());
            }
        }
        ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
        Ok(WebhooksRecovered { begun })
    }
}
