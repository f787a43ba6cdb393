//! Periods, what Stripe was told of them, and the history of billing, for the API.

use chrono::{DateTime, Utc};
use contract::{
    billing::UsageLimit,
    ids::{OrganizationId, PeriodId},
    period::Span,
};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::{Page, Place, one_more};
use crate::{Database, StoreError, calls::word, database::commit, error::During};

/// A billing period, with what Stripe was told of it last.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodRow {
    /// Its id.
    pub id: PeriodId,
    /// From when to when.
    pub span: Span,
    /// `open`, `closing` or `closed`.
    pub status: String,
    /// When it was frozen: nothing was booked to it since.
    pub watermark: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Minutes that the plan included.
    pub included_minutes: i64,
    /// What the period before was owed, 0 or less.
    pub carried_minutes: i64,
    /// Minutes on its ledger; so far, where it is not frozen.
    pub used_minutes: i64,
    /// Minutes to be billed; absent until it is frozen.
    pub overage_minutes: Option<i64>,
    /// Price of such a minute, in US dollars.
    pub overage_price: Decimal,
    /// What happened when the included minutes were used up.
    pub usage_limit: UsageLimit,
    /// The newest report to Stripe.
    pub report: Option<ReportRow>,
}

/// What Stripe was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The identifier of the meter event.
    pub identifier: String,
    /// Minutes.
    pub quantity: i64,
    /// `pending`, `sending`, `unknown`, `accepted` or `rejected`.
    pub state: String,
    /// Why it was rejected, or what is wrong.
    pub error: Option<String>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
}

/// A page of an organization's periods, newest first. A place is a period's start and id.
pub async fn periods(
    db: &Database,
    organization: OrganizationId,
    after: Place,
    limit: u16,
) -> Result<Page<PeriodRow>, StoreError> {
    const OPERATION: &str = "reads.billing.periods";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        r#"select p.id, p.period_start, p.period_end, p.status, p.watermark, p.closed_at,
             p.included_minutes::bigint as "included_minutes!", p.carried_minutes,
             coalesce(p.used_minutes::bigint, t.total, 0) as "used_minutes!",
             p.overage_minutes::bigint as overage_minutes, p.overage_price, p.usage_limit,
             r.identifier as "identifier?", r.quantity as "quantity?", r.state as "state?", r.error,
             r.settled_at
         from billing_periods p
         left join usage_totals t on t.organization_id = p.organization_id and t.period_id = p.id
             and t.meter = 'call_minutes'
         left join lateral (
             select identifier, quantity, state, error, settled_at from stripe_reports
             where period_id = p.id order by revision desc limit 1) r on true
         where p.organization_id = $1 and (p.period_start, p.id) < ($2, $3)
         order by p.period_start desc, p.id desc limit $4"#,
        organization.0,
        after.at,
        after.id,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let mut periods = Vec::with_capacity(rows.len());
    for row in rows {
        let report = row.identifier.zip(row.quantity).zip(row.state);
        periods.push(PeriodRow {
            id: PeriodId(row.id),
            span: Span { start: row.period_start, end: row.period_end },
            status: row.status,
            watermark: row.watermark,
            closed_at: row.closed_at,
            included_minutes: row.included_minutes,
            carried_minutes: row.carried_minutes,
            used_minutes: row.used_minutes,
            overage_minutes: row.overage_minutes,
            overage_price: row.overage_price,
            usage_limit: word(OPERATION, &row.usage_limit)?,
            report: report.map(|((identifier, quantity), state)| ReportRow {
                identifier,
                quantity,
                state,
                error: row.error,
                settled_at: row.settled_at,
            }),
        });
    }
    Ok(Page::cut(periods, limit))
}

/// A line of the history of billing.
#[derive(Debug, Clone, PartialEq)]
pub struct BillingEventRow {
    /// Its id.
    pub id: Uuid,
    /// The period that it is about.
    pub period_id: Option<PeriodId>,
    /// What happened, as `period.closed`.
    pub event: String,
    /// Numbers and states; no personal data.
    pub details: Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A page of the history of an organization's billing, newest first.
pub async fn events(
    db: &Database,
    organization: OrganizationId,
    period: Option<PeriodId>,
    after: Place,
    limit: u16,
) -> Result<Page<BillingEventRow>, StoreError> {
    const OPERATION: &str = "reads.billing.events";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        "select id, period_id, event, details, created_at from billing_events
         where organization_id = $1 and ($2::uuid is null or period_id = $2)
             and (created_at, id) < ($3, $4)
         order by created_at desc, id desc limit $5",
        organization.0,
        period.map(|period| period.0),
        after.at,
        after.id,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let events = rows.into_iter().map(|row| BillingEventRow {
        id: row.id,
        period_id: row.period_id.map(PeriodId),
        event: row.event,
        details: row.details,
        created_at: row.created_at,
    });
    Ok(Page::cut(events.collect(), limit))
}
