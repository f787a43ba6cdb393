//! Redis' counters written anew, whatever they said.

use chrono::{DateTime, Utc};
use contract::{
    ids::{OrganizationId, PeriodId},
    names::period_name,
};
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, counters::Counters, database::commit, error::During, usage};

const OPERATION: &str = "reconcile.rebuild";
/// Organizations whose periods are listed at a time.
const PAGE: i64 = 500;

/// How much was written anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Organizations that have periods.
    pub organizations: u32,
    /// Counters, one for each period.
    pub counters: u32,
}

/// Writes the counter of every period anew from Postgres, of one organization or of all.
///
/// Each is forgotten first and read after that, so whatever was told before is in what is read, and
/// what is told meanwhile is newer.
///
/// # Errors
/// Of the database or of Redis. What is done then is right; the rest is as it was.
pub async fn rebuild(
    db: &Database,
    counters: &Counters,
    organization: Option<OrganizationId>,
) -> Result<Rebuilt, StoreError> {
    let mut rebuilt = Rebuilt::default();
    let mut after = None;
    loop {
        let page = periods(db, organization, after).await?;
        let Some(last) = page.last() else { return Ok(rebuilt) };
        after = Some(last.0);
        let mut owner = None;
        for (organization, period, start) in page {
            counters.forget_usage(organization, &period_name(start)).await?;
            if let Some(total) = usage::totals_of(db, organization, period).await? {
                counters.project(&total).await?;
            }
            rebuilt.counters += 1;
            rebuilt.organizations += u32::from(owner.replace(organization) != Some(organization));
        }
        if organization.is_some() {
            return Ok(rebuilt);
        }
    }
}

/// Periods of the organization, or of the next ones, with their first instants.
async fn periods(
    db: &Database,
    organization: Option<OrganizationId>,
    after: Option<OrganizationId>,
) -> Result<Vec<(OrganizationId, PeriodId, DateTime<Utc>)>, StoreError> {
    let mut tx = db.billing().await?;
    let rows = query!(
        "select organization_id, id, period_start from billing_periods
         where organization_id = any(
             select o.id from organizations o
             where o.id > $1 and ($2::uuid is null or o.id = $2)
                 and exists (select from billing_periods p where p.organization_id = o.id)
             order by o.id limit $3)
         order by organization_id, period_start",
        after.map_or(Uuid::nil(), Uuid::from),
        organization.map(Uuid::from),
        PAGE,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let periods = rows
        .into_iter()
        .map(|row| (OrganizationId(row.organization_id), PeriodId(row.id), row.period_start));
    Ok(periods.collect())
}
