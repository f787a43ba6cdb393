//! `UsageReconciliation`: the books of every organization, side by side.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::usage::{ReconcilePage, ReconcileUsage, Usage, UsageReconciled};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{ContinueAsNewOptions, WorkflowContext, WorkflowResult};

use crate::{policy, usage_aggregation::days};

/// Pages of one run; each costs six events of its history.
const PAGES: usize = 80;
/// Days that a run by schedule compares: as long as Stripe takes reports of usage.
const DAYS: i64 = 35;

/// Started daily by the schedule `usage-reconciliation`, after the aggregation.
#[workflow]
#[derive(Default)]
pub struct UsageReconciliation;

#[workflow_methods]
impl UsageReconciliation {
    #[run(name = "UsageReconciliation")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: ReconcileUsage,
    ) -> WorkflowResult<UsageReconciled> {
        let ReconcileUsage { from, to, mut after, so_far, at } = input;
        // A run that goes on with an earlier one's work is for the same days.
        let at = at.map_or_else(|| days::due(ctx), Ok)?;
        let (first, last) = days::asked(from, to)?.unwrap_or_else(|| days_before(at));
        let mut reconciled = so_far;
        for _ in 0..PAGES {
            let page = ReconcilePage { from: first, to: last, after };
            let page = ctx.execute_activity(Usage::reconcile, page, policy::books()).await?;
            reconciled = reconciled.and(page.reconciled);
            if page.next.is_none() {
                return Ok(reconciled);
            }
            after = page.next;
        }
        let next = ReconcileUsage { from, to, after, so_far: reconciled, at: Some(at) };
        ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        Ok(reconciled)
    }
}

/// The first and the last of the days before the one that `at` lies in, in UTC.
fn days_before(at: DateTime<Utc>) -> (NaiveDate, NaiveDate) {
    let day = at.date_naive();
    (day - TimeDelta::days(DAYS), day - TimeDelta::days(1))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_run_compares_what_is_over() {
        let at = "2026-11-21T04:00:00Z".parse().expect("a time");
        let (first, last) = days_before(at);
        assert_eq!([first.to_string(), last.to_string()], ["2026-10-17", "2026-11-20"]);
    }
}
