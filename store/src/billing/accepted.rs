//! Reports that Stripe has taken: what it has counted is compared with them.

use chrono::{DateTime, Utc};
use contract::{ids::OrganizationId, period::Span};
use sqlx::query;
use uuid::Uuid;

use super::claim::minute_of;
use crate::{Database, StoreError, database::commit, error::During};

/// A report that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedReport {
    /// Its id; reports are listed in this order.
    pub id: Uuid,
    /// Whose usage.
    pub organization_id: OrganizationId,
    /// The identifier of the meter event.
    pub identifier: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// Name of the meter's events.
    pub event_name: String,
    /// Minutes.
    pub quantity: i64,
    /// The minute that it was reported for.
    pub minute: Span,
    /// Minutes of all reports that were taken for the same customer, meter and minute.
    pub together: i64,
    /// Further reports for these that are being sent, or were taken too lately to be counted for sure.
    pub under_way: i64,
}

/// Which reports that were taken are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Taken after its start, and not after its end.
    pub within: Span,
    /// Also those that were seen counted as they were told.
    pub also_counted: bool,
}

/// At most `limit` reports of any organization that were taken, after one of them.
///
/// # Errors
/// When the database fails.
pub async fn accepted(
    db: &Database,
    taken: Taken,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AcceptedReport>, StoreError> {
    const OPERATION: &str = "billing.accepted";
    let mut tx = db.billing().await?;
    let rows = query!(
        r#"select r.id, r.organization_id, r.identifier, r.customer, r.event_name, r.quantity,
             r.reported_for, s.together as "together!", s.under_way as "under_way!"
         from stripe_reports r
         cross join lateral (
             select coalesce(sum(o.quantity) filter (where o.state = 'accepted'), 0)::bigint
                     as together,
                 count(*) filter (where o.state = 'sending'
                     or o.state = 'accepted' and o.settled_at > $2) as under_way
             from stripe_reports o
             where o.organization_id = r.organization_id and o.customer = r.customer
                 and o.event_name = r.event_name
                 and date_trunc('minute', o.reported_for) = date_trunc('minute', r.reported_for)
         ) s
         where r.state = 'accepted' and ($3 or r.counted_minutes is distinct from r.quantity)
             and r.settled_at > $1 and r.settled_at <= $2 and r.id > $4
         order by r.id limit $5"#,
        taken.within.start,
        taken.within.end,
        taken.also_counted,
        after.unwrap_or_default(),
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let reports = rows.into_iter().map(|row| AcceptedReport {
        id: row.id,
        organization_id: OrganizationId(row.organization_id),
        identifier: row.identifier,
        customer: row.customer,
        event_name: row.event_name,
        quantity: row.quantity,
        minute: minute_of(row.reported_for),
        together: row.together,
        under_way: row.under_way,
    });
    Ok(reports.collect())
}

/// Writes down how many minutes of a report Stripe has counted. False where that was known, or the
/// report is not an accepted one any more.
///
/// # Errors
/// When the database fails.
pub async fn note_counted(
    db: &Database,
    report: &AcceptedReport,
    minutes: i64,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "billing.note_counted";
    let mut tx = db.tenant(report.organization_id).await?;
    let updated = query!(
        "update stripe_reports set counted_minutes = $3, counted_at = $4
         where organization_id = $1 and id = $2 and state = 'accepted'
             and counted_minutes is distinct from $3",
        report.organization_id.0,
        report.id,
        minutes,
        now,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(updated.rows_affected() > 0)
}
