//! The one statement that reads calls, whichever and however many.

use chrono::{DateTime, Utc};
use contract::{
    call::CallStatus,
    ids::{CallId, OrganizationId},
    steps::StepRecord,
};
use serde_json::Value;
use sqlx::{query_as, types::Json};
use uuid::Uuid;

use super::{
    Place,
    calls::{Action, Call},
    recordings::Recording,
};
use crate::{StoreError, calls::word, database::Tx, error::During};

const OPERATION: &str = "reads.calls.read";

/// Which calls, of which range.
pub(super) struct Slice {
    pub(super) ids: Option<Vec<Uuid>>,
    pub(super) status: Option<CallStatus>,
    pub(super) assistant_id: Option<Uuid>,
    pub(super) from: DateTime<Utc>,
    pub(super) after: Place,
}

/// Reads at most `limit` calls, newest first.
///
/// The page is cut before anything is joined to it, so each join costs a page's worth of look-ups.
/// `created_at <= $3` says nothing that the row comparison does not, but prunes partitions.
pub(super) async fn read(
    tx: &mut Tx,
    organization: OrganizationId,
    slice: &Slice,
    limit: i64,
) -> Result<Vec<Call>, StoreError> {
    let rows = query_as!(
        Row,
        r#"select c.id, c.provider, c.provider_call_id, c.assistant_id, c.direction, c.status,
             c.outcome, c.from_number, c.to_number, c.started_at, c.ended_at, c.duration_seconds,
             c.billed_minutes, c.ended_reason, c.cost_usd::float8 as cost_usd, c.metadata,
             c.steps as "steps: Json<Vec<StepRecord>>", c.created_at, c.updated_at,
             t.summary as "summary?", r.status as "recording_status?",
             r.storage_path as "storage_path?", r.content_type as "content_type?",
             r.bytes as "bytes?", r.sha256 as "sha256?",
             (select jsonb_agg(jsonb_build_object('description', a.description, 'owner', a.owner,
                  'due_at', a.due_at, 'due_text', a.due_text, 'status', a.status)
                  order by a.position)
              from call_actions a
              where a.call_id = c.id and a.call_created_at = c.created_at
             ) as "actions: Json<Vec<Action>>"
         from (select * from calls
               where organization_id = $1 and created_at >= $2 and created_at <= $3
                 and (created_at, id) < ($3, $4)
                 and ($5::uuid[] is null or id = any($5))
                 and ($6::text is null or status = $6)
                 and ($7::uuid is null or assistant_id = $7)
               order by created_at desc, id desc limit $8) c
         left join call_transcripts t on t.call_id = c.id and t.call_created_at = c.created_at
         left join call_recordings r on r.call_id = c.id
         order by c.created_at desc, c.id desc"#,
        organization.0,
        slice.from,
        slice.after.at,
        slice.after.id,
        slice.ids.as_deref(),
        slice.status.map(CallStatus::as_str),
        slice.assistant_id,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    rows.into_iter().map(Row::into_call).collect()
}

struct Row {
    id: Uuid,
    provider: String,
    provider_call_id: String,
    assistant_id: Option<Uuid>,
    direction: Option<String>,
    status: String,
    outcome: Option<String>,
    from_number: Option<String>,
    to_number: Option<String>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    duration_seconds: Option<i32>,
    billed_minutes: Option<i32>,
    ended_reason: Option<String>,
    cost_usd: Option<f64>,
    metadata: Option<Value>,
    steps: Json<Vec<StepRecord>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    summary: Option<String>,
    recording_status: Option<String>,
    storage_path: Option<String>,
    content_type: Option<String>,
    bytes: Option<i64>,
    sha256: Option<Vec<u8>>,
    actions: Option<Json<Vec<Action>>>,
}

impl Row {
    fn into_call(self) -> Result<Call, StoreError> {
        Ok(Call {
            id: CallId(self.id),
            provider: word(OPERATION, &self.provider)?,
            provider_call_id: self.provider_call_id,
            assistant_id: self.assistant_id,
            direction: self.direction.map(|text| word(OPERATION, &text)).transpose()?,
            status: word(OPERATION, &self.status)?,
            outcome: self.outcome,
            from_number: self.from_number,
            to_number: self.to_number,
            started_at: self.started_at,
            ended_at: self.ended_at,
            duration_seconds: self.duration_seconds,
            billed_minutes: self.billed_minutes,
            ended_reason: self.ended_reason,
            cost_usd: self.cost_usd,
            summary: self.summary,
            recording: self.recording_status.map(|status| Recording {
                status,
                path: self.storage_path,
                content_type: self.content_type,
                bytes: self.bytes.and_then(|bytes| u64::try_from(bytes).ok()),
                sha256: self.sha256.map(hex::encode),
            }),
            actions: self.actions.map(|Json(actions)| actions).unwrap_or_default(),
            steps: self.steps.0,
            metadata: self.metadata,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
