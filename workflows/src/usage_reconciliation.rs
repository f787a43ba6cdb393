//! `UsageReconciliation`: the books of every organization, side by side.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::{
    billing::{Billing, VerifyReports},
    usage::{ReconcilePage, ReconcileUsage, Usage, UsageReconciled},
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ContinueAsNewOptions, WorkflowContext, WorkflowResult,
    WorkflowTermination,
};

use crate::{policy, usage_aggregation::days};

/// Pages of one run, those that are verified included; each costs six events of its history.
const PAGES: usize = 80;
/// Days that a run by schedule compares: as long as Stripe takes reports of usage.
const DAYS: i64 = 35;
/// How long Stripe is asked what it has counted. An outage of Stripe must not keep the books from being
/// compared: what it was not asked for is so in the next night.
const VERIFICATION: Duration = Duration::from_secs(30 * 60);
/// Less is not begun with.
const LEAST_VERIFICATION: Duration = Duration::from_secs(60);

/// Started daily by the schedule `usage-reconciliation`, after the aggregation.
#[workflow]
#[derive(Default)]
pub struct UsageReconciliation;

type Context = WorkflowContext<UsageReconciliation>;

#[workflow_methods]
impl UsageReconciliation {
    #[run(name = "UsageReconciliation")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: ReconcileUsage,
    ) -> WorkflowResult<UsageReconciled> {
        let ReconcileUsage { from, to, mut after, so_far, at } = input;
        let is_first = after.is_none() && at.is_none();
        // A run that goes on with an earlier one's work is for the same days.
        let at = at.map_or_else(|| days::due(ctx), Ok)?;
        let (first, last) = days::asked(from, to)?.unwrap_or_else(|| days_before(at));
        let mut reconciled = so_far;
        // What Stripe has counted is one of the books.
        let verified =
            if is_first && ctx.patched("verify-reports") { verify(ctx).await? } else { 0 };
        for _ in verified..PAGES {
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

/// Asks Stripe what it has counted of what it took, page by page; gives how many pages that were.
async fn verify(ctx: &Context) -> Result<usize, WorkflowTermination> {
    let began = ctx.workflow_time();
    let mut input = VerifyReports::default();
    for page in 1..=PAGES {
        let Some(left) = left(began, ctx.workflow_time()) else { return Ok(page - 1) };
        let policy = policy::verification(left);
        match ctx.execute_activity(Billing::verify_reports, input, policy).await {
            Ok(verified) if verified.next.is_some() => input.after = verified.next,
            Err(error @ ActivityExecutionError::Cancelled(_)) => return Err(error.into()),
            // Stripe did not answer for too long, or this was the last page.
            Err(_) | Ok(_) => return Ok(page),
        }
    }
    Ok(PAGES)
}

/// How long Stripe may still be asked; nothing where that is not worth beginning with.
fn left(began: Option<SystemTime>, now: Option<SystemTime>) -> Option<Duration> {
    let spent = began.zip(now).and_then(|(began, now)| now.duration_since(began).ok());
    let left = VERIFICATION.saturating_sub(spent.unwrap_or_default());
    (left >= LEAST_VERIFICATION).then_some(left)
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
    fn stripe_is_asked_for_half_an_hour() {
        let began = SystemTime::UNIX_EPOCH;
        let after = |seconds| left(Some(began), Some(began + Duration::from_secs(seconds)));
        assert_eq!(after(0), Some(VERIFICATION));
        assert_eq!(after(29 * 60), Some(LEAST_VERIFICATION));
        assert_eq!(after(29 * 60 + 1), None);
        assert_eq!(after(3600), None);
    }

    #[test]
    fn a_run_compares_what_is_over() {
        let at = "2026-11-21T04:00:00Z".parse().expect("a time");
        let (first, last) = days_before(at);
        assert_eq!([first.to_string(), last.to_string()], ["2026-10-17", "2026-11-20"]);
    }
}
