//! What the calls of a day come to, so far: for dashboards, until the night's aggregation.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use contract::{
    ids::OrganizationId,
    period::{local_date, zone_or_utc},
    usage::Meter,
};
use serde::{Deserialize, Serialize};
use sqlx::query;

use super::difference::Change;
use crate::{StoreError, database::Tx, error::During};

/// Days before yesterday are the aggregation's alone.
const KEPT: Days = Days::new(1);

/// A call that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Decides its day.
    pub(crate) occurred_at: DateTime<Utc>,
    /// Whether it was talked through.
    pub(crate) completed: bool,
}

/// A day's calls. Also what Redis keeps of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayTotal {
    /// The day, where the organization is.
    pub date: NaiveDate,
    /// Calls that have ended.
    pub calls: i64,
    /// Those of them that were talked through.
    pub completed: i64,
    /// Billed minutes.
    pub minutes: i64,
    /// Seconds.
    pub seconds: i64,
    /// Millionths of a US dollar.
    pub cost_micros: i64,
    /// Counts the changes: of two totals of a day the greater one is newer.
    pub sequence: i64,
}

impl DayTotal {
    /// A day without calls.
    pub const fn none(date: NaiveDate) -> Self {
        Self { date, calls: 0, completed: 0, minutes: 0, seconds: 0, cost_micros: 0, sequence: 0 }
    }
}

/// What is added to a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Difference {
    calls: i64,
    completed: i64,
    minutes: i64,
    seconds: i64,
    cost_micros: i64,
}

/// Adds what changed to the days on which it occurred. `was` and `is`: the call as it was counted before
/// and as it is now.
pub(super) async fn add(
    tx: &mut Tx,
    organization: OrganizationId,
    zone: Tz,
    (was, is): (Option<Counted>, Option<Counted>),
    changes: &[Change],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let oldest = local_date(now, zone) - KEPT;
    let mut days = differences(zone, (was, is), changes);
    days.retain(|date, difference| *date >= oldest && *difference != Difference::default());
    if days.is_empty() {
        return Ok(());
    }
    let of = |field: fn(&Difference) -> i64| days.values().map(field).collect::<Vec<i64>>();
    let dates: Vec<NaiveDate> = days.keys().copied().collect();
    query!(
        "insert into day_totals (organization_id, date, calls, completed, minutes, seconds,
             cost_micros, sequence)
         select $1, d.date, d.calls, d.completed, d.minutes, d.seconds, d.cost_micros, 1
         from unnest($2::date[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
             as d (date, calls, completed, minutes, seconds, cost_micros)
         order by d.date
         on conflict (organization_id, date) do update set
             calls = day_totals.calls + excluded.calls,
             completed = day_totals.completed + excluded.completed,
             minutes = day_totals.minutes + excluded.minutes,
             seconds = day_totals.seconds + excluded.seconds,
             cost_micros = day_totals.cost_micros + excluded.cost_micros,
             sequence = day_totals.sequence + 1",
        organization.0,
        &dates,
        &of(|day| day.calls),
        &of(|day| day.completed),
        &of(|day| day.minutes),
        &of(|day| day.seconds),
        &of(|day| day.cost_micros),
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("usage.days")
}

fn differences(
    zone: Tz,
    (was, is): (Option<Counted>, Option<Counted>),
    changes: &[Change],
) -> BTreeMap<NaiveDate, Difference> {
    let mut days: BTreeMap<NaiveDate, Difference> = BTreeMap::new();
    for (call, sign) in [(was, -1), (is, 1)] {
        let Some(call) = call else { continue };
        let day = days.entry(local_date(call.occurred_at, zone)).or_default();
        day.calls += sign;
        day.completed += sign * i64::from(call.completed);
    }
    for change in changes {
        let day = days.entry(local_date(change.occurred_at, zone)).or_default();
        match change.meter {
            Meter::CallMinutes => day.minutes += change.quantity,
            Meter::CallSeconds => day.seconds += change.quantity,
            Meter::CallCost => day.cost_micros += change.quantity,
        }
    }
    days
}

/// What today's calls come to, where the organization is, and how many are in progress, by the partial
/// index of those.
pub(crate) async fn today(
    tx: &mut Tx,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<(DayTotal, i64), StoreError> {
    // The newest days, of which one is today's: where the organization is decides which.
    let rows = query!(
        r#"select o.timezone, d.date as "date?", d.calls as "calls?", d.completed as "completed?",
             d.minutes as "minutes?", d.seconds as "seconds?", d.cost_micros as "cost_micros?",
             d.sequence as "sequence?",
             (select count(*) from calls c
              where c.organization_id = $1 and c.status = 'in-progress') as "active!"
         from organizations o
         left join day_totals d on d.organization_id = o.id
             and d.date between $2::date - 1 and $2::date + 1
         where o.id = $1"#,
        organization.0,
        now.date_naive(),
    )
    .fetch_all(&mut **tx)
    .await
    .during("usage.today")?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound).during("usage.today")?;
    let (date, active) = (local_date(now, zone_or_utc(&first.timezone)), first.active);
    let day = rows.iter().find(|row| row.date == Some(date)).and_then(|row| {
        Some(DayTotal {
            date,
            calls: row.calls?,
            completed: row.completed?,
            minutes: row.minutes?,
            seconds: row.seconds?,
            cost_micros: row.cost_micros?,
            sequence: row.sequence?,
        })
    });
    Ok((day.unwrap_or(DayTotal::none(date)), active))
}

/// Forgets days that no dashboard shows any more.
pub(crate) async fn trim(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), StoreError> {
    // A day is over everywhere a day after it is over in UTC.
    let oldest = now.date_naive() - KEPT - KEPT;
    query!("delete from day_totals where date < $1", oldest)
        .execute(&mut **tx)
        .await
        .map(drop)
        .during("usage.trim_days")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::{super::difference::ChangeKind, *};

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    #[test]
    fn a_call_that_moves_over_midnight_leaves_one_day_for_the_other() {
        let (evening, morning) = (at("2026-11-28T22:00:00Z"), at("2026-11-29T06:00:00Z"));
        let change = |quantity, occurred_at| Change {
            meter: Meter::CallMinutes,
            revision: 1,
            quantity,
            occurred_at,
            kind: ChangeKind::Moved,
        };
        let was = Some(Counted { occurred_at: evening, completed: true });
        let is = Some(Counted { occurred_at: morning, completed: false });
        let moved = [change(-3, evening), change(4, morning)];
        let days = differences(Tz::UTC, (was, is), &moved);
        let day = |calls, completed, minutes| Difference {
            calls,
            completed,
            minutes,
            ..Difference::default()
        };
        let days: Vec<Difference> = days.into_values().collect();
        assert_eq!(days, [day(-1, -1, -3), day(1, 0, 4)]);
        // In Auckland both lie on the 29th.
        let here = differences(Tz::Pacific__Auckland, (was, is), &moved);
        assert_eq!(here.into_values().collect::<Vec<_>>(), [day(0, -1, 1)]);
    }

    #[test]
    fn a_call_that_stays_as_it_was_changes_no_day() {
        let call = Some(Counted { occurred_at: at("2026-11-29T06:00:00Z"), completed: true });
        let days = differences(Tz::UTC, (call, call), &[]);
        assert!(days.into_values().all(|day| day == Difference::default()));
    }
}
