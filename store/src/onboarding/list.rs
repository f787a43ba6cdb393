//! Every organization of an installation, for who runs it.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use sqlx::query;

use crate::{Database, StoreError, database::commit, error::During};

/// Longest list.
pub const MOST_LISTED: u16 = 1000;

/// An organization in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: OrganizationId,
    /// Its name in URLs.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// IANA's name of its time zone.
    pub timezone: String,
    /// Name of its plan.
    pub plan: String,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Organizations in the order of their slugs, beginning after one: those that are there, or those that
/// were deleted.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &Database,
    after: Option<&str>,
    limit: u16,
    deleted: bool,
) -> Result<Vec<Listed>, StoreError> {
    const OPERATION: &str = "onboarding.list";
    let mut tx = db.billing().await?;
    let rows = query!(
        "select id, slug, name, timezone, plan, deleted_at from organizations
         where (deleted_at is not null) = $3 and slug > $1 order by slug limit $2",
        after.unwrap_or_default(),
        i64::from(limit.min(MOST_LISTED)),
        deleted,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let listed = rows.into_iter().map(|row| Listed {
        id: OrganizationId(row.id),
        slug: row.slug,
        name: row.name,
        timezone: row.timezone,
        plan: row.plan,
        deleted_at: row.deleted_at,
    });
    Ok(listed.collect())
}
