//! Revisions into the ledger, each into its period, with the totals beside it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contract::{
    calls::CallRef,
    usage::{Meter, THRESHOLDS},
};
use sqlx::query;
use uuid::Uuid;

use super::difference::Change;
use crate::{
    StoreError, alerts,
    database::Tx,
    error::During,
    periods::{self, Period},
};

/// Writes revisions and totals, and tells of thresholds that were passed.
pub(super) async fn write(
    tx: &mut Tx,
    call: CallRef,
    changes: &[Change],
    is_voided: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization = call.organization_id;
    let times: BTreeSet<DateTime<Utc>> = changes.iter().map(|change| change.occurred_at).collect();
    let mut booked: BTreeMap<DateTime<Utc>, (Period, bool)> = BTreeMap::new();
    for occurred_at in times {
        booked.insert(occurred_at, periods::for_usage(tx, organization, occurred_at, now).await?);
    }
    let mut rows = Rows::default();
    let mut minutes: BTreeMap<Uuid, i64> = BTreeMap::new();
    for change in changes {
        let Some((period, is_late)) = booked.get(&change.occurred_at) else { continue };
        let reason = match (is_voided, is_late) {
            (true, _) => "voided",
            (false, true) => "late",
            (false, false) => change.kind.as_str(),
        };
        rows.push(change, period, reason);
        if change.meter == Meter::CallMinutes {
            *minutes.entry(period.id.0).or_default() += change.quantity;
        }
    }
    let after = rows.insert(tx, call).await?;
    let periods: BTreeMap<Uuid, Period> =
        booked.into_values().map(|(period, _)| (period.id.0, period)).collect();
    for (id, difference) in minutes {
        let (Some(period), Some(total)) = (periods.get(&id), after.get(&id)) else { continue };
        let net = total.saturating_add(period.carried_minutes);
        if passes_threshold(period.included_minutes, net.saturating_sub(difference), net) {
            alerts::reached(tx, period, *total).await?;
        }
    }
    Ok(())
}

/// Whether a threshold of the included minutes lies after `before` and not after `after`.
fn passes_threshold(included: i64, before: i64, after: i64) -> bool {
    let share = |minutes: i64| i128::from(minutes) * 100;
    included > 0
        && THRESHOLDS.iter().any(|percent| {
            let threshold = i128::from(*percent) * i128::from(included);
            share(before) < threshold && threshold <= share(after)
        })
}

/// Rows of the ledger, as columns.
#[derive(Default)]
struct Rows {
    ids: Vec<Uuid>,
    meters: Vec<String>,
    revisions: Vec<i32>,
    quantities: Vec<i64>,
    occurred_at: Vec<DateTime<Utc>>,
    periods: Vec<Uuid>,
    reasons: Vec<String>,
}

impl Rows {
    fn push(&mut self, change: &Change, period: &Period, reason: &str) {
        self.ids.push(Uuid::now_v7());
        self.meters.push(change.meter.as_str().to_owned());
        self.revisions.push(change.revision);
        self.quantities.push(change.quantity);
        self.occurred_at.push(change.occurred_at);
        self.periods.push(period.id.0);
        self.reasons.push(reason.to_owned());
    }

    /// Inserts them and adds them to the totals. Gives the minutes of each period whose minutes
    /// changed.
    async fn insert(self, tx: &mut Tx, call: CallRef) -> Result<BTreeMap<Uuid, i64>, StoreError> {
        // In one order for all calls, or two that write the same totals could wait for each other.
        let totals = query!(
            "with change as (
                 select * from unnest($3::uuid[], $4::text[], $5::integer[], $6::bigint[],
                     $7::timestamptz[], $8::uuid[], $9::text[])
                     as c (id, meter, revision, quantity, occurred_at, period_id, reason)
             ), written as (
                 insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
                     occurred_at, period_id, reason)
                 select id, $1, $2, meter, revision, quantity, occurred_at, period_id, reason
                 from change
             )
             insert into usage_totals as t (organization_id, period_id, meter, total, sequence)
             select $1, period_id, meter, sum(quantity), 1 from change
             group by period_id, meter having sum(quantity) <> 0
             order by period_id, meter
             on conflict (organization_id, period_id, meter) do update
                 set total = t.total + excluded.total, sequence = t.sequence + 1
             returning period_id, meter, total",
            call.organization_id.0,
            call.call_id.0,
            &self.ids,
            &self.meters,
            &self.revisions,
            &self.quantities,
            &self.occurred_at,
            &self.periods,
            &self.reasons,
        )
        .fetch_all(&mut **tx)
        .await
        .during("usage.write")?;
        let minutes = totals.into_iter().filter(|row| row.meter == Meter::CallMinutes.as_str());
        Ok(minutes.map(|row| (row.period_id, row.total)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_passed_by_the_minute_that_reaches_it() {
        let passes = |before, after| passes_threshold(1000, before, after);
        assert!(!passes(0, 499));
        assert!(passes(499, 500));
        assert!(!passes(500, 501));
        assert!(passes(0, 5000));
        assert!(passes(999, 1000));
        assert!(!passes(1000, 2000));
        assert!(!passes(500, 400), "a correction takes minutes back");
        assert!(passes_threshold(3, 1, 2), "half of three is between");
        assert!(!passes_threshold(0, 0, 10), "no minutes are included");
    }
}
