//! Billing periods: one is open, those before it close once.

mod calendar;
mod row;

use chrono::{DateTime, Utc};
use contract::{
    billing::UsageLimit,
    ids::{OrganizationId, PeriodId},
    period::Span,
};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::{query, query_as};
use uuid::Uuid;

use self::calendar::Calendar;
pub(crate) use self::row::{Row, row};
use crate::{StoreError, billing, database::Tx, error::During, events::timestamp};

/// Where a period stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodStatus {
    /// Takes usage.
    Open,
    /// It is over, and takes what occurred in it until its watermark is set.
    Closing,
    /// Final.
    Closed,
}

/// A billing period.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// Its id.
    pub id: PeriodId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// From when to when.
    pub span: Span,
    /// Where it stands.
    pub status: PeriodStatus,
    /// When it was frozen.
    pub watermark: Option<DateTime<Utc>>,
    /// Minutes that the plan includes.
    pub included_minutes: i64,
    /// Price of a further minute, in US dollars.
    pub overage_price: Decimal,
    /// What happens when the included minutes are used up.
    pub usage_limit: UsageLimit,
    /// What the period before was owed, 0 or less.
    pub carried_minutes: i64,
}

/// At most one period, by the rest of the statement.
macro_rules! find {
    ($tx:expr, $operation:expr, $rest:tt, $($argument:expr),+ $(,)?) => {
        query_as!(
            Row,
            "select id, organization_id, period_start, period_end, status, watermark,
                 included_minutes, overage_price, usage_limit, carried_minutes
             from billing_periods " + $rest,
            $($argument),+
        )
        .fetch_optional(&mut **$tx)
        .await
        .during($operation)?
        .map(row)
        .transpose()
    };
}

/// The organization's open period. The first one is made, and those that are over make room for the
/// next: they turn to `closing`.
///
/// Its row is locked FOR SHARE: a close waits until this transaction is through.
pub(crate) async fn open(
    tx: &mut Tx,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Period, StoreError> {
    loop {
        if let Some(open) = share_open(tx, organization, None, now).await? {
            return Ok(open);
        }
        roll(tx, organization, now).await?;
    }
}

/// The period that takes usage which occurred at `occurred_at`, and whether it is late: its own period
/// is frozen, so the open one takes it as an adjustment.
///
/// The period's row is locked FOR SHARE. Whoever asks for several times asks for the earliest first:
/// a close locks periods in this order too.
pub(crate) async fn for_usage(
    tx: &mut Tx,
    organization: OrganizationId,
    occurred_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(Period, bool), StoreError> {
    loop {
        if let Some(open) = share_open(tx, organization, Some(occurred_at), now).await? {
            return Ok((open, false));
        }
        roll(tx, organization, now).await?;
        if let Some(closing) = share_closing(tx, organization, occurred_at).await? {
            return Ok((closing, false));
        }
        // Another transaction may have ended it meanwhile: then once more from the top.
        if let Some(open) = share_open(tx, organization, None, now).await? {
            let is_late = occurred_at < open.span.start && has_earlier(tx, &open).await?;
            return Ok((open, is_late));
        }
    }
}

/// A period, locked FOR UPDATE: whoever writes usage to it waits.
pub(crate) async fn lock(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
) -> Result<Option<Period>, StoreError> {
    find!(
        tx,
        "periods.lock",
        "where organization_id = $1 and id = $2 for update",
        organization.0,
        period.0,
    )
}

/// The open period, unless it is over; with `occurred_at` unless it began later than that.
async fn share_open(
    tx: &mut Tx,
    organization: OrganizationId,
    occurred_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Option<Period>, StoreError> {
    // One that is over is not locked: of two that share it, neither could end it.
    find!(
        tx,
        "periods.share_open",
        "where organization_id = $1 and status = 'open' and period_end > $2
             and ($3::timestamptz is null or period_start <= $3) for share",
        organization.0,
        now,
        occurred_at,
    )
}

/// The period that this lies in, if it is over and not frozen.
async fn share_closing(
    tx: &mut Tx,
    organization: OrganizationId,
    occurred_at: DateTime<Utc>,
) -> Result<Option<Period>, StoreError> {
    find!(
        tx,
        "periods.share_closing",
        "where organization_id = $1 and status = 'closing' and watermark is null
             and period_start <= $2 and period_end > $2 for share",
        organization.0,
        occurred_at,
    )
}

async fn has_earlier(tx: &mut Tx, open: &Period) -> Result<bool, StoreError> {
    let row = query!(
        r#"select exists (select from billing_periods
             where organization_id = $1 and period_start < $2) as "exists!""#,
        open.organization_id.0,
        open.span.start,
    )
    .fetch_one(&mut **tx)
    .await
    .during("periods.has_earlier")?;
    Ok(row.exists)
}

/// Ends open periods that are over and opens the next, until one holds `now`: an organization that
/// slept for months gets them all.
async fn roll(
    tx: &mut Tx,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "periods.roll";
    loop {
        let last = find!(
            tx,
            OPERATION,
            "where organization_id = $1 order by period_start desc limit 1",
            organization.0,
        )?;
        let begins = match last {
            None => None,
            Some(last) if last.status == PeriodStatus::Open => {
                if now < last.span.end {
                    return Ok(());
                }
                let Some(end) = end_open(tx, &last, now).await? else { continue };
                Some(end)
            }
            Some(last) => Some(last.span.end),
        };
        // Read only now: an event of Stripe that was waited for has changed it.
        let calendar = Calendar::of(tx, organization).await?;
        let next = begins.map_or_else(|| calendar.first(now), |begins| calendar.after(begins));
        insert_open(tx, organization, next).await?;
    }
}

/// Turns an open period that is over to `closing`; gives its end. Nothing where another transaction
/// did, or moved the end.
async fn end_open(
    tx: &mut Tx,
    open: &Period,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let ended = query!(
        "update billing_periods set status = 'closing'
         where organization_id = $1 and id = $2 and status = 'open' and period_end <= $3
         returning period_end",
        open.organization_id.0,
        open.id.0,
        now,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("periods.end_open")?;
    Ok(ended.map(|row| row.period_end))
}

/// Opens a period by the plan as it is now. Whoever comes second writes nothing.
async fn insert_open(
    tx: &mut Tx,
    organization: OrganizationId,
    span: Span,
) -> Result<(), StoreError> {
    let period = PeriodId(Uuid::now_v7());
    let inserted = query!(
        "insert into billing_periods (id, organization_id, period_start, period_end, status,
             included_minutes, overage_price, usage_limit)
         select $1, o.id, $3, $4, 'open', o.plan_minutes, o.overage_price, o.usage_limit
         from organizations o where o.id = $2
         on conflict do nothing
         returning included_minutes",
        period.0,
        organization.0,
        span.start,
        span.end,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("periods.insert_open")?;
    let Some(row) = inserted else { return Ok(()) };
    let details = json!({
        "period_start": timestamp(span.start),
        "period_end": timestamp(span.end),
        "included_minutes": row.included_minutes,
    });
    billing::log(tx, organization, Some(period), "period.opened", details).await
}
