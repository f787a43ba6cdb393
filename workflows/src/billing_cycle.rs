//! `BillingCycle`: one period of one organization is closed, once.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use std::time::Duration;

use contract::billing::{
    Billing, BillingTiming, ClosePeriod, PeriodClosed, RecordClose, ReportOutcome, UsageReported,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, TimerResult, WorkflowContext, WorkflowResult, WorkflowTermination,
};

use crate::policy;

/// Tries after the first, so that the history stays under 10,000 events whatever the timing says: each
/// costs a timer, an activity and their tasks.
const MOST_TRIES: u32 = 500;

/// Started by `BillingSweep` and by events of Stripe; its id is that of the period. Run again, it does
/// what is left to do.
#[workflow]
#[derive(Default)]
pub struct BillingCycle;

type Context = WorkflowContext<BillingCycle>;

#[workflow_methods]
impl BillingCycle {
    #[run(name = "BillingCycle")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        period: ClosePeriod,
    ) -> WorkflowResult<PeriodClosed> {
        // Sets the watermark, computes the overage from the ledger, and opens the next period: what
        // is used from now on counts there.
        let frozen = ctx.execute_activity(Billing::freeze, period, policy::books()).await?;
        if frozen.is_early {
            return Ok(PeriodClosed { statement: frozen.statement, ..PeriodClosed::default() });
        }
        let reported = try_to_report(ctx, period).await?;
        // Logs the close, and resets the counters. It does not wait for Stripe.
        let close = RecordClose { period, reported };
        let closed = ctx.execute_activity(Billing::close, close, policy::until_done()).await?;
        let reported = report_at_last(ctx, period, closed.reported).await?;
        Ok(PeriodClosed { statement: closed.statement, reported })
    }
}

/// A few attempts, a minute or two apart.
async fn try_to_report(
    ctx: &Context,
    period: ClosePeriod,
) -> Result<UsageReported, WorkflowTermination> {
    match ctx.execute_activity(Billing::report, period, policy::stripe_at_first()).await {
        Ok(reported) => Ok(reported),
        Err(error @ ActivityExecutionError::Cancelled(_)) => Err(error.into()),
        Err(_) => Ok(UsageReported { outcome: ReportOutcome::Pending, ..UsageReported::default() }),
    }
}

/// Reports for as long as it can be made: while Stripe does not answer without a pause of our own, and
/// while a person has to mend something by timer.
async fn report_at_last(
    ctx: &Context,
    period: ClosePeriod,
    mut reported: UsageReported,
) -> Result<UsageReported, WorkflowTermination> {
    for _ in 0..=tries(period.timing) {
        match reported.outcome {
            ReportOutcome::Pending => {}
            ReportOutcome::NoCustomer | ReportOutcome::NotConfigured => {
                sleep(ctx, period.timing).await?;
            }
            ReportOutcome::Nothing
            | ReportOutcome::Accepted
            | ReportOutcome::Rejected
            | ReportOutcome::Unknown => return Ok(reported),
        }
        reported = ctx.execute_activity(Billing::report, period, policy::stripe()).await?;
    }
    give_up(ctx, period, reported).await
}

async fn give_up(
    ctx: &Context,
    period: ClosePeriod,
    reported: UsageReported,
) -> Result<UsageReported, WorkflowTermination> {
    let is_waiting = matches!(
        reported.outcome,
        ReportOutcome::Pending | ReportOutcome::NoCustomer | ReportOutcome::NotConfigured
    );
    if !is_waiting {
        return Ok(reported);
    }
    let input = RecordClose { period, reported };
    Ok(ctx.execute_activity(Billing::give_up, input, policy::until_done()).await?)
}

async fn sleep(ctx: &Context, timing: BillingTiming) -> Result<(), WorkflowTermination> {
    let wait = Duration::from_secs(timing.retry_seconds.max(1).into());
    match ctx.timer(wait).await {
        TimerResult::Fired => Ok(()),
        _ => Err(WorkflowTermination::cancelled()),
    }
}

fn tries(timing: BillingTiming) -> u32 {
    (timing.give_up_seconds / timing.retry_seconds.max(1)).min(MOST_TRIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_tried_for_as_long_as_stripe_takes_it() {
        assert_eq!(tries(BillingTiming::default()), 34 * 4);
        let never = BillingTiming { retry_seconds: 0, give_up_seconds: u32::MAX };
        assert_eq!(tries(never), MOST_TRIES);
        let at_once = BillingTiming { retry_seconds: 60, give_up_seconds: 59 };
        assert_eq!(tries(at_once), 0);
    }
}
