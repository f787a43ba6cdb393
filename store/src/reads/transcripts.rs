//! Transcripts of single calls.

use contract::ids::{CallId, OrganizationId};
use serde_json::Value;
use sqlx::query;

use crate::{Database, StoreError, database::commit, error::During};

/// What was said on a call.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// The whole text.
    pub text: String,
    /// Who said what when, in the provider's own form.
    pub messages: Option<Value>,
    /// The provider's summary.
    pub summary: Option<String>,
}

/// Reads a transcript; none where there is no such call or none of it yet.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    call: CallId,
) -> Result<Option<Transcript>, StoreError> {
    const OPERATION: &str = "reads.transcripts.get";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select t.transcript_text, t.messages, t.summary from call_keys k
         join call_transcripts t on t.call_id = k.call_id and t.call_created_at = k.created_at
         where k.call_id = $1 and k.organization_id = $2",
        call.0,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map(|row| Transcript {
        text: row.transcript_text,
        messages: row.messages,
        summary: row.summary,
    }))
}
