//! What each table has of a call.

use std::collections::BTreeMap;

use contract::{
    ids::{CallId, InboxId, OrganizationId, PeriodId},
    period::{Span, day, local_date, zone_or_utc},
};
use sqlx::query;
use uuid::Uuid;

use super::{
    BookedPeriod, BookedRow, CallFigures, DayFigures, ReportOfPeriod, Story, ToldEvent, Voided,
};
use crate::{StoreError, database::Tx, error::During};

/// Everything but the summary.
pub(super) async fn story(
    tx: &mut Tx,
    organization: OrganizationId,
    call: CallId,
) -> Result<Option<Story>, StoreError> {
    // One snapshot, so that the parts fit together.
    query!("set transaction isolation level repeatable read, read only")
        .execute(&mut **tx)
        .await
        .during("reconcile.explain")?;
    let Some(figures) = figures(tx, organization, call).await? else { return Ok(None) };
    let events = events(tx, organization, call).await?;
    let ledger = ledger(tx, organization, call).await?;
    let periods = periods(tx, organization, &ledger).await?;
    let voided = voided(tx, organization, call).await?;
    let day = match figures.occurred_at.filter(|_| figures.billed_minutes.is_some()) {
        Some(at) => {
            let zone = zone_or_utc(&figures.timezone);
            let date = local_date(at, zone);
            Some(day_figures(tx, organization, date, day(date, zone)).await?)
        }
        None => None,
    };
    let summary = String::new();
    Ok(Some(Story { call: figures, events, ledger, periods, voided, day, summary }))
}

async fn figures(
    tx: &mut Tx,
    organization: OrganizationId,
    call: CallId,
) -> Result<Option<CallFigures>, StoreError> {
    let row = query!(
        "select c.status, c.duration_seconds, c.billed_minutes, c.cost_usd, c.duration_flag,
             c.occurred_at, c.updated_at, o.timezone
         from call_keys k
         join calls c on c.id = k.call_id and c.created_at = k.created_at
             and c.organization_id = k.organization_id
         join organizations o on o.id = k.organization_id
         where k.organization_id = $1 and k.call_id = $2",
        organization.0,
        call.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("reconcile.explain_call")?;
    Ok(row.map(|row| CallFigures {
        id: call,
        status: row.status,
        duration_seconds: row.duration_seconds,
        billed_minutes: row.billed_minutes,
        cost_usd: row.cost_usd,
        duration_flag: row.duration_flag,
        occurred_at: row.occurred_at,
        updated_at: row.updated_at,
        timezone: row.timezone,
    }))
}

async fn events(
    tx: &mut Tx,
    organization: OrganizationId,
    call: CallId,
) -> Result<Vec<ToldEvent>, StoreError> {
    // Only the end tells how long it was.
    let rows = query!(
        "select id, event_kind, origin, status, received_at, folded_at from inbox
         where organization_id = $1 and call_id = $2 and life in ('ended', 'report')
         order by received_at, id",
        organization.0,
        call.0,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.explain_events")?;
    let events = rows.into_iter().map(|row| ToldEvent {
        id: InboxId(row.id),
        kind: row.event_kind,
        origin: row.origin,
        status: row.status,
        received_at: row.received_at,
        folded_at: row.folded_at,
    });
    Ok(events.collect())
}

async fn ledger(
    tx: &mut Tx,
    organization: OrganizationId,
    call: CallId,
) -> Result<Vec<BookedRow>, StoreError> {
    let rows = query!(
        "select id, meter, revision, quantity, reason, occurred_at, recorded_at, period_id
         from usage_ledger where organization_id = $1 and call_id = $2
         order by recorded_at, revision, meter",
        organization.0,
        call.0,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.explain_ledger")?;
    let booked = rows.into_iter().map(|row| BookedRow {
        id: row.id,
        meter: row.meter,
        revision: row.revision,
        quantity: row.quantity,
        reason: row.reason,
        occurred_at: row.occurred_at,
        recorded_at: row.recorded_at,
        period_id: PeriodId(row.period_id),
    });
    Ok(booked.collect())
}

async fn periods(
    tx: &mut Tx,
    organization: OrganizationId,
    ledger: &[BookedRow],
) -> Result<Vec<BookedPeriod>, StoreError> {
    let mut minutes: BTreeMap<PeriodId, i64> = BTreeMap::new();
    for row in ledger {
        let counted = if row.meter == "call_minutes" { row.quantity } else { 0 };
        *minutes.entry(row.period_id).or_default() += counted;
    }
    let ids: Vec<Uuid> = minutes.keys().map(|id| id.0).collect();
    let rows = query!(
        "select id, period_start, period_end, status, watermark, overage_minutes
         from billing_periods where organization_id = $1 and id = any($2) order by period_start",
        organization.0,
        &ids,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.explain_periods")?;
    let mut reports = reports(tx, organization, &ids).await?;
    let periods = rows.into_iter().map(|row| {
        let id = PeriodId(row.id);
        BookedPeriod {
            id,
            span: Span { start: row.period_start, end: row.period_end },
            status: row.status,
            watermark: row.watermark,
            minutes: minutes.get(&id).copied().unwrap_or(0),
            overage_minutes: row.watermark.and(row.overage_minutes.map(i64::from)),
            reports: reports.remove(&id).unwrap_or_default(),
        }
    });
    Ok(periods.collect())
}

async fn reports(
    tx: &mut Tx,
    organization: OrganizationId,
    periods: &[Uuid],
) -> Result<BTreeMap<PeriodId, Vec<ReportOfPeriod>>, StoreError> {
    let rows = query!(
        "select period_id, identifier, quantity, state, last_sent_at, settled_at,
             counted_minutes, counted_at
         from stripe_reports where organization_id = $1 and period_id = any($2)
         order by period_id, revision",
        organization.0,
        periods,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.explain_reports")?;
    let mut reports: BTreeMap<PeriodId, Vec<ReportOfPeriod>> = BTreeMap::new();
    for row in rows {
        reports.entry(PeriodId(row.period_id)).or_default().push(ReportOfPeriod {
            identifier: row.identifier,
            quantity: row.quantity,
            state: row.state,
            last_sent_at: row.last_sent_at,
            settled_at: row.settled_at,
            counted_minutes: row.counted_minutes,
            counted_at: row.counted_at,
        });
    }
    Ok(reports)
}

async fn voided(
    tx: &mut Tx,
    organization: OrganizationId,
    call: CallId,
) -> Result<Option<Voided>, StoreError> {
    let row = query!(
        "select reason, created_at from usage_voids where organization_id = $1 and call_id = $2",
        organization.0,
        call.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("reconcile.explain_void")?;
    Ok(row.map(|row| Voided { reason: row.reason, at: row.created_at }))
}

async fn day_figures(
    tx: &mut Tx,
    organization: OrganizationId,
    date: chrono::NaiveDate,
    span: Span,
) -> Result<DayFigures, StoreError> {
    let row = query!(
        r#"select d.computed_at as "computed_at?", d.total_calls as "total_calls?",
             d.total_minutes as "total_minutes?", t.touched_at as "touched_at?"
         from (values (1)) one (row)
         left join daily_usage d on d.organization_id = $1 and d.date = $2
             and d.assistant_id is null
         left join usage_days_touched t on t.organization_id = $1 and t.date = $2"#,
        organization.0,
        date,
    )
    .fetch_one(&mut **tx)
    .await
    .during("reconcile.explain_day")?;
    Ok(DayFigures {
        date,
        span,
        computed_at: row.computed_at,
        total_calls: row.total_calls.unwrap_or(0).into(),
        total_minutes: row.total_minutes.unwrap_or(0),
        touched_at: row.touched_at,
    })
}
