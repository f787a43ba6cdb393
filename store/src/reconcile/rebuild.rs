//! Redis' counters written anew, whatever they said.

use contract::{
    ids::{OrganizationId, PeriodId},
    names::period_name,
};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use secrecy::{ExposeSecret, SecretString};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    counters::Counters,
    database::commit,
    error::{During, Problem},
    usage,
};

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
    redis_url: &SecretString,
    organization: Option<OrganizationId>,
) -> Result<Rebuilt, StoreError> {
    let counters = Counters::new(redis_url)?;
    let mut redis = connect(redis_url).await?;
    let mut rebuilt = Rebuilt::default();
    let mut after = None;
    loop {
        let page = periods(db, organization, after).await?;
        let Some(last) = page.last() else { return Ok(rebuilt) };
        after = Some(last.0);
        let mut owner = None;
        for (organization, period, key) in page {
            redis.del::<_, ()>(key).await.during(OPERATION)?;
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

async fn connect(redis_url: &SecretString) -> Result<MultiplexedConnection, StoreError> {
    let client = redis::Client::open(redis_url.expose_secret()).map_err(|_| {
        // The parser's text may hold the password.
        let rule = "REDIS_URL is not a redis:// URL".to_owned();
        StoreError::new(OPERATION, Problem::Invalid(rule))
    })?;
    client.get_multiplexed_async_connection().await.during(OPERATION)
}

/// Periods of the organization, or of the next ones, with the keys of their counters.
async fn periods(
    db: &Database,
    organization: Option<OrganizationId>,
    after: Option<OrganizationId>,
) -> Result<Vec<(OrganizationId, PeriodId, String)>, StoreError> {
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
    let periods = rows.into_iter().map(|row| {
        let organization = OrganizationId(row.organization_id);
        let key = format!("org:{organization}:usage:{}", period_name(row.period_start));
        (organization, PeriodId(row.id), key)
    });
    Ok(periods.collect())
}
