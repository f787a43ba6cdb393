//! A key that is presented, before anything is known of who presents it.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use sqlx::query;
use uuid::Uuid;

use super::Scopes;
use crate::{Database, StoreError, database::commit, error::During};

/// A key that exists, with what it may do.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// Whose rows it shows.
    pub organization_id: OrganizationId,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it may be used.
    pub enabled: bool,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
    /// Until when it works beside the one that took its place; none where it is the current one.
    pub replaced_until: Option<DateTime<Utc>>,
    /// Requests an hour.
    pub rate_limit: Option<u32>,
    /// Requests in all.
    pub usage_quota: Option<i64>,
    /// Requests so far, but for those that processes have not written yet.
    pub usage_count: i64,
}

/// Finds a key by its SHA-256, also one that was replaced. None where its organization was deleted.
pub async fn find(db: &Database, hash: [u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    const OPERATION: &str = "keys.find";
    let mut tx = db.presented_key(hash).await?;
    let row = query!(
        r#"select k.id, k.organization_id, k.scopes, k.enabled, k.expires_at, k.rate_limit,
               k.usage_quota, k.usage_count,
               case when k.key_hash <> $1 then k.previous_ends_at end as replaced_until
           from api_keys k join organizations o on o.id = k.organization_id
           where (k.key_hash = $1 or k.previous_hash = $1) and o.deleted_at is null"#,
        &hash,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map(|row| ApiKey {
        id: row.id,
        organization_id: OrganizationId(row.organization_id),
        scopes: Scopes::of(row.scopes),
        enabled: row.enabled,
        expires_at: row.expires_at,
        replaced_until: row.replaced_until,
        rate_limit: row.rate_limit.and_then(|limit| u32::try_from(limit).ok()),
        usage_quota: row.usage_quota,
        usage_count: row.usage_count,
    }))
}
