//! API keys: known by their SHA-256 alone.

mod format;

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use sha2::{Digest, Sha256};
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, database::commit, error::During};

pub use format::{generate, is_well_formed};

/// A key that exists, with what it may do.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// Whose rows it shows.
    pub organization_id: OrganizationId,
    /// What it may do; empty means everything.
    pub scopes: Vec<String>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a key begins with, as lists show it: 10 characters say nothing of the other 39.
pub(crate) fn prefix(key: &str) -> String {
    key.chars().take(10).collect()
}

/// SHA-256 of a key, as the database keeps it.
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Finds a key by its SHA-256.
pub async fn find(db: &Database, hash: [u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    const OPERATION: &str = "keys.find";
    let mut tx = db.presented_key(hash).await?;
    let row = query!(
        "select id, organization_id, scopes, enabled, expires_at from api_keys where key_hash = $1",
        &hash,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map(|row| ApiKey {
        id: row.id,
        organization_id: OrganizationId(row.organization_id),
        scopes: row.scopes,
        enabled: row.enabled,
        expires_at: row.expires_at,
    }))
}
