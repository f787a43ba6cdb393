//! All that is known of a call, on one clock.

use chrono::{DateTime, Utc};
use contract::ids::{CallId, OrganizationId};
use serde_json::Value;
use sqlx::query_file_as;
use uuid::Uuid;

use super::{Page, calls::created_at, one_more};
use crate::{Database, StoreError, database::commit, error::During};

/// Something that happened to a row about a call.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When. What has no clock of its own stands where the call was last changed.
    pub at: DateTime<Utc>,
    /// The row's table.
    pub source: String,
    /// The row's id; that of the call where it has none.
    pub id: Uuid,
    /// What happened: the same row tells of several things.
    pub what: String,
    /// More of it, free of what was said and of whom.
    pub details: Value,
}

/// The place of an entry.
#[derive(Debug, Clone)]
pub struct EntryPlace {
    /// Its time.
    pub at: DateTime<Utc>,
    /// Its table.
    pub source: String,
    /// Its row.
    pub id: Uuid,
    /// What happened.
    pub what: String,
}

/// A page of a call's entries, oldest first, but for those of the tables `without`; none where the
/// organization has no such call.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    call: CallId,
    after: Option<&EntryPlace>,
    without: &[String],
    limit: u16,
) -> Result<Option<Page<Entry>>, StoreError> {
    const OPERATION: &str = "reads.timeline.page";
    let mut tx = db.tenant(organization).await?;
    if created_at(&mut tx, organization, call).await?.is_none() {
        return Ok(None);
    }
    let entries = query_file_as!(
        Entry,
        "src/reads/timeline.sql",
        organization.0,
        call.0,
        after.map(|place| place.at),
        after.map(|place| place.source.as_str()),
        after.map(|place| place.id),
        after.map(|place| place.what.as_str()),
        one_more(limit),
        without,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Some(Page::cut(entries, limit)))
}
