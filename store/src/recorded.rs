//! What a call's row says, as one more event of its fold: raw bodies age out, and a later release may
//! not understand one, but nothing that was told is forgotten.

use chrono::TimeDelta;
use contract::{
    call::{EventKind, Provider},
    merge::{CallEvent, CallFacts},
};
use sqlx::query;

use crate::{
    StoreError,
    calls::{CallIdentity, word},
    database::Tx,
    error::During,
    inbox::{Folded, StoredEvent},
};

/// Events carry the call's own times; the row is a moment older than any of them.
const JUST_BEFORE: TimeDelta = TimeDelta::milliseconds(1);

/// Folds stored events, and the row where it is given.
pub trait Fold: Fn(Provider, &[StoredEvent], Option<&CallEvent>) -> Folded + Send {}

impl<F> Fold for F where F: Fn(Provider, &[StoredEvent], Option<&CallEvent>) -> Folded + Send {}

/// Folds a call's events, and its row too if one of them can no longer be read.
pub(crate) async fn fold_whole(
    tx: &mut Tx,
    identity: CallIdentity<'_>,
    stored: &[StoredEvent],
    fold: impl Fold,
) -> Result<CallFacts, StoreError> {
    let folded = fold(identity.provider, stored, None);
    let Some(hole) = folded.hole else { return Ok(folded.facts) };
    let row = row(tx, identity, hole).await?;
    Ok(fold(identity.provider, stored, row.as_ref()).facts)
}

/// The row as an event: it stands in for those that cannot be read, so it knows as much as the most
/// telling of them, and what can still be read wins over it.
async fn row(
    tx: &mut Tx,
    identity: CallIdentity<'_>,
    kind: EventKind,
) -> Result<Option<CallEvent>, StoreError> {
    const OPERATION: &str = "recorded.row";
    let row = query!(
        r#"select c.status, c.direction, c.from_number, c.to_number, c.started_at, c.ended_at,
             c.duration_seconds, c.duration_flag, c.ended_reason, c.cost_usd, c.metadata, c.created_at,
             a.provider_assistant_id as "assistant?",
             p.provider_phone_number_id as "phone_number?", t.transcript_text as "transcript?",
             t.messages as "messages?", t.summary as "summary?"
         from call_keys k
         join calls c on c.id = k.call_id and c.created_at = k.created_at
         left join assistants a on a.id = c.assistant_id
         left join phone_numbers p on p.id = c.phone_number_id
         left join call_transcripts t
             on t.call_id = c.id and t.call_created_at = c.created_at
         where k.call_id = $1"#,
        identity.call_id.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    let Some(row) = row else { return Ok(None) };
    let facts = CallFacts {
        status: Some(word(OPERATION, &row.status)?),
        direction: row.direction.map(|direction| word(OPERATION, &direction)).transpose()?,
        from_number: row.from_number,
        to_number: row.to_number,
        provider_assistant_id: row.assistant,
        provider_phone_number_id: row.phone_number,
        created_at: Some(row.created_at),
        started_at: row.started_at,
        ended_at: row.ended_at,
        duration_seconds: row.duration_seconds.and_then(|seconds| seconds.try_into().ok()),
        duration_flag: row.duration_flag.map(|flag| word(OPERATION, &flag)).transpose()?,
        ended_reason: row.ended_reason,
        cost_usd: row.cost_usd,
        summary: row.summary,
        transcript: row.transcript.filter(|text| !text.is_empty()),
        messages: row.messages,
        metadata: row.metadata,
        ..CallFacts::default()
    };
    let at = row.ended_at.or(row.started_at).unwrap_or(row.created_at) - JUST_BEFORE;
    Ok(Some(CallEvent { kind, at, facts }))
}
