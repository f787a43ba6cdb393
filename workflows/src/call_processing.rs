//! `CallProcessing`: one run takes everything known of a call to its effects.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::{
    calls::{CallEventStored, ProcessCall, ProcessedCall},
    steps::Step,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult, join,
};

use crate::steps;

/// The workflow of a call; its id is `call-{call_id}`.
#[workflow]
pub struct CallProcessing {
    input: ProcessCall,
    /// An event was stored after the last fold began.
    has_news: bool,
}

#[workflow_methods]
impl CallProcessing {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: ProcessCall) -> Self {
        Self { input, has_news: false }
    }

    #[run(name = "CallProcessing")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<ProcessedCall> {
        let input = ctx.state(|state| state.input.clone());
        loop {
            ctx.state_mut(|state| state.has_news = false);
            let call = steps::finish(ctx, &input).await?;
            let (recording, extract) =
                join!(steps::archive_recording(ctx, &call), steps::extract(ctx, &call));
            let (sms, email) = join!(
                steps::notify(ctx, &call, Step::Sms, &input),
                steps::notify(ctx, &call, Step::Email, &input)
            );
            let webhooks = steps::deliver_webhooks(ctx, &call, &input).await;
            let done = [recording, extract, sms, email, webhooks];
            let processed = steps::close(ctx, &call, done).await?;
            if !ctx.state(|state| state.has_news) {
                return Ok(processed);
            }
        }
    }

    #[signal(name = "call-event")]
    pub fn call_event(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _event: CallEventStored) {
        self.has_news = true;
    }
}
