//! Events: what customers' endpoints and live dashboards are told, written with what causes them.

use chrono::{DateTime, SecondsFormat, Utc};
use contract::{
    call::{CallStatus, Provider},
    calls::CallRef,
    ids::{CallId, OrganizationId},
    merge::CallFacts,
    steps::StepRecord,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    calls::{Billed, CallIdentity, CallKey},
    database::{Tx, commit},
    error::During,
};

/// Webhook event of a call that was answered.
pub const CALL_STARTED: &str = "call.started";
/// Webhook event of a call that was talked through.
pub const CALL_COMPLETED: &str = "call.completed";
/// Webhook event of a call that ended otherwise.
pub const CALL_FAILED: &str = "call.failed";
/// Webhook event of a call about which more, or something else, is known than was told before.
pub const CALL_ANALYZED: &str = "call.analyzed";
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

/// Writes an event, once per `effect_key`, and a delivery for each endpoint that subscribes to it.
async fn emit(
    tx: &mut Tx,
    told: Told<'_>,
    event_type: &'static str,
    effect_key: &str,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "events.emit";
    let Told { identity, key, .. } = told;
    let now = Utc::now();
    let payload = json!({
        "type": event_type,
        "timestamp": timestamp(now),
        "data": call_data(told),
    });
    let event_id = Uuid::now_v7();
    let inserted = query!(
        "insert into events (id, organization_id, type, call_id, effect_key, payload, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (organization_id, effect_key) where effect_key is not null do nothing",
        event_id,
        identity.organization_id.0,
        event_type,
        identity.call_id.0,
        effect_key,
        payload,
        now,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    // The bytes are fixed here: every attempt of every delivery sends and signs these.
    let body = payload.to_string();
    let family = format!("{}.*", event_type.split('.').next().unwrap_or_default());
    query!(
        "insert into webhook_deliveries (id, organization_id, event_id, webhook_id, call_id, body)
         select gen_random_uuid(), $1, $2, w.id, $3, $4
         from webhooks w
         where w.organization_id = $1 and w.enabled and w.events && array[$5, $6, '*']
           and (w.assistant_id is null or w.assistant_id =
                (select c.assistant_id from calls c where c.id = $3 and c.created_at = $7))
         on conflict (event_id, webhook_id) do nothing",
        identity.organization_id.0,
        event_id,
        identity.call_id.0,
        body,
        event_type,
        family,
        key.created_at,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(true)
}

/// `data` of a call event. Under 20 KB whatever the call: links instead of transcript and audio.
fn call_data(told: Told<'_>) -> Value {
    const LONGEST_SUMMARY: usize = 4000;
    let Told { identity, key, facts, billed } = told;
    let id = identity.call_id;
    json!({
        "id": id,
        "organization_id": identity.organization_id,
        "provider": identity.provider,
        "provider_call_id": identity.provider_call_id,
        "direction": facts.direction,
        "status": facts.status,
        "from_number": facts.from_number,
        "to_number": facts.to_number,
        "started_at": facts.started_at.map(timestamp),
        "ended_at": facts.ended_at.map(timestamp),
        "duration_seconds": billed.map_or(facts.duration_seconds, |b| Some(b.seconds)),
        "billed_minutes": billed.map(|b| b.minutes),
        "ended_reason": facts.ended_reason,
        "summary": facts.summary.as_ref().map(|s| s.chars().take(LONGEST_SUMMARY).collect::<String>()),
        "has_transcript": facts.transcript.as_ref().is_some_and(|text| !text.is_empty()),
        "created_at": timestamp(key.created_at),
        "links": {
            "call": format!("/v1/calls/{id}"),
            "transcript": format!("/v1/calls/{id}/transcript"),
        },
    })
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

/// An event as the live stream carries it.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    /// Its id, which a client sends back as `Last-Event-ID`.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// The call it is about.
    pub call_id: Option<CallId>,
    /// What subscribers get.
    pub payload: Value,
    /// Position in the stream.
    pub position: Position,
}

/// A place in an organization's stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    txid: i64,
    id: Uuid,
}

/// The place after `last`, or after the newest event where there is no such event.
pub async fn position_after(
    db: &Database,
    organization: OrganizationId,
    last: Option<Uuid>,
) -> Result<Position, StoreError> {
    const OPERATION: &str = "events.position_after";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"with visible as not materialized (
             select txid, id from events
             where organization_id = $1 and txid < pg_snapshot_xmin(pg_current_snapshot())
           ), known as (select txid, id from visible where id = $2),
           newest as (select txid, id from visible order by txid desc, id desc limit 1)
           select txid::text::bigint as "txid!", id as "id!" from (
             select 0 as choice, txid, id from known
             union all
             select 1 as choice, txid, id from newest
           ) place order by choice limit 1"#,
        organization.0,
        last,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map_or(Position { txid: 0, id: Uuid::nil() }, |row| Position {
        txid: row.txid,
        id: row.id,
    }))
}

/// Events after a place, in order, at most `limit`.
///
/// Ids and times are given before the commit, so neither is the order in which rows appear. An
/// event shows once no transaction that began before it can still write, so none is passed over.
pub async fn after(
    db: &Database,
    organization: OrganizationId,
    position: Position,
    limit: i64,
) -> Result<Vec<StreamEvent>, StoreError> {
    const OPERATION: &str = "events.after";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        r#"select id, type as event_type, call_id, payload, txid::text::bigint as "txid!" from events
           where organization_id = $1 and (txid, id) > ($2::text::xid8, $3)
             and txid < pg_snapshot_xmin(pg_current_snapshot())
           order by events.txid, id limit $4"#,
        organization.0,
        position.txid.to_string(),
        position.id,
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows
        .into_iter()
        .map(|row| StreamEvent {
            id: row.id,
            event_type: row.event_type,
            call_id: row.call_id.map(CallId),
            payload: row.payload,
            position: Position { txid: row.txid, id: row.id },
        })
        .collect())
}

/// RFC 3339 in UTC with milliseconds, as every JSON of postcall writes times.
pub fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What the broadcast to live dashboards says of a call; free of numbers and names.
pub fn dashboard_payload(call: CallId, provider: Provider, status: CallStatus) -> Value {
    json!({ "call_id": call, "provider": provider, "status": status })
}
