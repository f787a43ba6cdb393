//! A period as the database has it.

use chrono::{DateTime, Utc};
use contract::{
    ids::{OrganizationId, PeriodId},
    period::Span,
};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Period, PeriodStatus};
use crate::{StoreError, calls::word, error::Problem};

/// A row of `billing_periods`, by the names of its columns.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) period_start: DateTime<Utc>,
    pub(crate) period_end: DateTime<Utc>,
    pub(crate) status: String,
    pub(crate) watermark: Option<DateTime<Utc>>,
    pub(crate) included_minutes: i32,
    pub(crate) overage_price: Decimal,
    pub(crate) usage_limit: String,
    pub(crate) carried_minutes: i64,
}

/// Reads a row.
pub(crate) fn row(row: Row) -> Result<Period, StoreError> {
    const OPERATION: &str = "periods.row";
    let status = match row.status.as_str() {
        "open" => PeriodStatus::Open,
        "closing" => PeriodStatus::Closing,
        "closed" => PeriodStatus::Closed,
        other => {
            let rule = format!("{other:?} is not a period's status");
            return Err(StoreError::new(OPERATION, Problem::Invalid(rule)));
        }
    };
    Ok(Period {
        id: PeriodId(row.id),
        organization_id: OrganizationId(row.organization_id),
        span: Span { start: row.period_start, end: row.period_end },
        status,
        watermark: row.watermark,
        included_minutes: i64::from(row.included_minutes),
        overage_price: row.overage_price,
        usage_limit: word(OPERATION, &row.usage_limit)?,
        carried_minutes: row.carried_minutes,
    })
}
