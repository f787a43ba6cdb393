//! Events: what customers' endpoints and live dashboards are told, written with what causes them.

mod stream;

use chrono::Utc;
use contract::{
    call::{CallStatus, Provider},
    calls::CallRef,
    events::{CallData, CallLinks, Timestamp, envelope, family, thin},
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
/// Webhook event of an endpoint that takes nothing any more.
pub const ENDPOINT_DISABLED: &str = "webhook.endpoint_disabled";
/// Webhook event of an endpoint that will be disabled if it goes on to fail.
pub const ENDPOINT_FAILING: &str = "webhook.endpoint_failing";
/// Webhook event of an endpoint that had failed for long and takes events again.
pub const ENDPOINT_RECOVERED: &str = "webhook.endpoint_recovered";
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

/// Writes an event of a call, once per `effect_key`, and its deliveries.
async fn emit(
    tx: &mut Tx,
    told: Told<'_>,
    event_type: &'static str,
    effect_key: &str,
) -> Result<bool, StoreError> {
    let call = Some((told.identity.call_id, told.key));
    let event =
        NewEvent { organization: told.identity.organization_id, event_type, effect_key, call };
    write(tx, event, call_data(told)).await
}

/// Writes an event about the organization itself, once per `effect_key`, and its deliveries. An endpoint
/// of one assistant hears nothing of it. False where it was there.
pub(crate) async fn emit_organization(
    tx: &mut Tx,
    organization: OrganizationId,
    event_type: &'static str,
    effect_key: &str,
    data: Value,
) -> Result<bool, StoreError> {
    write(tx, NewEvent { organization, event_type, effect_key, call: None }, data).await
}

/// What an event is of.
#[derive(Clone, Copy)]
struct NewEvent<'a> {
    organization: OrganizationId,
    event_type: &'static str,
    effect_key: &'a str,
    call: Option<(CallId, CallKey)>,
}

/// Writes an event, a delivery for each endpoint that subscribes to it, and for each other why it gets
/// none; nothing where an event for the same effect was there. In one statement: every call waits for it.
///
/// The bytes of a body are fixed here: every attempt of every delivery sends and signs these. The first
/// attempts at the final events of a call are its workflow's to make, for some minutes, but for endpoints
/// that must not get things at any time; all others are due at once.
async fn write(tx: &mut Tx, event: NewEvent<'_>, data: Value) -> Result<bool, StoreError> {
    let now = Utc::now();
    let payload = envelope(event.event_type, Timestamp(now), data);
    let (body, thin) = (payload.to_string(), thin(&payload).to_string());
    let by_workflow = event.call.is_some() && event.event_type != CALL_STARTED;
    let row = query!(
        r#"with written as (
             insert into events (id, organization_id, type, call_id, effect_key, payload, created_at)
             values ($2, $1, $5, $3, $10, $11, $12)
             on conflict (organization_id, effect_key) where effect_key is not null do nothing
             returning id
         ), told as (
             select w.id, w.thin,
                 w.rate_limit is null and w.ordering = 'none' and w.circuit = 'closed' as inline,
                 case when not w.events && array[$5, $6, '*']
                         or (w.assistant_id is not null and w.assistant_id is distinct from (
                             select assistant_id from calls where id = $3 and created_at = $7))
                         then 'filtered'
                     when not w.enabled then 'disabled' end as skipped
             from webhooks w where w.organization_id = $1 and w.deleted_at is null
                 and exists (select from written)
         ), skips as (
             insert into webhook_logs (id, webhook_id, organization_id, event, event_id, kind,
                 error, attempt_number)
             select gen_random_uuid(), id, $1, $5, $2, 'skip', skipped, 0
             from told where skipped is not null
         ), deliveries as (
             insert into webhook_deliveries (id, organization_id, event_id, webhook_id, call_id,
                 body, event, next_attempt_at)
             select gen_random_uuid(), $1, $2, id, $3, case when thin then $9 else $4 end, $5,
                 case when inline and $8 then now() + interval '5 minutes' else now() end
             from told where skipped is null
             on conflict (event_id, webhook_id) do nothing
         )
         select exists (select from written) as "is_new!""#,
        event.organization.0,
        Uuid::now_v7(),
        event.call.map(|(call, _)| call.0),
        body,
        event.event_type,
        family(event.event_type),
        event.call.map(|(_, key)| key.created_at),
        by_workflow,
        thin,
        event.effect_key,
        payload,
        now,
    )
    .fetch_one(&mut **tx)
    .await
    .during("events.write")?;
    Ok(row.is_new)
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
