//! What `/v1/billing` is asked and answers.

use contract::ids::PeriodId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::reads::billing as reads;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::timestamp::Timestamp;

/// What closing the current period now would bill.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BillingPreview {
    /// The period; null before the first call.
    #[schema(value_type = Option<Uuid>)]
    pub(super) period_id: Option<PeriodId>,
    /// First instant of the period.
    pub(super) period_start: Timestamp,
    /// First instant after it.
    pub(super) period_end: Timestamp,
    /// Minutes that the plan includes.
    #[schema(minimum = 0, example = 1000)]
    pub(super) included_minutes: i64,
    /// Minutes on the period's ledger, corrections of earlier ones included; may be negative.
    #[schema(example = 1042)]
    pub(super) used_minutes: i64,
    /// Minutes that the period before was owed, 0 or less.
    #[schema(maximum = 0, example = 0)]
    pub(super) carried_minutes: i64,
    /// Minutes that would be billed.
    #[schema(minimum = 0, example = 42)]
    pub(super) overage_minutes: i64,
    /// Price of such a minute in US dollars, a decimal number.
    #[schema(example = "0.12")]
    pub(super) overage_price_usd: String,
    /// What they cost, exact, a decimal number.
    #[schema(example = "5.04")]
    pub(super) overage_usd_exact: String,
    /// The same in whole cents, half a cent to the even one.
    #[schema(example = "5.04")]
    pub(super) overage_usd: String,
    /// What the next period would be owed, 0 or less.
    #[schema(maximum = 0, example = 0)]
    pub(super) carried_on_minutes: i64,
    /// `soft` or `hard`.
    #[schema(example = "soft")]
    pub(super) usage_limit: &'static str,
}

/// Which periods.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PeriodsQuery {
    /// Periods in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// Which lines of the history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BillingEventsQuery {
    /// Only those about this period.
    pub(super) period_id: Option<Uuid>,
    /// Lines in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filter.
    pub(super) cursor: Option<String>,
}

/// A page of billing periods, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PeriodsPage {
    /// The periods.
    pub(super) data: Vec<BillingPeriod>,
    /// Where the next page begins; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// A billing period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BillingPeriod {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub(super) id: PeriodId,
    /// First instant.
    pub(super) period_start: Timestamp,
    /// First instant after it.
    pub(super) period_end: Timestamp,
    /// `open`; `closing`, it is over and being billed; `closed`, it never changes again.
    #[schema(example = "closed")]
    pub(super) status: String,
    /// When it was frozen: later usage is an adjustment in the open period.
    pub(super) watermark: Option<Timestamp>,
    /// When it was closed.
    pub(super) closed_at: Option<Timestamp>,
    /// Minutes that the plan included.
    #[schema(minimum = 0, example = 1000)]
    pub(super) included_minutes: i64,
    /// Minutes that the period before was owed, 0 or less.
    #[schema(maximum = 0, example = 0)]
    pub(super) carried_minutes: i64,
    /// Minutes on its ledger; so far, while it is open.
    #[schema(example = 1042)]
    pub(super) used_minutes: i64,
    /// Minutes that are billed; null until it is frozen.
    #[schema(minimum = 0, example = 42)]
    pub(super) overage_minutes: Option<i64>,
    /// Price of such a minute in US dollars, a decimal number.
    #[schema(example = "0.12")]
    pub(super) overage_price_usd: String,
    /// `soft` or `hard`.
    #[schema(example = "soft")]
    pub(super) usage_limit: &'static str,
    /// What Stripe was told; null where there was nothing to tell, or nobody to tell it to.
    pub(super) report: Option<StripeReport>,
}

/// What Stripe was told of a period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StripeReport {
    /// Identifier of the meter event.
    pub(super) identifier: String,
    /// Minutes.
    #[schema(minimum = 0, example = 42)]
    pub(super) quantity: i64,
    /// `pending`, `sending`, `unknown`, `accepted` or `rejected`.
    #[schema(example = "accepted")]
    pub(super) state: String,
    /// Why it was rejected.
    pub(super) error: Option<String>,
    /// When it was settled.
    pub(super) settled_at: Option<Timestamp>,
}

/// A page of the history of billing, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BillingEventsPage {
    /// The lines.
    pub(super) data: Vec<BillingEvent>,
    /// Where the next page begins; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// A line of the history of billing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BillingEvent {
    /// Its id.
    pub(super) id: Uuid,
    /// The period that it is about.
    #[schema(value_type = Option<Uuid>)]
    pub(super) period_id: Option<PeriodId>,
    /// What happened.
    #[schema(example = "period.closed")]
    pub(super) event: String,
    /// Numbers and states.
    #[schema(value_type = Object)]
    pub(super) details: Value,
    /// When.
    pub(super) created_at: Timestamp,
}

impl From<reads::PeriodRow> for BillingPeriod {
    fn from(period: reads::PeriodRow) -> Self {
        Self {
            id: period.id,
            period_start: Timestamp(period.span.start),
            period_end: Timestamp(period.span.end),
            status: period.status,
            watermark: period.watermark.map(Timestamp),
            closed_at: period.closed_at.map(Timestamp),
            included_minutes: period.included_minutes,
            carried_minutes: period.carried_minutes,
            used_minutes: period.used_minutes,
            overage_minutes: period.overage_minutes,
            overage_price_usd: period.overage_price.normalize().to_string(),
            usage_limit: period.usage_limit.as_str(),
            report: period.report.map(|report| StripeReport {
                identifier: report.identifier,
                quantity: report.quantity,
                state: report.state,
                error: report.error,
                settled_at: report.settled_at.map(Timestamp),
            }),
        }
    }
}

impl From<reads::BillingEventRow> for BillingEvent {
    fn from(line: reads::BillingEventRow) -> Self {
        Self {
            id: line.id,
            period_id: line.period_id,
            event: line.event,
            details: line.details,
            created_at: Timestamp(line.created_at),
        }
    }
}
