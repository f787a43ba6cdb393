//! What extractors found in a call.

use chrono::{DateTime, Utc};
use contract::ids::{CallId, OrganizationId};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::calls::created_at;
use crate::{Database, StoreError, database::commit, error::During};

/// A call has one row per extractor, version and transcript; more than this is nobody's plan.
const MAX_RESULTS: i64 = 100;

/// What one extractor found.
#[derive(Debug, Clone)]
pub struct CallResult {
    /// Its id.
    pub id: Uuid,
    /// Name of the extractor.
    pub extractor: String,
    /// Its version.
    pub extractor_version: i32,
    /// `ok`, `empty`, `failed` or `skipped`.
    pub status: String,
    /// What it found, in its own schema.
    pub structured_data: Option<Value>,
    /// The model that answered, or `rules`.
    pub extraction_model: Option<String>,
    /// 0 to 1.
    pub extraction_confidence: Option<f64>,
    /// When it answered.
    pub extraction_timestamp: Option<DateTime<Utc>>,
    /// -1 to 1.
    pub sentiment_score: Option<f64>,
    /// 0 to 1.
    pub call_quality_score: Option<f64>,
    /// When the row was written.
    pub created_at: DateTime<Utc>,
}

/// The results of a call, newest first; none where there is no such call.
pub async fn of_call(
    db: &Database,
    organization: OrganizationId,
    call: CallId,
) -> Result<Option<Vec<CallResult>>, StoreError> {
    const OPERATION: &str = "reads.results.of_call";
    let mut tx = db.tenant(organization).await?;
    if created_at(&mut tx, organization, call).await?.is_none() {
        return Ok(None);
    }
    let rows = query!(
        "select id, extractor, extractor_version, status, structured_data, extraction_model,
             extraction_confidence::float8 as extraction_confidence, extraction_timestamp,
             sentiment_score::float8 as sentiment_score,
             call_quality_score::float8 as call_quality_score, created_at
         from call_results where call_id = $1 and organization_id = $2
         order by created_at desc, id desc limit $3",
        call.0,
        organization.0,
        MAX_RESULTS,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let results = rows.into_iter().map(|row| CallResult {
        id: row.id,
        extractor: row.extractor,
        extractor_version: row.extractor_version,
        status: row.status,
        structured_data: row.structured_data,
        extraction_model: row.extraction_model,
        extraction_confidence: row.extraction_confidence,
        extraction_timestamp: row.extraction_timestamp,
        sentiment_score: row.sentiment_score,
        call_quality_score: row.call_quality_score,
        created_at: row.created_at,
    });
    Ok(Some(results.collect()))
}
