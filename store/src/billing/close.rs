//! The end of a period, and the end of trying to report it.

use chrono::{DateTime, Utc};
use contract::{
    billing::{Statement, UsageReported},
    events::{PeriodClosed, ReportFailed, ReportUnsent, Timestamp},
    ids::{OrganizationId, PeriodId},
};
use serde_json::json;
use sqlx::query;

use super::{
    PERIOD_CLOSED, REPORT_FAILED, invalid, log,
    statement::{Preview, of_period},
};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    events,
    periods::{self, PeriodStatus},
};

/// What closing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// What the period came to.
    pub statement: Statement,
    /// Whether it was open until now; false where an earlier attempt closed it.
    pub is_new: bool,
}

/// Closes a frozen period, with its line in the history and its event. Closed once, nothing changes.
///
/// # Errors
/// When there is no such period, it is not frozen, or the database fails.
pub async fn close(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
    reported: &UsageReported,
    now: DateTime<Utc>,
) -> Result<Closed, StoreError> {
    const OPERATION: &str = "billing.close";
    let mut tx = db.tenant(organization).await?;
    let locked = periods::lock(&mut tx, organization, period).await?;
    let locked = locked.ok_or_else(|| invalid(OPERATION, "no such period"))?;
    let bill = of_period(&mut tx, organization, period).await?;
    if !bill.is_frozen() {
        return Err(invalid(OPERATION, "the period is not frozen"));
    }
    let is_new = locked.status != PeriodStatus::Closed;
    if is_new {
        query!(
            "update billing_periods set status = 'closed', closed_at = $3
             where organization_id = $1 and id = $2",
            organization.0,
            period.0,
            now,
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tell(&mut tx, organization, period, &bill, reported).await?;
    }
    commit(tx, OPERATION).await?;
    Ok(Closed { statement: bill.statement, is_new })
}

async fn tell(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
    bill: &Preview,
    reported: &UsageReported,
) -> Result<(), StoreError> {
    let told = json!(PeriodClosed {
        period_id: period,
        period_start: Timestamp(bill.span.start),
        period_end: Timestamp(bill.span.end),
        used_minutes: bill.statement.used_minutes,
        carried_minutes: bill.statement.carried_minutes,
        included_minutes: bill.statement.included_minutes,
        overage_minutes: bill.statement.overage_minutes,
        overage_price: bill.overage_price,
        overage_usd: bill.overage_usd(),
        report: reported.outcome,
    });
    log(tx, organization, Some(period), "period.closed", told.clone()).await?;
    let key = format!("{PERIOD_CLOSED}/{period}");
    events::emit_organization(tx, organization, PERIOD_CLOSED, &key, told).await.map(drop)
}

/// Writes down, once, that Stripe could not be told of a period in time. False where it was written
/// down before.
///
/// # Errors
/// When there is no such period, or the database fails.
pub async fn gave_up(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
    reported: &UsageReported,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "billing.gave_up";
    let mut tx = db.tenant(organization).await?;
    let locked = periods::lock(&mut tx, organization, period).await?;
    locked.ok_or_else(|| invalid(OPERATION, "no such period"))?;
    // Once for each time that somebody asked for it.
    let requested = query!(
        r#"select count(*) as "times!" from billing_events
         where organization_id = $1 and period_id = $2 and event = 'report.requested'"#,
        organization.0,
        period.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let key = format!("{REPORT_FAILED}/{period}/unreported/{}", requested.times);
    let details = json!(ReportFailed::Unsent(ReportUnsent {
        period_id: period,
        reason: "unreported".to_owned(),
        outcome: reported.outcome,
        overage_minutes: reported.quantity,
        code: reported.code.clone(),
    }));
    let is_new =
        events::emit_organization(&mut tx, organization, REPORT_FAILED, &key, details.clone())
            .await?;
    if is_new {
        log(&mut tx, organization, Some(period), "period.unreported", details).await?;
    }
    commit(tx, OPERATION).await?;
    Ok(is_new)
}
