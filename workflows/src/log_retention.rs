//! `LogRetention`: attempts at deliveries are kept for 90 days.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::maintenance::{LogsTrimmed, Maintenance, TrimLogs};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowResult};

use crate::policy;

/// Rounds of one run, a million attempts each; the next night goes on.
const ROUNDS: usize = 50;

/// Started daily by the schedule `webhook-log-retention`.
#[workflow]
#[derive(Default)]
pub struct LogRetention;

#[workflow_methods]
impl LogRetention {
    #[run(name = "LogRetention")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: TrimLogs,
    ) -> WorkflowResult<LogsTrimmed> {
        let mut all = LogsTrimmed { removed: 0, more: true };
        for _ in 0..ROUNDS {
            let round =
                ctx.execute_activity(Maintenance::trim_logs, input, policy::books()).await?;
            all = LogsTrimmed { removed: all.removed + round.removed, more: round.more };
            if !round.more {
                break;
            }
        }
        Ok(all)
    }
}
