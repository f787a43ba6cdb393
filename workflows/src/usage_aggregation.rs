//! `UsageAggregation`: days of usage, added up for every organization.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

pub(crate) mod days;

use contract::usage::{AggregatePage, AggregateUsage, Days, Usage, UsageAggregated};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{ContinueAsNewOptions, WorkflowContext, WorkflowResult};

use crate::policy;

pub use days::MOST_DAYS;

/// Pages of one run; each costs six events of its history.
const PAGES: usize = 80;

/// Started daily by the schedule `usage-aggregation`, and by hand for days that are named. A day is
/// recomputed and replaced, so that any number of runs give what one gives.
#[workflow]
#[derive(Default)]
pub struct UsageAggregation;

#[workflow_methods]
impl UsageAggregation {
    #[run(name = "UsageAggregation")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: AggregateUsage,
    ) -> WorkflowResult<UsageAggregated> {
        let AggregateUsage { from, to, at, mut after, so_far } = input;
        // A run that goes on with an earlier one's work is for the same days.
        let at = at.map_or_else(|| days::due(ctx), Ok)?;
        let days = match days::asked(from, to)? {
            Some((from, to)) => Days::Between { from, to },
            None => Days::Around { at },
        };
        let mut aggregated = so_far;
        for _ in 0..PAGES {
            let page = AggregatePage { days, after };
            let page = ctx.execute_activity(Usage::aggregate, page, policy::books()).await?;
            aggregated = aggregated.and(page.aggregated);
            if page.next.is_none() {
                return Ok(aggregated);
            }
            after = page.next;
        }
        let next = AggregateUsage { from, to, at: Some(at), after, so_far: aggregated };
        ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        Ok(aggregated)
    }
}
