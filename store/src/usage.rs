//! The ledger of minutes and its totals.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use contract::{calls::CallRef, ids::OrganizationId};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::{During, Problem},
};

/// Meter of billed minutes.
pub const CALL_MINUTES: &str = "call_minutes";

/// Makes the ledger say that a call used `minutes`, in the transaction that writes the call.
///
/// The first time a revision 0 is written, also for 0 minutes: proof that the call was counted. A
/// later difference is a compensating revision; no difference writes nothing.
pub(crate) async fn record(
    tx: &mut Tx,
    call: CallRef,
    minutes: u32,
    occurred_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "usage.record";
    let stored = query!(
        r#"select coalesce(sum(quantity), 0)::bigint as "quantity!",
             coalesce(max(revision) + 1, 0) as "revision!"
         from usage_ledger where organization_id = $1 and call_id = $2 and meter = $3"#,
        call.organization_id.0,
        call.call_id.0,
        CALL_MINUTES,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    let difference = i64::from(minutes) - stored.quantity;
    if difference == 0 && stored.revision > 0 {
        return Ok(());
    }
    let period = open_period(tx, call.organization_id).await?;
    let reason = if stored.revision == 0 { "call" } else { "correction" };
    query!(
        "insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
             occurred_at, period_id, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        Uuid::now_v7(),
        call.organization_id.0,
        call.call_id.0,
        CALL_MINUTES,
        stored.revision,
        difference,
        occurred_at,
        period,
        reason,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    query!(
        "insert into usage_totals as t (organization_id, period_id, meter, total, sequence)
         values ($1, $2, $3, $4, 1)
         on conflict (organization_id, period_id, meter) do update
             set total = t.total + excluded.total, sequence = t.sequence + 1",
        call.organization_id.0,
        period,
        CALL_MINUTES,
        difference,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)
    .map(drop)
}

/// The organization's open period; an organization without one gets the current month.
async fn open_period(tx: &mut Tx, organization: OrganizationId) -> Result<Uuid, StoreError> {
    const OPERATION: &str = "usage.open_period";
    // FOR SHARE: a close of the period waits until this transaction is through.
    let open = query!(
        "select id from billing_periods where organization_id = $1 and status = 'open' for share",
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    if let Some(row) = open {
        return Ok(row.id);
    }
    let (start, end) = month_of(Utc::now())
        .ok_or_else(|| StoreError::new(OPERATION, Problem::Invalid("the clock".to_owned())))?;
    let row = query!(
        "insert into billing_periods (id, organization_id, period_start, period_end, status,
             included_minutes)
         select $1, o.id, $3, $4, 'open', o.plan_minutes from organizations o where o.id = $2
         on conflict (organization_id) where status = 'open'
             do update set status = billing_periods.status
         returning id",
        Uuid::now_v7(),
        organization.0,
        start,
        end,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(row.id)
}

/// First instant of the month of `at` and of the next, in UTC.
fn month_of(at: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let first = NaiveDate::from_ymd_opt(at.year(), at.month(), 1)?;
    let next = first.checked_add_months(Months::new(1))?;
    Some((first.and_time(NaiveTime::MIN).and_utc(), next.and_time(NaiveTime::MIN).and_utc()))
}

/// A total as Redis is told of it.
#[derive(Debug, Clone)]
pub struct Total {
    /// Owner.
    pub organization_id: OrganizationId,
    /// First day of the period, which names it in the Redis key.
    pub period_start: DateTime<Utc>,
    /// Minutes used.
    pub total: i64,
    /// Counts the changes of `total`.
    pub sequence: i64,
}

/// The total of an organization's open period; none before its first call.
pub async fn current_total(
    db: &Database,
    organization: OrganizationId,
) -> Result<Option<Total>, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let total = current_total_in(&mut tx, organization).await?;
    commit(tx, "usage.current_total").await?;
    Ok(total)
}

pub(crate) async fn current_total_in(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Option<Total>, StoreError> {
    let row = query!(
        "select p.period_start, t.total, t.sequence from billing_periods p
         join usage_totals t on t.period_id = p.id and t.organization_id = p.organization_id
         where p.organization_id = $1 and p.status = 'open' and t.meter = $2",
        organization.0,
        CALL_MINUTES,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("usage.current_total")?;
    Ok(row.map(|row| Total {
        organization_id: organization,
        period_start: row.period_start,
        total: row.total,
        sequence: row.sequence,
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn december_ends_with_the_year() {
        let (start, end) = month_of("2026-12-31T23:59:59Z".parse().unwrap()).unwrap();
        assert_eq!(start.to_rfc3339(), "2026-12-01T00:00:00+00:00");
        assert_eq!(end.to_rfc3339(), "2027-01-01T00:00:00+00:00");
    }
}
