//! Closing periods and reporting them to Stripe.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

mod counted;
mod doubt;
mod error_report;
mod report;

use std::sync::Arc;

use contract::billing::{
    ClosePeriod, ErrorReportRead, PeriodClosed, PeriodFrozen, PeriodsSwept, ReadErrorReport,
    RecordClose, ReportsVerified, SweepPeriods, UsageReported, VerifyReports,
};
use providers::stripe::StripeClient;
use store::{Database, StoreError, billing, counters::Counters, usage};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{clock::Clock, failure::of_store_until_done, faults::Faults, heartbeat::beating};

/// What billing needs.
#[derive(Debug, Clone)]
pub struct BillingActivities {
    /// The books.
    pub db: Database,
    /// The counters that begin anew with a period.
    pub counters: Counters,
    /// Stripe; without a key periods close and wait to be reported.
    pub stripe: Option<StripeClient>,
    /// Name of the events of Stripe's meter of overage minutes.
    pub event_name: String,
    /// The time.
    pub clock: Clock,
    /// Where tests strike.
    pub faults: Faults,
}

#[activities]
impl BillingActivities {
    /// Ends a period.
    #[activity(definition = contract::billing::FreezeActivity)]
    pub async fn freeze(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ClosePeriod,
    ) -> Result<PeriodFrozen, ActivityError> {
        self.faults.point("freeze.before").await?;
        let ClosePeriod { organization_id, period_id, .. } = input;
        let frozen = beating(&ctx, async {
            billing::freeze(&self.db, organization_id, period_id, self.clock.now())
                .await
                .map_err(|error| of_store_until_done(&error))
        });
        let frozen = frozen.await?;
        self.faults.point("freeze.after").await?;
        Ok(frozen)
    }

    /// Tells Stripe what is to be billed, once.
    #[activity(definition = contract::billing::ReportActivity)]
    pub async fn report(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ClosePeriod,
    ) -> Result<UsageReported, ActivityError> {
        beating(&ctx, self.tell_stripe(input)).await
    }

    /// Writes the close down, and sets the counters of the new period.
    #[activity(definition = contract::billing::CloseActivity)]
    pub async fn close(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: RecordClose,
    ) -> Result<PeriodClosed, ActivityError> {
        self.faults.point("close-period.before").await?;
        let RecordClose { period, reported } = input;
        let (organization, id) = (period.organization_id, period.period_id);
        let closed = billing::close(&self.db, organization, id, &reported, self.clock.now())
            .await
            .map_err(|error| of_store_until_done(&error))?;
        self.faults.point("close-period.written").await?;
        if let Err(error) = self.project(period).await {
            // The counters are a cache: the next call of the organization sets them.
            tracing::warn!(error = error.operation_failed(), "counters of a new period not set");
        }
        self.faults.point("close-period.after").await?;
        Ok(PeriodClosed { statement: closed.statement, reported })
    }

    /// Writes down that a report could not be made in time.
    #[activity(definition = contract::billing::GiveUpActivity)]
    pub async fn give_up(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: RecordClose,
    ) -> Result<UsageReported, ActivityError> {
        let RecordClose { period, reported } = input;
        let (organization, id) = (period.organization_id, period.period_id);
        let is_new = billing::gave_up(&self.db, organization, id, &reported)
            .await
            .map_err(|error| of_store_until_done(&error))?;
        if is_new {
            tracing::error!(%organization, period = %id, "a period stays unreported to Stripe");
        }
        Ok(reported)
    }

    /// Asks for `BillingCycle` of every period that is over.
    #[activity(definition = contract::billing::DueActivity)]
    pub async fn due(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: SweepPeriods,
    ) -> Result<PeriodsSwept, ActivityError> {
        self.faults.point("due.before").await?;
        let swept = beating(&ctx, async {
            billing::due(&self.db, self.clock.now())
                .await
                .map_err(|error| of_store_until_done(&error))
        });
        let swept = swept.await?;
        self.faults.point("due.after").await?;
        Ok(swept)
    }

    /// Fetches an error report and marks what it is about.
    #[activity(definition = contract::billing::ReadErrorReportActivity)]
    pub async fn read_error_report(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReadErrorReport,
    ) -> Result<ErrorReportRead, ActivityError> {
        beating(&ctx, error_report::read(&self, &input.event_id)).await
    }

    /// Asks Stripe what it has counted of a page of the reports that it took.
    #[activity(definition = contract::billing::VerifyReportsActivity)]
    pub async fn verify_reports(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: VerifyReports,
    ) -> Result<ReportsVerified, ActivityError> {
        beating(&ctx, counted::verify(&self, input)).await
    }
}

impl BillingActivities {
    /// The effect of `billing.report`, for callers that are no activity.
    ///
    /// # Errors
    /// When it has to be tried again, or cannot be done.
    pub async fn tell_stripe(&self, input: ClosePeriod) -> Result<UsageReported, ActivityError> {
        report::report(self, input).await
    }

    /// The closed period's last word, and the periods that take usage now.
    async fn project(&self, period: ClosePeriod) -> Result<(), StoreError> {
        let ClosePeriod { organization_id, period_id, .. } = period;
        let closed = usage::totals_of(&self.db, organization_id, period_id).await?;
        let unclosed = usage::unprojected_totals(&self.db, organization_id).await?;
        for total in closed.iter().chain(&unclosed) {
            self.counters.project(total).await?;
        }
        Ok(())
    }
}
