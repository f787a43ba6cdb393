//! What is known of a call's audio; the audio itself lies in object storage.

use contract::{call::Provider, calls::CallRef, recording::ArchivedRecording};
use sqlx::query;

use crate::{Database, StoreError, calls::word, database::commit, error::During};

/// A recording to archive.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Who has the audio.
    pub provider: Provider,
    /// The provider's id of the call.
    pub provider_call_id: String,
    /// Where the provider said it lies; the first is tried first.
    pub urls: Vec<String>,
    /// What is stored already.
    pub stored: Option<ArchivedRecording>,
}

/// Reads what is known of a call's recording; none where the provider named none.
pub async fn get(db: &Database, call: CallRef) -> Result<Option<Recording>, StoreError> {
    const OPERATION: &str = "recordings.get";
    let mut tx = db.tenant(call.organization_id).await?;
    let row = query!(
        "select c.provider, c.provider_call_id, r.source_url, r.other_urls, r.status, r.bytes, r.sha256
         from call_recordings r
         join calls c on c.id = r.call_id and c.created_at = r.call_created_at
         where r.call_id = $1 and c.created_at = $2",
        call.call_id.0,
        call.created_at,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let Some(row) = row else { return Ok(None) };
    let stored = match (row.status.as_str(), row.bytes, row.sha256) {
        ("stored", Some(bytes), Some(sha256)) => Some(ArchivedRecording {
            bytes: u64::try_from(bytes).unwrap_or(0),
            sha256: hex::encode(sha256),
        }),
        _ => None,
    };
    Ok(Some(Recording {
        provider: word(OPERATION, &row.provider)?,
        provider_call_id: row.provider_call_id,
        urls: std::iter::once(row.source_url).chain(row.other_urls).collect(),
        stored,
    }))
}

/// Notes that the audio lies in object storage.
pub async fn stored(
    db: &Database,
    call: CallRef,
    path: &str,
    content_type: Option<&str>,
    archived: &ArchivedRecording,
) -> Result<(), StoreError> {
    const OPERATION: &str = "recordings.stored";
    let sha256 = hex::decode(&archived.sha256).unwrap_or_default();
    let mut tx = db.tenant(call.organization_id).await?;
    query!(
        "update call_recordings set status = 'stored', storage_path = $2, content_type = $3,
             bytes = $4, sha256 = $5, stored_at = now()
         where call_id = $1",
        call.call_id.0,
        path,
        content_type,
        i64::try_from(archived.bytes).unwrap_or(i64::MAX),
        sha256,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

/// Notes that the last try to archive failed; a later run tries only when asked to.
pub async fn failed(db: &Database, call: CallRef) -> Result<(), StoreError> {
    const OPERATION: &str = "recordings.failed";
    let mut tx = db.tenant(call.organization_id).await?;
    query!(
        "update call_recordings set status = 'failed' where call_id = $1 and status = 'pending'",
        call.call_id.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}
