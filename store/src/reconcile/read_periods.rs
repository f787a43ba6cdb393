//! What ledger, totals, statements and reports say of the periods of some organizations.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::{
    billing::{Statement, UsageLimit},
    ids::{OrganizationId, PeriodId},
    period::Span,
};
use sqlx::query;
use uuid::Uuid;

use super::{
    bounds::Zoned,
    periods::{Booked, Frozen, PeriodBooks, Report, Waiting},
    row::Amounts,
};
use crate::{StoreError, calls::word, counters::Stored, database::Tx, error::During};

/// What Redis has, by organization and first instant of the period.
pub(super) type Projections = BTreeMap<(OrganizationId, DateTime<Utc>), Stored>;

/// Every period that shares an instant with its organization's range.
pub(super) async fn starts(
    tx: &mut Tx,
    zoned: &Zoned,
) -> Result<Vec<(OrganizationId, DateTime<Utc>)>, StoreError> {
    let rows = query!(
        "select organization_id, period_start, period_end from billing_periods
         where organization_id = any($1) and period_start < $2 and period_end > $3",
        &zoned.ids(),
        zoned.whole.end,
        zoned.whole.start,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.starts")?;
    let starts = rows.into_iter().filter_map(|row| {
        let organization = OrganizationId(row.organization_id);
        let span = Span { start: row.period_start, end: row.period_end };
        is_inside(zoned, organization, span).then_some((organization, span.start))
    });
    Ok(starts.collect())
}

fn is_inside(zoned: &Zoned, organization: OrganizationId, span: Span) -> bool {
    zoned
        .span_of(organization)
        .is_some_and(|range| span.start < range.end && span.end > range.start)
}

/// Reads those periods, each book with one statement.
pub(super) async fn read(tx: &mut Tx, zoned: &Zoned) -> Result<Vec<PeriodBooks>, StoreError> {
    let mut periods = periods(tx, zoned).await?;
    let ids: Vec<Uuid> = periods.iter().map(|period| period.id.0).collect();
    let mut booked = booked(tx, &ids).await?;
    away(tx, &ids, &mut booked).await?;
    let totals = totals(tx, &ids).await?;
    let mut reports = reports(tx, &ids).await?;
    for period in &mut periods {
        period.ledger = booked.remove(&period.id).unwrap_or_default();
        if let Some((amounts, sequence)) = totals.get(&period.id) {
            period.totals = *amounts;
            period.sequence = Some(*sequence);
        }
        period.reports = reports.remove(&period.id).unwrap_or_default();
    }
    Ok(periods)
}

async fn periods(tx: &mut Tx, zoned: &Zoned) -> Result<Vec<PeriodBooks>, StoreError> {
    const OPERATION: &str = "reconcile.periods";
    let rows = query!(
        r#"select p.id, p.organization_id, p.period_start, p.period_end, p.watermark,
             p.included_minutes, p.usage_limit, p.carried_minutes, p.used_minutes,
             p.used_seconds, p.cost_micros, p.overage_minutes,
             o.stripe_customer_id is not null as "has_customer!",
             b.used_minutes as "before_used?", b.carried_minutes as "before_carried?",
             b.included_minutes as "before_included?", b.usage_limit as "before_limit?",
             exists (select from billing_events e
                 where e.period_id = p.id and e.event = 'report.waiting') as "is_logged!",
             exists (select from billing_events e
                 where e.period_id = p.id and e.event = 'period.unreported'
                     and not exists (select from billing_events q
                     where q.period_id = p.id and q.event = 'report.requested'
                             and q.created_at > e.created_at)) as "is_given_up!"
         from billing_periods p
         join organizations o on o.id = p.organization_id
         left join billing_periods b on b.organization_id = p.organization_id
             and b.period_end = p.period_start and b.watermark is not null
         where p.organization_id = any($1) and p.period_start < $2 and p.period_end > $3
         order by p.organization_id, p.period_start"#,
        &zoned.ids(),
        zoned.whole.end,
        zoned.whole.start,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    let mut periods = Vec::new();
    for row in rows {
        let organization_id = OrganizationId(row.organization_id);
        let span = Span { start: row.period_start, end: row.period_end };
        if !is_inside(zoned, organization_id, span) {
            continue;
        }
        let limit = |text: &str| word::<UsageLimit>(OPERATION, text);
        let before = match (row.before_used, row.before_carried, row.before_included) {
            (Some(used), Some(carried), Some(included)) => {
                let limit = limit(row.before_limit.as_deref().unwrap_or_default())?;
                Some(Statement::of(used.into(), carried, included.into(), limit))
            }
            _ => None,
        };
        let frozen = row.watermark.map(|_| Frozen {
            minutes: row.used_minutes.unwrap_or(0).into(),
            seconds: row.used_seconds.unwrap_or(0),
            cost: row.cost_micros.unwrap_or(0),
            overage: row.overage_minutes.unwrap_or(0).into(),
        });
        periods.push(PeriodBooks {
            organization_id,
            id: PeriodId(row.id),
            span,
            watermark: row.watermark,
            included_minutes: row.included_minutes.into(),
            limit: limit(&row.usage_limit)?,
            carried_minutes: before.map_or(row.carried_minutes, |b| b.carried_on_minutes),
            frozen,
            ledger: Booked::default(),
            totals: Amounts::default(),
            sequence: None,
            reports: Vec::new(),
            waits: Waiting {
                has_customer: row.has_customer,
                is_logged: row.is_logged,
                is_given_up: row.is_given_up,
            },
        });
    }
    Ok(periods)
}

/// What is on the ledger of each period, and what of it occurred outside.
async fn booked(tx: &mut Tx, ids: &[Uuid]) -> Result<BTreeMap<PeriodId, Booked>, StoreError> {
    let rows = query!(
        r#"select period_id, meter, sum(quantity)::bigint as "all!",
             coalesce(sum(quantity) filter (where is_after), 0)::bigint as "early!",
             coalesce(sum(quantity) filter (where is_before and is_frozen and reason <> 'voided'),
                 0)::bigint as "late!",
             coalesce(sum(quantity) filter (where is_before and is_frozen and reason = 'voided'),
                 0)::bigint as "voided!",
             coalesce(sum(abs(quantity)) filter (where is_before and not is_frozen), 0)::bigint
                 as "misplaced!"
         from (
             select l.period_id, l.meter, l.quantity, l.reason,
                 l.occurred_at >= p.period_end as is_after,
                 l.occurred_at < p.period_start as is_before,
                 -- Asked for the few that are outside only.
                 case when l.occurred_at < p.period_start then not exists (
                     select from billing_periods own
                     where own.organization_id = l.organization_id and own.watermark is null
                         and own.period_start <= l.occurred_at and own.period_end > l.occurred_at)
                 end as is_frozen
             from usage_ledger l
             join billing_periods p on p.id = l.period_id
             where l.period_id = any($1)
         ) row
         group by period_id, meter"#,
        ids,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.booked")?;
    let mut booked: BTreeMap<PeriodId, Booked> = BTreeMap::new();
    for row in rows {
        let period = booked.entry(PeriodId(row.period_id)).or_default();
        for (amounts, quantity) in [
            (&mut period.all, row.all),
            (&mut period.late, row.late),
            (&mut period.voided, row.voided),
            (&mut period.early, row.early),
            (&mut period.misplaced, row.misplaced),
        ] {
            amounts.set(&row.meter, quantity);
        }
    }
    Ok(booked)
}

/// What occurred in each period and is on the ledger of another. First rows are where they belong or
/// `late`, so that the index of the others finds them; one that was booked before its own period began
/// is shown with the period that has it.
async fn away(
    tx: &mut Tx,
    ids: &[Uuid],
    booked: &mut BTreeMap<PeriodId, Booked>,
) -> Result<(), StoreError> {
    let rows = query!(
        r#"select p.id, l.meter, sum(l.quantity)::bigint as "quantity!"
         from billing_periods p
         join usage_ledger l on l.organization_id = p.organization_id
             and l.occurred_at >= p.period_start and l.occurred_at < p.period_end
             and l.reason <> 'call' and l.period_id <> p.id
         where p.id = any($1)
         group by p.id, l.meter"#,
        ids,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.away")?;
    for row in rows {
        let period = booked.entry(PeriodId(row.id)).or_default();
        period.away.set(&row.meter, row.quantity);
    }
    Ok(())
}

async fn totals(
    tx: &mut Tx,
    ids: &[Uuid],
) -> Result<BTreeMap<PeriodId, (Amounts, i64)>, StoreError> {
    let rows = query!(
        "select period_id, meter, total, sequence from usage_totals where period_id = any($1)",
        ids,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.totals")?;
    let mut totals: BTreeMap<PeriodId, (Amounts, i64)> = BTreeMap::new();
    for row in rows {
        let (amounts, sequence) = totals.entry(PeriodId(row.period_id)).or_default();
        amounts.set(&row.meter, row.total);
        *sequence += row.sequence;
    }
    Ok(totals)
}

async fn reports(tx: &mut Tx, ids: &[Uuid]) -> Result<BTreeMap<PeriodId, Vec<Report>>, StoreError> {
    const OPERATION: &str = "reconcile.reports";
    let rows = query!(
        r#"select period_id, quantity, state, counted_minutes,
             coalesce(last_sent_at, created_at) as "at!"
         from stripe_reports where period_id = any($1) and kind = 'overage'
         order by period_id, revision"#,
        ids,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    let mut reports: BTreeMap<PeriodId, Vec<Report>> = BTreeMap::new();
    for row in rows {
        let state = word(OPERATION, &row.state)?;
        let report =
            Report { quantity: row.quantity, counted: row.counted_minutes, state, at: row.at };
        reports.entry(PeriodId(row.period_id)).or_default().push(report);
    }
    Ok(reports)
}

impl Amounts {
    /// Sets what a meter of the ledger says.
    fn set(&mut self, meter: &str, quantity: i64) {
        match meter {
            "call_minutes" => self.minutes = quantity,
            "call_seconds" => self.seconds = quantity,
            "call_cost" => self.cost = quantity,
            _ => {}
        }
    }
}
