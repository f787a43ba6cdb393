//! One page of a recovery: its next deliveries go to the queue.

use contract::{
    events::thin,
    ids::OrganizationId,
    recovery::{PageRecovered, RecoverWebhooks},
};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::{first_id, types};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// Most deliveries of a page; a page has those of a second.
const MOST: i32 = 500;

/// Where a recovery is.
struct Place {
    organization: OrganizationId,
    recovery: Uuid,
    endpoint: Uuid,
    is_missing: bool,
    is_thin: bool,
    assistant: Option<Uuid>,
    after: Uuid,
    until: Uuid,
    types: Vec<String>,
    limit: i32,
}

/// Hands the next deliveries to the queue. Done once for each page, however often it is asked for: the
/// place where the last one ended is in the same transaction.
pub async fn page(db: &Database, asked: RecoverWebhooks) -> Result<PageRecovered, StoreError> {
    const OPERATION: &str = "recoveries.page";
    let mut tx = db.tenant(asked.organization_id).await?;
    let row = query!(
        r#"select r.webhook_id, r.kind = 'missing' as "is_missing!", r.events_from, r.events_to,
             r.events, r.rate, r.state, r.after_event, w.events as subscribed, w.thin,
             w.assistant_id, w.enabled and w.deleted_at is null as "is_live!"
         from webhook_recoveries r join webhooks w on w.id = r.webhook_id
         where r.id = $1 for update of r"#,
        asked.recovery_id.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let over = PageRecovered { begun: 0, next_in_ms: None };
    let Some(row) = row.filter(|row| row.state == "running") else { return Ok(over) };
    if !row.is_live {
        set(&mut tx, asked.recovery_id.0, 0, None, "paused").await?;
        commit(tx, OPERATION).await?;
        return Ok(over);
    }
    let place = Place {
        organization: asked.organization_id,
        recovery: asked.recovery_id.0,
        endpoint: row.webhook_id,
        is_missing: row.is_missing,
        is_thin: row.thin,
        assistant: row.assistant_id,
        after: row.after_event.unwrap_or_default().max(first_id(row.events_from)),
        until: first_id(row.events_to),
        types: types(&row.subscribed, &row.events.unwrap_or_default()),
        limit: row.rate.clamp(1, MOST),
    };
    let found = find(&mut tx, &place).await?;
    let begun = if place.is_missing {
        make(&mut tx, &place, &found).await?
    } else {
        make_again(&mut tx, &place, &found).await?
    };
    let is_last = found.len() < usize::try_from(place.limit).unwrap_or(0);
    let state = if is_last { "completed" } else { "running" };
    let last = found.last().map(|(event, _)| *event);
    set(&mut tx, place.recovery, i64::from(begun), last, state).await?;
    commit(tx, OPERATION).await?;
    let wait = u64::try_from(place.limit * 1000 / row.rate.max(1)).unwrap_or(1000);
    Ok(PageRecovered { begun, next_in_ms: (!is_last).then_some(wait) })
}

/// The next events, and their payloads where they are needed.
async fn find(tx: &mut Tx, place: &Place) -> Result<Vec<(Uuid, Option<Value>)>, StoreError> {
    let rows = query!(
        r#"select e.id, e.type as event_type, case when $6 then e.payload end as payload
         from events e
         left join webhook_deliveries d on d.event_id = e.id and d.webhook_id = $2
         where e.organization_id = $1 and e.id > $3 and e.id < $4 and e.type = any($5)
           -- A test of one endpoint is nothing that another has missed.
           and e.payload->'data'->'test' is null
           and case when $6 then d.id is null else d.state in ('failed', 'disabled') end
           and (not $6 or $7::uuid is null or $7 = (
               select c.assistant_id from calls c where c.id = e.call_id limit 1))
         order by e.id limit $8"#,
        place.organization.0,
        place.endpoint,
        place.after,
        place.until,
        &place.types,
        place.is_missing,
        place.assistant,
        i64::from(place.limit),
    )
    .fetch_all(&mut **tx)
    .await
    .during("recoveries.find")?;
    Ok(rows.into_iter().map(|row| (row.id, row.payload)).collect())
}

/// Deliveries that were never made, with the bytes that any other endpoint got.
async fn make(
    tx: &mut Tx,
    place: &Place,
    found: &[(Uuid, Option<Value>)],
) -> Result<u32, StoreError> {
    let events: Vec<Uuid> = found.iter().map(|(event, _)| *event).collect();
    let body = |payload: &Option<Value>| {
        let payload = payload.clone().unwrap_or_default();
        if place.is_thin { thin(&payload) } else { payload }.to_string()
    };
    let bodies: Vec<String> = found.iter().map(|(_, payload)| body(payload)).collect();
    let made = query!(
        "with made as (
             insert into webhook_deliveries (id, organization_id, event_id, webhook_id, call_id,
                 body, event, next_attempt_at)
             select gen_random_uuid(), $1, e.id, $2, e.call_id, b.body, e.type, now()
             from unnest($3::uuid[], $4::text[]) as b (event_id, body)
             join events e on e.id = b.event_id
             on conflict (event_id, webhook_id) do nothing
             returning id, event_id
         )
         insert into webhook_recovery_items (recovery_id, event_id, organization_id, delivery_id)
         select $5, event_id, $1, id from made on conflict do nothing",
        place.organization.0,
        place.endpoint,
        &events,
        &bodies,
        place.recovery,
    )
    .execute(&mut **tx)
    .await
    .during("recoveries.make")?;
    Ok(u32::try_from(made.rows_affected()).unwrap_or(0))
}

/// Deliveries that have ended begin anew.
async fn make_again(
    tx: &mut Tx,
    place: &Place,
    found: &[(Uuid, Option<Value>)],
) -> Result<u32, StoreError> {
    let events: Vec<Uuid> = found.iter().map(|(event, _)| *event).collect();
    let made = query!(
        "with made as (
             update webhook_deliveries set state = 'pending', owner = 'queue', settled_at = null,
                 earlier_attempts = earlier_attempts + attempts, attempts = 0,
                 attempting_since = null, next_attempt_at = now()
             where webhook_id = $2 and event_id = any($3) and state in ('failed', 'disabled')
             returning id, event_id
         )
         insert into webhook_recovery_items (recovery_id, event_id, organization_id, delivery_id)
         select $4, event_id, $1, id from made on conflict do nothing",
        place.organization.0,
        place.endpoint,
        &events,
        place.recovery,
    )
    .execute(&mut **tx)
    .await
    .during("recoveries.make_again")?;
    Ok(u32::try_from(made.rows_affected()).unwrap_or(0))
}

async fn set(
    tx: &mut Tx,
    recovery: Uuid,
    begun: i64,
    after: Option<Uuid>,
    state: &str,
) -> Result<(), StoreError> {
    query!(
        "update webhook_recoveries set begun = begun + $2, state = $4, moved_at = now(),
             after_event = coalesce($3, after_event),
             ended_at = case when $4 = 'completed' then now() end where id = $1",
        recovery,
        begun,
        after,
        state,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("recoveries.set")
}
