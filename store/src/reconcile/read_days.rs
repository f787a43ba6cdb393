//! What calls, ledger and `daily_usage` say of the days of some organizations.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use contract::ids::OrganizationId;
use sqlx::query;

use super::{bounds::Zoned, days::Day, row::Amounts};
use crate::{StoreError, database::Tx, error::During};

type Place = (OrganizationId, NaiveDate);

/// Reads every day of every organization, each book with one statement.
pub(super) async fn read(
    tx: &mut Tx,
    zoned: &Zoned,
) -> Result<Vec<(OrganizationId, Vec<Day>)>, StoreError> {
    let calls = calls(tx, zoned).await?;
    let mut ledger = ledger(tx, zoned).await?;
    for ((organization, date), moved) in moves(tx, zoned).await? {
        ledger.entry((organization, date)).or_default().calls += moved;
    }
    let daily = daily(tx, zoned).await?;
    let touched = touched(tx, zoned).await?;
    let days = zoned.days().map(|(organization, days)| {
        let days = days.iter().map(|(date, span)| {
            let place = (organization, *date);
            let (said, voided) = calls.get(&place).copied().unwrap_or_default();
            Day {
                date: *date,
                span: *span,
                calls: said,
                voided,
                ledger: ledger.get(&place).copied().unwrap_or_default(),
                daily: daily.get(&place).copied().unwrap_or_default(),
                touched_at: touched.get(&place).copied(),
            }
        });
        (organization, days.collect())
    });
    Ok(days.collect())
}

/// What calls say, and what of it voided ones say.
async fn calls(
    tx: &mut Tx,
    zoned: &Zoned,
) -> Result<BTreeMap<Place, (Amounts, Amounts)>, StoreError> {
    let created = zoned.created();
    let rows = query!(
        r#"with bounds as materialized (
             select organization_id, array_agg(starts order by starts) as starts
             from unnest($1::uuid[], $2::timestamptz[]) as b (organization_id, starts)
             group by organization_id
         )
         select c.organization_id, width_bucket(c.occurred_at, b.starts) as "bucket!",
             count(*) as "calls!",
             coalesce(sum(c.billed_minutes), 0)::bigint as "minutes!",
             coalesce(sum(c.duration_seconds), 0)::bigint as "seconds!",
             coalesce(sum(c.cost_usd) * 1000000, 0)::bigint as "cost!",
             coalesce(sum(c.billed_minutes) filter (where v.call_id is not null), 0)::bigint
                 as "voided_minutes!",
             coalesce(sum(c.duration_seconds) filter (where v.call_id is not null), 0)::bigint
                 as "voided_seconds!",
             coalesce(sum(c.cost_usd) filter (where v.call_id is not null) * 1000000, 0)::bigint
                 as "voided_cost!"
         from bounds b
         join calls c on c.organization_id = b.organization_id
         left join usage_voids v on v.organization_id = c.organization_id and v.call_id = c.id
         where c.billed_minutes is not null
             and c.occurred_at >= $3 and c.occurred_at < $4
             and c.created_at >= $5 and c.created_at < $6
         group by 1, 2"#,
        &zoned.owners,
        &zoned.starts,
        zoned.whole.start,
        zoned.whole.end,
        created.start,
        created.end,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.calls")?;
    let said = rows.into_iter().filter_map(|row| {
        let organization = OrganizationId(row.organization_id);
        let said = Amounts {
            calls: row.calls,
            minutes: row.minutes,
            seconds: row.seconds,
            cost: row.cost,
        };
        let voided = Amounts {
            calls: 0,
            minutes: row.voided_minutes,
            seconds: row.voided_seconds,
            cost: row.voided_cost,
        };
        Some(((organization, zoned.date(organization, row.bucket)?), (said, voided)))
    });
    Ok(said.collect())
}

/// What the ledger says by when it occurred. A call is counted where its first row lies.
async fn ledger(tx: &mut Tx, zoned: &Zoned) -> Result<BTreeMap<Place, Amounts>, StoreError> {
    let rows = query!(
        r#"with bounds as materialized (
             select organization_id, array_agg(starts order by starts) as starts
             from unnest($1::uuid[], $2::timestamptz[]) as b (organization_id, starts)
             group by organization_id
         )
         select l.organization_id, width_bucket(l.occurred_at, b.starts) as "bucket!",
             count(*) filter (where l.meter = 'call_minutes' and l.revision = 0) as "calls!",
             coalesce(sum(l.quantity) filter (where l.meter = 'call_minutes'), 0)::bigint
                 as "minutes!",
             coalesce(sum(l.quantity) filter (where l.meter = 'call_seconds'), 0)::bigint
                 as "seconds!",
             coalesce(sum(l.quantity) filter (where l.meter = 'call_cost'), 0)::bigint as "cost!"
         from bounds b
         join usage_ledger l on l.organization_id = b.organization_id
         where l.occurred_at >= $3 and l.occurred_at < $4
         group by 1, 2"#,
        &zoned.owners,
        &zoned.starts,
        zoned.whole.start,
        zoned.whole.end,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.ledger")?;
    let said = rows.into_iter().filter_map(|row| {
        let organization = OrganizationId(row.organization_id);
        let said = Amounts {
            calls: row.calls,
            minutes: row.minutes,
            seconds: row.seconds,
            cost: row.cost,
        };
        Some(((organization, zoned.date(organization, row.bucket)?), said))
    });
    Ok(said.collect())
}

/// Calls whose rows moved from one day to another: each revision at another time than the one before
/// takes the call along.
async fn moves(tx: &mut Tx, zoned: &Zoned) -> Result<Vec<(Place, i64)>, StoreError> {
    let around = zoned.moved();
    let rows = query!(
        r#"with bounds as materialized (
             select organization_id, array_agg(starts order by starts) as starts
             from unnest($1::uuid[], $2::timestamptz[]) as b (organization_id, starts)
             group by organization_id
         )
         select l.organization_id, width_bucket(p.occurred_at, b.starts) as "left!",
             width_bucket(l.occurred_at, b.starts) as "entered!", count(*) as "calls!"
         from bounds b
         join usage_ledger l on l.organization_id = b.organization_id
         join usage_ledger p on p.organization_id = l.organization_id and p.call_id = l.call_id
             and p.meter = l.meter and p.revision = l.revision - 1
         where l.reason <> 'call' and l.meter = 'call_minutes' and l.revision > 0
             and l.occurred_at <> p.occurred_at
             and l.occurred_at >= $3 and l.occurred_at < $4
         group by 1, 2, 3"#,
        &zoned.owners,
        &zoned.starts,
        around.start,
        around.end,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.moves")?;
    let mut moves = Vec::new();
    for row in rows {
        let organization = OrganizationId(row.organization_id);
        let day = |bucket| Some((organization, zoned.date(organization, bucket)?));
        moves.extend(day(row.left).map(|place| (place, -row.calls)));
        moves.extend(day(row.entered).map(|place| (place, row.calls)));
    }
    Ok(moves)
}

async fn daily(tx: &mut Tx, zoned: &Zoned) -> Result<BTreeMap<Place, Amounts>, StoreError> {
    let rows = query!(
        r#"select organization_id, date, total_calls, total_minutes, total_seconds,
             (cost_usd * 1000000)::bigint as "cost!"
         from daily_usage
         where organization_id = any($1) and date between $2 and $3 and assistant_id is null"#,
        &zoned.ids(),
        zoned.dates.0,
        zoned.dates.1,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.daily")?;
    let said = rows.into_iter().map(|row| {
        let said = Amounts {
            calls: row.total_calls.into(),
            minutes: row.total_minutes,
            seconds: row.total_seconds,
            cost: row.cost,
        };
        ((OrganizationId(row.organization_id), row.date), said)
    });
    Ok(said.collect())
}

async fn touched(tx: &mut Tx, zoned: &Zoned) -> Result<BTreeMap<Place, DateTime<Utc>>, StoreError> {
    let rows = query!(
        "select organization_id, date, touched_at from usage_days_touched
         where organization_id = any($1) and date between $2 and $3",
        &zoned.ids(),
        zoned.dates.0,
        zoned.dates.1,
    )
    .fetch_all(&mut **tx)
    .await
    .during("reconcile.touched")?;
    let touched = rows.into_iter();
    let touched =
        touched.map(|row| ((OrganizationId(row.organization_id), row.date), row.touched_at));
    Ok(touched.collect())
}
