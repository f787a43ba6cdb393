//! Totals of periods, as Redis is told of them.

use chrono::{DateTime, Utc};
use contract::ids::{OrganizationId, PeriodId};
use sqlx::query_as;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// What an organization used in a period, as Redis is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Owner.
    pub organization_id: OrganizationId,
    /// The period.
    pub period_id: PeriodId,
    /// First instant of the period, which names it in the Redis key.
    pub period_start: DateTime<Utc>,
    /// Billed minutes.
    pub minutes: i64,
    /// Seconds.
    pub seconds: i64,
    /// Millionths of a US dollar.
    pub cost_micros: i64,
    /// Counts the changes of the three: of two totals of a period the greater one is newer.
    pub sequence: i64,
}

struct Row {
    organization_id: Uuid,
    period_id: Uuid,
    period_start: DateTime<Utc>,
    minutes: i64,
    seconds: i64,
    cost_micros: i64,
    sequence: i64,
}

impl From<Row> for Total {
    fn from(row: Row) -> Self {
        Self {
            organization_id: OrganizationId(row.organization_id),
            period_id: PeriodId(row.period_id),
            period_start: row.period_start,
            minutes: row.minutes,
            seconds: row.seconds,
            cost_micros: row.cost_micros,
            sequence: row.sequence,
        }
    }
}

/// Totals of the periods that the rest of the statement chooses, by organization and time. A period
/// that nothing was counted in is 0.
macro_rules! totals {
    ($tx:expr, $operation:expr, $chosen:tt, $($argument:expr),+ $(,)?) => {
        query_as!(
            Row,
            r#"select p.organization_id, p.id as period_id, p.period_start,
                 coalesce(sum(t.total) filter (where t.meter = 'call_minutes'), 0)::bigint
                     as "minutes!",
                 coalesce(sum(t.total) filter (where t.meter = 'call_seconds'), 0)::bigint
                     as "seconds!",
                 coalesce(sum(t.total) filter (where t.meter = 'call_cost'), 0)::bigint
                     as "cost_micros!",
                 coalesce(sum(t.sequence), 0)::bigint as "sequence!"
             from billing_periods p
             left join usage_totals t
                 on t.organization_id = p.organization_id and t.period_id = p.id
             where "# + $chosen + " group by p.id order by p.organization_id, p.period_start",
            $($argument),+
        )
        .fetch_all(&mut **$tx)
        .await
        .during($operation)
        .map(|rows| rows.into_iter().map(Total::from).collect::<Vec<_>>())
    };
}

/// The total of a period, whatever its status.
pub async fn totals_of(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
) -> Result<Option<Total>, StoreError> {
    const OPERATION: &str = "usage.totals_of";
    let mut tx = db.tenant(organization).await?;
    let totals = totals!(
        &mut tx,
        OPERATION,
        "p.organization_id = $1 and p.id = $2",
        organization.0,
        period.0,
    )?;
    commit(tx, OPERATION).await?;
    Ok(totals.into_iter().next())
}

/// The totals that a call may have changed: of the organization's open period, and of those that are
/// over and not closed.
pub async fn unprojected_totals(
    db: &Database,
    organization: OrganizationId,
) -> Result<Vec<Total>, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let totals = unprojected_totals_in(&mut tx, organization).await?;
    commit(tx, "usage.unprojected_totals").await?;
    Ok(totals)
}

pub(crate) async fn unprojected_totals_in(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Vec<Total>, StoreError> {
    totals!(
        tx,
        "usage.unprojected_totals",
        "p.organization_id = $1 and p.status <> 'closed'",
        organization.0,
    )
}

/// The same of the next `limit` organizations after `after`, in the order of their ids. The last one
/// of the answer is where the next page begins; an empty answer is the end.
pub async fn totals_page(
    db: &Database,
    after: Option<OrganizationId>,
    limit: i64,
) -> Result<Vec<Total>, StoreError> {
    const OPERATION: &str = "usage.totals_page";
    let mut tx = db.billing().await?;
    let totals = totals!(
        &mut tx,
        OPERATION,
        "p.status <> 'closed' and p.organization_id in (
             select distinct organization_id from billing_periods
             where status <> 'closed' and organization_id > $1
             order by organization_id limit $2)",
        after.map_or(Uuid::nil(), Uuid::from),
        limit,
    )?;
    commit(tx, OPERATION).await?;
    Ok(totals)
}
