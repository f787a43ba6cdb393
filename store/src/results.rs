//! What extractors found in transcripts.

use chrono::{DateTime, Utc};
use contract::{calls::CallRef, extraction::ExtractionStatus};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    calls::word,
    database::{Tx, commit},
    error::During,
};

/// Which extractor read which transcript.
#[derive(Debug, Clone, Copy)]
pub struct ExtractionKey<'a> {
    /// Name of the extractor.
    pub extractor: &'a str,
    /// Its version: a new one reads every transcript anew.
    pub version: i32,
    /// SHA-256 of the transcript.
    pub transcript_sha256: [u8; 32],
}

/// What an extractor found.
#[derive(Debug, Clone)]
pub struct Extraction<'a> {
    /// How it ended.
    pub status: ExtractionStatus,
    /// The model that answered, or `rules`.
    pub model: &'a str,
    /// What it answered, valid for the extractor's schema.
    pub data: Option<&'a Value>,
    /// The action items in it.
    pub actions: &'a [Action],
}

/// Something that was agreed on a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What is to be done.
    pub description: String,
    /// Who does it, where it was said.
    pub owner: Option<String>,
    /// Until when, where an instant was named.
    pub due_at: Option<DateTime<Utc>>,
    /// Until when, as it was said.
    pub due_text: Option<String>,
}

/// The stored result of an extraction; none where it was never made or failed.
pub async fn find(
    db: &Database,
    call: CallRef,
    key: ExtractionKey<'_>,
) -> Result<Option<(ExtractionStatus, u32)>, StoreError> {
    const OPERATION: &str = "results.find";
    let mut tx = db.tenant(call.organization_id).await?;
    let row = query!(
        r#"select r.status, (select count(*) from call_actions a
               where a.call_id = $1 and a.call_created_at = $5) as "actions!"
           from call_results r where r.call_id = $1 and r.extractor = $2
             and r.extractor_version = $3 and r.transcript_sha256 = $4 and r.status <> 'failed'"#,
        call.call_id.0,
        key.extractor,
        key.version,
        &key.transcript_sha256,
        call.created_at,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    row.map(|row| {
        Ok((word(OPERATION, &row.status)?, u32::try_from(row.actions).unwrap_or(u32::MAX)))
    })
    .transpose()
}

/// Stores what an extractor found; the call's open actions become the found ones.
pub async fn save(
    db: &Database,
    call: CallRef,
    key: ExtractionKey<'_>,
    found: &Extraction<'_>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "results.save";
    let mut tx = db.tenant(call.organization_id).await?;
    query!(
        "insert into call_results (id, call_id, call_created_at, organization_id, extractor,
             extractor_version, transcript_sha256, structured_data, extraction_model,
             extraction_timestamp, status)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), $10)
         on conflict (call_id, extractor, extractor_version, transcript_sha256) do update set
             structured_data = excluded.structured_data,
             extraction_model = excluded.extraction_model,
             extraction_timestamp = excluded.extraction_timestamp, status = excluded.status
         where call_results.status = 'failed'",
        Uuid::now_v7(),
        call.call_id.0,
        call.created_at,
        call.organization_id.0,
        key.extractor,
        key.version,
        &key.transcript_sha256,
        found.data,
        found.model,
        found.status.as_str(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    if found.status != ExtractionStatus::Failed {
        replace_actions(&mut tx, call, found.actions).await?;
    }
    commit(tx, OPERATION).await
}

/// Notes that the last try at an extraction failed; a later run tries only when asked to.
pub async fn failed(
    db: &Database,
    call: CallRef,
    key: ExtractionKey<'_>,
) -> Result<(), StoreError> {
    let nothing =
        Extraction { status: ExtractionStatus::Failed, model: "none", data: None, actions: &[] };
    save(db, call, key, &nothing).await
}

async fn replace_actions(tx: &mut Tx, call: CallRef, actions: &[Action]) -> Result<(), StoreError> {
    const OPERATION: &str = "results.replace_actions";
    query!(
        "delete from call_actions where call_id = $1 and call_created_at = $2 and status = 'open'",
        call.call_id.0,
        call.created_at,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    for (position, action) in (0_i32..).zip(actions) {
        query!(
            "insert into call_actions (id, call_id, call_created_at, organization_id, position,
                 description, owner, due_at, due_text)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             on conflict (call_id, call_created_at, position) do nothing",
            Uuid::now_v7(),
            call.call_id.0,
            call.created_at,
            call.organization_id.0,
            position,
            action.description,
            action.owner,
            action.due_at,
            action.due_text,
        )
        .execute(&mut **tx)
        .await
        .during(OPERATION)?;
    }
    Ok(())
}

/// The call's action items, in their order.
pub(crate) async fn actions_in(tx: &mut Tx, call: CallRef) -> Result<Vec<Action>, StoreError> {
    let rows = query!(
        "select description, owner, due_at, due_text from call_actions
         where call_id = $1 and call_created_at = $2 order by position",
        call.call_id.0,
        call.created_at,
    )
    .fetch_all(&mut **tx)
    .await
    .during("results.actions")?;
    Ok(rows
        .into_iter()
        .map(|row| Action {
            description: row.description,
            owner: row.owner,
            due_at: row.due_at,
            due_text: row.due_text,
        })
        .collect())
}
