//! Reports that Stripe has taken: what it has counted is compared with them.

use chrono::{DateTime, Utc};
use contract::period::Span;
use sqlx::query;
use uuid::Uuid;

use super::claim::minute_of;
use crate::{Database, StoreError, database::commit, error::During};

/// A report that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedReport {
    /// Its id; reports are listed in this order.
    pub id: Uuid,
    /// The identifier of the meter event.
    pub identifier: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// Name of the meter's events.
    pub event_name: String,
    /// The minute that it was reported for.
    pub minute: Span,
    /// Minutes of all reports that were taken for the same customer, meter and minute.
    pub together: i64,
}

/// At most `limit` reports of any organization that were taken after `since`, after one of them.
///
/// # Errors
/// When the database fails.
pub async fn accepted(
    db: &Database,
    since: DateTime<Utc>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AcceptedReport>, StoreError> {
    const OPERATION: &str = "billing.accepted";
    let mut tx = db.billing().await?;
    let rows = query!(
        r#"select r.id, r.identifier, r.customer, r.event_name, r.reported_for,
             (select sum(o.quantity)::bigint from stripe_reports o
              where o.organization_id = r.organization_id and o.state = 'accepted'
                  and o.customer = r.customer and o.event_name = r.event_name
                  and date_trunc('minute', o.reported_for) = date_trunc('minute', r.reported_for))
                 as "together!"
         from stripe_reports r
         where r.state = 'accepted' and r.settled_at > $1 and r.id > $2
         order by r.id limit $3"#,
        since,
        after.unwrap_or_default(),
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let reports = rows.into_iter().map(|row| AcceptedReport {
        id: row.id,
        identifier: row.identifier,
        customer: row.customer,
        event_name: row.event_name,
        minute: minute_of(row.reported_for),
        together: row.together,
    });
    Ok(reports.collect())
}
