//! The books side by side: calls, ledger, daily usage, totals, Redis, Stripe.
//!
//! A page of organizations is read with one statement per book, all in one snapshot, and compared in
//! plain code (`days`, `periods`). What differs is explained to the last unit or it is an alert.

mod bounds;
mod days;
mod explain;
mod periods;
mod read_days;
mod read_periods;
mod rebuild;
mod row;
mod tell;
mod void;

use chrono::{DateTime, NaiveDate, Utc};
use contract::{ids::OrganizationId, names::period_name};
use sqlx::query;
use uuid::Uuid;

use self::{
    bounds::Zoned,
    periods::{Counter, Healing, PeriodBooks},
    read_periods::Projections,
};
use crate::{
    Database, StoreError,
    counters::Counters,
    database::{Tx, commit},
    error::During,
    usage,
};

pub use explain::{
    BookedPeriod, BookedRow, CallFigures, DayFigures, ReportOfPeriod, Story, ToldEvent, Voided,
    explain,
};
pub use rebuild::{Rebuilt, rebuild};
pub use row::{Books, Explanation, Measure, Reason, Row, Scope};
pub use tell::{RECONCILE_FAILED, tell};
pub use void::{VoidOutcome, void};

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// First local day of each organization.
    pub from: NaiveDate,
    /// Last local day, included. Periods that share a day with the range are compared whole.
    pub to: NaiveDate,
    /// The time.
    pub now: DateTime<Utc>,
    /// Also rows in which all books agree.
    pub all: bool,
}

/// Compares the books of one organization. What Redis lacks is projected again. An organization that
/// does not exist has no rows.
pub async fn of_organization(
    db: &Database,
    counters: &Counters,
    organization: OrganizationId,
    look: Look,
) -> Result<Books, StoreError> {
    compare_one(db, Some(counters), organization, look).await
}

/// The same without Redis, whose counters are no book of their own.
pub async fn without_counters(
    db: &Database,
    organization: OrganizationId,
    look: Look,
) -> Result<Books, StoreError> {
    compare_one(db, None, organization, look).await
}

async fn compare_one(
    db: &Database,
    counters: Option<&Counters>,
    organization: OrganizationId,
    look: Look,
) -> Result<Books, StoreError> {
    const OPERATION: &str = "reconcile.of_organization";
    let mut tx = db.tenant(organization).await?;
    let zones = query!("select id, timezone from organizations where id = $1", organization.0)
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
    let zones = zones.into_iter().map(|row| (OrganizationId(row.id), row.timezone)).collect();
    let zoned = Zoned::new(zones, look);
    let projected = projections(&mut tx, counters, &zoned).await?;
    commit(tx, OPERATION).await?;
    let tx = db.tenant(organization).await?;
    compare(db, tx, counters, &zoned, &projected, look).await
}

/// Compares the books of at most `limit` organizations, in the order of their ids, after `after`.
pub async fn page(
    db: &Database,
    counters: &Counters,
    after: Option<OrganizationId>,
    limit: u16,
    look: Look,
) -> Result<Books, StoreError> {
    const OPERATION: &str = "reconcile.page";
    let mut tx = db.billing().await?;
    // Deleted ones too: what they used is still to be paid for.
    let zones = query!(
        "select id, timezone from organizations where id > $1 order by id limit $2",
        after.map_or(Uuid::nil(), Uuid::from),
        i64::from(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    let is_full = zones.len() >= usize::from(limit);
    let next = zones.last().map(|row| OrganizationId(row.id)).filter(|_| is_full);
    let zones = zones.into_iter().map(|row| (OrganizationId(row.id), row.timezone)).collect();
    let zoned = Zoned::new(zones, look);
    let projected = projections(&mut tx, Some(counters), &zoned).await?;
    commit(tx, OPERATION).await?;
    let tx = db.billing().await?;
    let books = compare(db, tx, Some(counters), &zoned, &projected, look).await?;
    Ok(Books { next, ..books })
}

/// What Redis says, asked before the snapshot is taken: from then on Postgres can only be ahead of it,
/// so a sequence that is greater than Postgres' own is nobody's word.
async fn projections(
    tx: &mut Tx,
    counters: Option<&Counters>,
    zoned: &Zoned,
) -> Result<Projections, StoreError> {
    let mut projected = Projections::new();
    let Some(counters) = counters else { return Ok(projected) };
    for (organization, start) in read_periods::starts(tx, zoned).await? {
        match counters.stored(organization, &period_name(start)).await {
            Ok(stored) => projected.extend(stored.map(|stored| ((organization, start), stored))),
            Err(error) => {
                tracing::warn!(error = error.operation_failed(), "a counter cannot be compared");
                // Redis is no book of its own: it is filled again once it is back.
                if counters.ping().await.is_err() {
                    break;
                }
            }
        }
    }
    Ok(projected)
}

async fn compare(
    db: &Database,
    mut tx: Tx,
    counters: Option<&Counters>,
    zoned: &Zoned,
    projected: &Projections,
    look: Look,
) -> Result<Books, StoreError> {
    const OPERATION: &str = "reconcile.compare";
    // One snapshot: a call that is written between two of the statements would be a difference.
    query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    let days = read_days::read(&mut tx, zoned).await?;
    let periods = read_periods::read(&mut tx, zoned).await?;
    commit(tx, OPERATION).await?;
    let mut rows = Vec::new();
    let is_shown = |row: &Row| look.all || !row.is_equal();
    for (organization, days) in days {
        for day in days {
            rows.extend(days::rows(organization, &day, look.now).into_iter().filter(is_shown));
        }
    }
    let mut is_down = false;
    for period in periods {
        let stored = projected.get(&(period.organization_id, period.span.start)).copied();
        let counter = match counters {
            None => Counter::NotAsked,
            Some(counters) => {
                let healing = match period.lags(stored) {
                    false => Healing::Done,
                    true if is_down => Healing::Down,
                    true => heal(db, counters, &period).await?,
                };
                is_down |= healing == Healing::Down;
                Counter::Asked { stored, healing }
            }
        };
        rows.extend(periods::rows(&period, counter, look.now).into_iter().filter(is_shown));
    }
    rows.sort_by_key(|row| (row.organization_id, row.scope, row.measure));
    Ok(Books { organizations: zoned.organizations(), rows, next: None })
}

/// Tells Redis what it lacks, and looks whether it took it.
async fn heal(
    db: &Database,
    counters: &Counters,
    period: &PeriodBooks,
) -> Result<Healing, StoreError> {
    let organization = period.organization_id;
    let Some(total) = usage::totals_of(db, organization, period.id).await? else {
        return Ok(Healing::Refused);
    };
    let told = counters.project(&total).await;
    let stored = counters.stored(organization, &period_name(period.span.start)).await;
    Ok(match (told, stored) {
        (Ok(()), Ok(Some(stored))) if stored.sequence >= total.sequence => Healing::Done,
        _ if counters.ping().await.is_err() => Healing::Down,
        _ => Healing::Refused,
    })
}
