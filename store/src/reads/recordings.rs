//! What is known of a call's audio.

use contract::ids::{CallId, OrganizationId};
use sqlx::query;

use crate::{Database, StoreError, database::commit, error::During};

/// A recording and where its audio lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// `pending`, `stored` or `failed`.
    pub status: String,
    /// Its key in object storage, once stored.
    pub path: Option<String>,
    /// Media type, as the provider said.
    pub content_type: Option<String>,
    /// Size in bytes.
    pub bytes: Option<u64>,
    /// SHA-256 in hex.
    pub sha256: Option<String>,
}

/// Reads what is known of a call's recording; none where there is no such call or no audio of it.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    call: CallId,
) -> Result<Option<Recording>, StoreError> {
    const OPERATION: &str = "reads.recordings.get";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select status, storage_path, content_type, bytes, sha256 from call_recordings
         where call_id = $1 and organization_id = $2",
        call.0,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map(|row| Recording {
        status: row.status,
        path: row.storage_path,
        content_type: row.content_type,
        bytes: row.bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        sha256: row.sha256.map(hex::encode),
    }))
}
