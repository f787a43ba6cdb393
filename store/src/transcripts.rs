//! Transcripts and their full-text search.

use contract::{calls::CallRef, merge::CallFacts};
use sqlx::query;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// Writes the transcript as the fold tells it. Returns its text.
pub(crate) async fn upsert(
    tx: &mut Tx,
    call: CallRef,
    facts: &CallFacts,
) -> Result<Option<String>, StoreError> {
    let text = facts.transcript.clone().unwrap_or_default();
    if text.is_empty() && facts.messages.is_none() && facts.summary.is_none() {
        return Ok(None);
    }
    query!(
        "insert into call_transcripts (call_id, call_created_at, organization_id, transcript_text,
             messages, summary, search_vector)
         values ($1, $2, $3, $4, $5, $6, transcript_vector($4))
         on conflict (call_id, call_created_at) do update set
             transcript_text = excluded.transcript_text, messages = excluded.messages,
             summary = excluded.summary, search_vector = excluded.search_vector
         where (call_transcripts.transcript_text, call_transcripts.messages,
                 call_transcripts.summary)
             is distinct from (excluded.transcript_text, excluded.messages, excluded.summary)",
        call.call_id.0,
        call.created_at,
        call.organization_id.0,
        text,
        facts.messages,
        facts.summary,
    )
    .execute(&mut **tx)
    .await
    .during("transcripts.upsert")?;
    Ok(Some(text))
}

/// What extraction and notifications read of a call.
#[derive(Debug, Clone)]
pub struct Talk {
    /// The whole transcript, perhaps empty.
    pub text: String,
    /// The provider's summary.
    pub summary: Option<String>,
}

/// Reads a call's transcript; none where the provider sent none.
pub async fn get(db: &Database, call: CallRef) -> Result<Option<Talk>, StoreError> {
    const OPERATION: &str = "transcripts.get";
    let mut tx = db.tenant(call.organization_id).await?;
    let row = query!(
        "select transcript_text, summary from call_transcripts
         where call_id = $1 and call_created_at = $2",
        call.call_id.0,
        call.created_at,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map(|row| Talk { text: row.transcript_text, summary: row.summary }))
}
