//! Billing: a period is closed once, and what it costs is reported to Stripe once.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;
use uuid::Uuid;

use crate::{
    ids::{OrganizationId, PeriodId},
    words::words,
};

/// Workflow type: closes one period of one organization.
pub const BILLING_CYCLE: &str = "BillingCycle";
/// Workflow type: starts `BillingCycle` for every period that is over.
pub const BILLING_SWEEP: &str = "BillingSweep";
/// Workflow type: reads what Stripe could not bill, and says of which period it was.
pub const METER_ERROR_REPORT: &str = "MeterErrorReport";

/// Input of `BillingCycle` and of its activities.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ClosePeriod {
    /// Whose period.
    pub organization_id: OrganizationId,
    /// The period.
    pub period_id: PeriodId,
    /// How long things are waited for; tests shorten it.
    #[serde(default)]
    pub timing: BillingTiming,
}

/// How long things are waited for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BillingTiming {
    /// Between two tries to report, where the organization has no customer at Stripe, Stripe is not
    /// configured, or it refused.
    pub retry_seconds: u32,
    /// A report that cannot be made is given up after this; a person has been told long before.
    pub give_up_seconds: u32,
}

impl Default for BillingTiming {
    fn default() -> Self {
        // Stripe takes usage up to 35 days after it occurred.
        Self { retry_seconds: 6 * 3600, give_up_seconds: 34 * 86_400 }
    }
}

/// What a period comes to, in minutes. Computed in one place, for the preview as for the bill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statement {
    /// On the ledger of the period, corrections of earlier ones included; may be negative.
    pub used_minutes: i64,
    /// What the period before was owed, 0 or less.
    pub carried_minutes: i64,
    /// What the plan includes.
    pub included_minutes: i64,
    /// Beyond that, to be billed.
    pub overage_minutes: i64,
    /// What the next period is owed, 0 or less.
    pub carried_on_minutes: i64,
}

impl Statement {
    /// Adds up a period. Under a hard limit nothing beyond the included minutes is sold.
    #[must_use]
    pub fn of(used: i64, carried: i64, included: i64, limit: UsageLimit) -> Self {
        let net = used.saturating_add(carried);
        let beyond = net.saturating_sub(included).max(0);
        Self {
            used_minutes: used,
            carried_minutes: carried,
            included_minutes: included,
            overage_minutes: if limit == UsageLimit::Hard { 0 } else { beyond },
            carried_on_minutes: net.min(0),
        }
    }
}

words! {
    /// What happens when the included minutes are used up.
    UsageLimit, "usage limit" {
        /// Further minutes are sold at the overage price.
        Soft = "soft",
        /// No further ones are sold.
        Hard = "hard",
    }
}

words! {
    /// Where a report to Stripe stands.
    ReportState, "state of a report" {
        /// To be sent; certainly not sent so far.
        Pending = "pending",
        /// It was about to be sent, so it may have been.
        Sending = "sending",
        /// Sent or not, nobody can tell any more.
        Unknown = "unknown",
        /// Stripe has taken it.
        Accepted = "accepted",
        /// Stripe refused it, at once or days later, or has not counted it.
        Rejected = "rejected",
    }
}

/// Result of `billing.freeze`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeriodFrozen {
    /// What the period comes to. Final: what comes later is an adjustment in the open period.
    pub statement: Statement,
    /// When it was frozen.
    pub watermark: Option<DateTime<Utc>>,
    /// The period is not over yet: nothing was done.
    pub is_early: bool,
    /// It was closed by an earlier run.
    pub is_closed: bool,
}

/// Result of `billing.report`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageReported {
    /// What became of the report.
    pub outcome: ReportOutcome,
    /// Minutes that Stripe was told, now or before.
    pub quantity: i64,
    /// Stripe's code, where it refused.
    pub code: Option<String>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReportOutcome {
    /// No minute is to be billed.
    #[default]
    Nothing,
    /// Stripe has taken it.
    Accepted,
    /// Stripe does not answer, or asks to wait: tried again.
    Pending,
    /// The organization has no customer at Stripe: waited for.
    NoCustomer,
    /// No Stripe key is configured, or Stripe does not take it (then with a code): waited for.
    NotConfigured,
    /// Stripe refused; a person has to mend something.
    Rejected,
    /// It may have been taken, is too old to be repeated under its identifier, and cannot be read back.
    Unknown,
}

/// Input of `billing.close` and of `billing.give_up`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordClose {
    /// Which period.
    #[serde(flatten)]
    pub period: ClosePeriod,
    /// What became of the report.
    #[serde(default)]
    pub reported: UsageReported,
}

/// Result of `BillingCycle`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeriodClosed {
    /// What the period came to.
    pub statement: Statement,
    /// What Stripe was told of it.
    pub reported: UsageReported,
}

/// Input of `BillingSweep` and of `billing.due`: none yet.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepPeriods {}

/// Result of `BillingSweep` and of `billing.due`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeriodsSwept {
    /// Periods that are over and not closed.
    pub due: u32,
    /// Workflows that will be started for them; the others wait to be started already.
    pub started: u32,
}

/// Input of `MeterErrorReport` and of `billing.read_error_report`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadErrorReport {
    /// Stripe's id of the event.
    pub event_id: String,
}

/// Result of `MeterErrorReport`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorReportRead {
    /// Errors that Stripe counted.
    pub errors: u32,
    /// Reports of ours that are marked as rejected for it.
    pub rejected: u32,
}

/// Input of `billing.verify_reports`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifyReports {
    /// The last report of the page before.
    pub after: Option<Uuid>,
}

/// Result of `billing.verify_reports`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportsVerified {
    /// Reports that Stripe has counted as it was told.
    pub counted: u32,
    /// Reports of which it has counted nothing: they are rejected for it.
    pub missing: u32,
    /// Reports of which it has counted more or less, or of which it does not say.
    pub unclear: u32,
    /// The last report of the page; absent at the end of the list.
    pub next: Option<Uuid>,
}

/// Declares the activities; `activities` implements them.
pub struct Billing;

#[activity_definitions]
impl Billing {
    /// Ends a period: its watermark is set, what it comes to is final, and the next one is open.
    #[activity(name = "billing.freeze")]
    pub fn freeze(_: ClosePeriod) -> PeriodFrozen {
        unimplemented!()
    }

    /// Tells Stripe what is to be billed, once.
    #[activity(name = "billing.report")]
    pub fn report(_: ClosePeriod) -> UsageReported {
        unimplemented!()
    }

    /// Writes the close down, and sets the counters of the new period.
    #[activity(name = "billing.close")]
    pub fn close(_: RecordClose) -> PeriodClosed {
        unimplemented!()
    }

    /// Writes down that a report could not be made in time; a person has to act.
    #[activity(name = "billing.give_up")]
    pub fn give_up(_: RecordClose) -> UsageReported {
        unimplemented!()
    }

    /// Asks for `BillingCycle` of every period that is over.
    #[activity(name = "billing.due")]
    pub fn due(_: SweepPeriods) -> PeriodsSwept {
        unimplemented!()
    }

    /// Fetches an error report and marks what it is about.
    #[activity(name = "billing.read_error_report")]
    pub fn read_error_report(_: ReadErrorReport) -> ErrorReportRead {
        unimplemented!()
    }

    /// Asks Stripe what it has counted of a page of the reports that it took lately and was not seen to
    /// have counted.
    #[activity(name = "billing.verify_reports")]
    pub fn verify_reports(_: VerifyReports) -> ReportsVerified {
        unimplemented!()
    }
}

pub use self::billing::{
    Close as CloseActivity, Due as DueActivity, Freeze as FreezeActivity, GiveUp as GiveUpActivity,
    ReadErrorReport as ReadErrorReportActivity, Report as ReportActivity,
    VerifyReports as VerifyReportsActivity,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_added_up_once_for_all() {
        let minutes = |used, carried, included, limit| {
            let statement = Statement::of(used, carried, included, limit);
            (statement.overage_minutes, statement.carried_on_minutes)
        };
        assert_eq!(minutes(1200, 0, 1000, UsageLimit::Soft), (200, 0));
        assert_eq!(minutes(1200, 0, 1000, UsageLimit::Hard), (0, 0));
        assert_eq!(minutes(900, 0, 1000, UsageLimit::Soft), (0, 0));
        assert_eq!(minutes(7, 0, 0, UsageLimit::Soft), (7, 0), "no minutes are included");
        assert_eq!(minutes(-30, 0, 1000, UsageLimit::Soft), (0, -30), "owed to the next period");
        assert_eq!(minutes(1100, -30, 1000, UsageLimit::Soft), (70, 0));
        assert_eq!(minutes(10, -30, 0, UsageLimit::Soft), (0, -20));
    }
}
