//! What events about billing carry.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::{EventData, Timestamp};
use crate::{billing::ReportOutcome, ids::PeriodId};

/// A billing period is over, and this is what it came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PeriodClosed {
    /// The period.
    pub period_id: PeriodId,
    /// Its first instant.
    pub period_start: Timestamp,
    /// The first instant after it.
    pub period_end: Timestamp,
    /// Minutes on its ledger, corrections of earlier ones included; may be negative.
    pub used_minutes: i64,
    /// What the period before was owed, 0 or less.
    pub carried_minutes: i64,
    /// What the plan includes.
    pub included_minutes: i64,
    /// Minutes beyond that, to be billed.
    pub overage_minutes: i64,
    /// Price of such a minute, in US dollars.
    pub overage_price: Decimal,
    /// What they cost, in US dollars, exact.
    pub overage_usd: Decimal,
    /// What became of the report to Stripe.
    pub report: ReportOutcome,
}

impl EventData for PeriodClosed {
    fn example(_: &str) -> Self {
        let price = Decimal::new(12, 2);
        Self {
            period_id: PeriodId::example(),
            period_start: Timestamp::example(-1_695_600),
            period_end: Timestamp::example(896_400),
            used_minutes: 1212,
            carried_minutes: 0,
            included_minutes: 1000,
            overage_minutes: 212,
            overage_price: price,
            overage_usd: Decimal::from(212) * price,
            report: ReportOutcome::Accepted,
        }
    }
}

/// Stripe was not told of a period, or does not count what it was told.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ReportFailed {
    /// It could not be told in time.
    Unsent(ReportUnsent),
    /// It refused a report, or the report's fate is unknown.
    Refused(ReportRefused),
}

/// Stripe could not be told of a period in time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReportUnsent {
    /// The period.
    pub period_id: PeriodId,
    /// `unreported`.
    pub reason: String,
    /// What stood in the way.
    pub outcome: ReportOutcome,
    /// Minutes to be billed.
    pub overage_minutes: i64,
    /// Stripe's code, where it gave one.
    pub code: Option<String>,
}

/// Stripe refused a report, or nobody knows whether it took it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReportRefused {
    /// How Stripe knows the report.
    pub identifier: String,
    /// Which report of the period, from 0.
    pub revision: i32,
    /// Minutes that it tells of.
    pub quantity: i64,
    /// The time that Stripe is told.
    pub reported_for: Timestamp,
    /// Stripe's code, where it gave one.
    pub code: Option<String>,
    /// The period.
    pub period_id: PeriodId,
    /// `rejected` or `unknown`.
    pub reason: String,
}

impl EventData for ReportFailed {
    fn example(_: &str) -> Self {
        let period_id = PeriodId::example();
        Self::Refused(ReportRefused {
            identifier: format!("usage-{period_id}-overage-0"),
            revision: 0,
            quantity: 212,
            reported_for: Timestamp::example(896_399),
            code: Some("meter_event_customer_not_found".to_owned()),
            period_id,
            reason: "rejected".to_owned(),
        })
    }
}
