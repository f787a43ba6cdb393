//! Events: what customers' endpoints and live dashboards are told, written with what causes them.

mod stream;

use chrono::Utc;
use contract::{
    call::{CallStatus, Provider},
    calls::CallRef,
    events::{CallData, CallLinks, Timestamp, envelope, family},
    ids::{CallId, OrganizationId},
    merge::CallFacts,
    steps::StepRecord,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::query;
use uuid::Uuid;

use crate::{
    StoreError,
    calls::{Billed, CallIdentity, CallKey},
    database::Tx,
    error::During,
};

pub use contract::events::timestamp;
pub use stream::{Position, StreamEvent, after, position_after};

/// Webhook event of a call that was answered.
pub const CALL_STARTED: &str = "call.started";
/// Webhook event of a call that was talked through.
pub const CALL_COMPLETED: &str = "call.completed";
/// Webhook event of a call that ended otherwise.
pub const CALL_FAILED: &str = "call.failed";
/// Webhook event of a call about which more, or something else, is known than was told before.
pub const CALL_ANALYZED: &str = "call.analyzed";
/// Webhook event of an organization that has used up a share of its included minutes.
pub const USAGE_THRESHOLD_REACHED: &str = "usage.threshold_reached";
/// Live event: all steps of a call's workflow are done. Not sent to endpoints.
pub const CALL_CLOSED: &str = "call_completed";

/// Webhook event type for a final status.
pub(crate) const fn final_event_type(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Completed => CALL_COMPLETED,
        _ => CALL_FAILED,
    }
}

/// What the events of a call tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) identity: CallIdentity<'a>,
    pub(crate) key: CallKey,
    pub(crate) facts: &'a CallFacts,
    pub(crate) billed: Option<Billed>,
}

/// Tells that a call has ended, once per call and outcome; and again, as `call.analyzed`, when a
/// late event changed what was told.
pub(crate) async fn emit_final(
    tx: &mut Tx,
    told: Told<'_>,
    status: CallStatus,
) -> Result<(), StoreError> {
    const OPERATION: &str = "events.emit_final";
    if emit_call_event(tx, told, final_event_type(status)).await? {
        return Ok(());
    }
    let last = query!(
        r#"select payload->'data' as "data!" from events
           where call_id = $1 and type in ('call.completed', 'call.failed', 'call.analyzed')
           order by txid desc, id desc limit 1"#,
        told.identity.call_id.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    let data = call_data(told);
    if last.is_some_and(|last| last.data == data) {
        return Ok(());
    }
    let content = hex::encode(Sha256::digest(data.to_string()));
    let effect_key = format!("{CALL_ANALYZED}/{}/{content}", told.identity.call_id);
    emit(tx, told, CALL_ANALYZED, &effect_key).await.map(drop)
}

/// Writes an event about a call, once per call and type. False where it was there.
pub(crate) async fn emit_call_event(
    tx: &mut Tx,
    told: Told<'_>,
    event_type: &'static str,
) -> Result<bool, StoreError> {
    let effect_key = format!("{event_type}/{}", told.identity.call_id);
    emit(tx, told, event_type, &effect_key).await
}

/// Writes an event of a call, once per `effect_key`, and a delivery for each endpoint that subscribes
/// to it.
async fn emit(
    tx: &mut Tx,
    told: Told<'_>,
    event_type: &'static str,
    effect_key: &str,
) -> Result<bool, StoreError> {
    let Told { identity, key, .. } = told;
    let (organization, call) = (identity.organization_id, identity.call_id);
    let event = NewEvent { organization, event_type, effect_key, call: Some(call) };
    let Some(written) = insert(tx, event, call_data(told)).await? else { return Ok(false) };
    query!(
        "insert into webhook_deliveries (id, organization_id, event_id, webhook_id, call_id, body)
         select gen_random_uuid(), $1, $2, w.id, $3, $4
         from webhooks w
         where w.organization_id = $1 and w.enabled and w.events && array[$5, $6, '*']
           and (w.assistant_id is null or w.assistant_id =
                (select c.assistant_id from calls c where c.id = $3 and c.created_at = $7))
         on conflict (event_id, webhook_id) do nothing",
        organization.0,
        written.id,
        call.0,
        written.body,
        event_type,
        family(event_type),
        key.created_at,
    )
    .execute(&mut **tx)
    .await
    .during("events.emit")?;
    Ok(true)
}

/// Writes an event about the organization itself, once per `effect_key`, and a delivery that is due now
/// for each endpoint that subscribes to it: no call's workflow makes its first attempt, so the
/// dispatcher's look for overdue deliveries does. An endpoint of one assistant hears nothing of it.
/// False where it was there.
pub(crate) async fn emit_organization(
    tx: &mut Tx,
    organization: OrganizationId,
    event_type: &'static str,
    effect_key: &str,
    data: Value,
) -> Result<bool, StoreError> {
    let event = NewEvent { organization, event_type, effect_key, call: None };
    let Some(written) = insert(tx, event, data).await? else { return Ok(false) };
    query!(
        "insert into webhook_deliveries (id, organization_id, event_id, webhook_id, body,
             next_attempt_at)
         select gen_random_uuid(), $1, $2, w.id, $3, now()
         from webhooks w
         where w.organization_id = $1 and w.enabled and w.events && array[$4, $5, '*']
           and w.assistant_id is null
         on conflict (event_id, webhook_id) do nothing",
        organization.0,
        written.id,
        written.body,
        event_type,
        family(event_type),
    )
    .execute(&mut **tx)
    .await
    .during("events.emit_organization")?;
    Ok(true)
}

/// What an event is of.
struct NewEvent<'a> {
    organization: OrganizationId,
    event_type: &'static str,
    effect_key: &'a str,
    call: Option<CallId>,
}

/// An event that is new.
struct Written {
    id: Uuid,
    /// Fixed here: every attempt of every delivery sends and signs these bytes.
    body: String,
}

/// Nothing where an event for the same effect was there.
async fn insert(
    tx: &mut Tx,
    event: NewEvent<'_>,
    data: Value,
) -> Result<Option<Written>, StoreError> {
    let (id, now) = (Uuid::now_v7(), Utc::now());
    let payload = envelope(event.event_type, Timestamp(now), data);
    let body = payload.to_string();
    let inserted = query!(
        "insert into events (id, organization_id, type, call_id, effect_key, payload, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (organization_id, effect_key) where effect_key is not null do nothing",
        id,
        event.organization.0,
        event.event_type,
        event.call.map(|call| call.0),
        event.effect_key,
        payload,
        now,
    )
    .execute(&mut **tx)
    .await
    .during("events.insert")?;
    Ok((inserted.rows_affected() > 0).then_some(Written { id, body }))
}

/// `data` of a call event.
fn call_data(told: Told<'_>) -> Value {
    let Told { identity, key, facts, billed } = told;
    let data = CallData {
        id: identity.call_id,
        organization_id: identity.organization_id,
        provider: identity.provider,
        provider_call_id: identity.provider_call_id.to_owned(),
        direction: facts.direction,
        status: facts.status,
        from_number: facts.from_number.clone(),
        to_number: facts.to_number.clone(),
        started_at: facts.started_at.map(Timestamp),
        ended_at: facts.ended_at.map(Timestamp),
        duration_seconds: billed.map_or(facts.duration_seconds, |b| Some(b.seconds)),
        billed_minutes: billed.map(|b| b.minutes),
        ended_reason: facts.ended_reason.clone(),
        summary: facts.summary.clone(),
        has_transcript: facts.transcript.as_ref().is_some_and(|text| !text.is_empty()),
        created_at: Timestamp(key.created_at),
        links: CallLinks::of(identity.call_id),
    };
    json!(data.bounded())
}

/// Tells live dashboards that a run of the call's workflow is done.
pub(crate) async fn emit_closed(
    tx: &mut Tx,
    call: CallRef,
    steps: &[StepRecord],
) -> Result<(), StoreError> {
    let now = Utc::now();
    let payload = json!({
        "type": CALL_CLOSED,
        "timestamp": timestamp(now),
        "data": { "id": call.call_id, "steps": steps },
    });
    query!(
        "insert into events (id, organization_id, type, call_id, payload, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        Uuid::now_v7(),
        call.organization_id.0,
        CALL_CLOSED,
        call.call_id.0,
        payload,
        now,
    )
    .execute(&mut **tx)
    .await
    .during("events.emit_closed")
    .map(drop)
}

/// What the broadcast to live dashboards says of a call; free of numbers and names.
pub fn dashboard_payload(call: CallId, provider: Provider, status: CallStatus) -> Value {
    json!({ "call_id": call, "provider": provider, "status": status })
}
