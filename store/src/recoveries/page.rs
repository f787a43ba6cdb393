//! One page of a recovery: its next deliveries go to the queue.

use std::time::Duration;

use chrono::Utc;
use contract::{
    events::thin,
    ids::OrganizationId,
    recovery::{PageRecovered, RecoverWebhooks},
};
use serde_json::Value;
use sqlx::{postgres::types::PgInterval, query, query_as};
use uuid::Uuid;

use super::{first_id, types};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    deliveries::begin_anew,
    error::During,
};

/// Most deliveries of a page; a page has those of a second.
const MOST: i32 = 500;
/// Events looked at for what an endpoint missed, in one page.
const LOOKED_AT: i64 = 20_000;
/// No transaction of ours takes longer: aggregation's statements may take ten minutes.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(15 * 60);
/// Transactions that began before the recovery are looked for again after this. Milliseconds.
const UNSETTLED: u64 = 200;
/// A page that found nothing is followed at once. Milliseconds; a timer needs some.
const AT_ONCE: u64 = 1;

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
             w.assistant_id, w.enabled and w.deleted_at is null as "is_live!",
             coalesce(r.txid >= pg_snapshot_xmin(pg_current_snapshot()), false)
                 and r.created_at > now() - $2::interval as "is_unsettled!"
         from webhook_recoveries r join webhooks w on w.id = r.webhook_id
         where r.id = $1 for update of r"#,
        asked.recovery_id.0,
        PgInterval::try_from(LONGEST_TRANSACTION).unwrap_or_default(),
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
    // An event that is not committed yet may have a smaller id than those that are.
    if row.is_unsettled {
        return Ok(PageRecovered { begun: 0, next_in_ms: Some(UNSETTLED) });
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
    let done = if place.is_missing {
        missed(&mut tx, &place).await?
    } else {
        given_up(&mut tx, &place).await?
    };
    let state = if done.is_last { "completed" } else { "running" };
    set(&mut tx, place.recovery, i64::from(done.begun), done.last, state).await?;
    commit(tx, OPERATION).await?;
    let wait = u64::from(done.begun) * 1000 / u64::try_from(row.rate.max(1)).unwrap_or(1);
    let next_in_ms = (!done.is_last).then_some(wait.max(AT_ONCE));
    Ok(PageRecovered { begun: done.begun, next_in_ms })
}

/// What a page did.
struct Done {
    begun: u32,
    /// The last event that was looked at.
    last: Option<Uuid>,
    is_last: bool,
}

/// An event that the endpoint missed.
struct Missed {
    event: Uuid,
    payload: Value,
    /// Its delivery, which ended with the endpoint.
    ended: Option<Uuid>,
}

/// Makes deliveries that were never made, with the bytes that any other endpoint got, and begins those
/// anew that ended because the endpoint was disabled.
async fn missed(tx: &mut Tx, place: &Place) -> Result<Done, StoreError> {
    let end = end_of_page(tx, place).await?;
    let found = find_missed(tx, place, end.unwrap_or(place.until)).await?;
    let begun = make(tx, place, &found).await?;
    let ended: Vec<Uuid> = found.iter().filter_map(|missed| missed.ended).collect();
    let again = begin_those(tx, place, &ended).await?;
    let is_full = found.len() >= usize::try_from(place.limit).unwrap_or(0);
    let last = if is_full { found.last().map(|missed| missed.event) } else { end };
    Ok(Done { begun: begun + again, last, is_last: !is_full && end.is_none() })
}

/// The event that a page ends with, so that one of an organization with millions of them ends at all.
async fn end_of_page(tx: &mut Tx, place: &Place) -> Result<Option<Uuid>, StoreError> {
    let row = query!(
        "select id from events where organization_id = $1 and id > $2 and id < $3
         order by id offset $4 limit 1",
        place.organization.0,
        place.after,
        place.until,
        LOOKED_AT - 1,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("recoveries.end_of_page")?;
    Ok(row.map(|row| row.id))
}

async fn find_missed(tx: &mut Tx, place: &Place, end: Uuid) -> Result<Vec<Missed>, StoreError> {
    query_as!(
        Missed,
        r#"select e.id as event, e.payload, d.id as "ended?" from events e
         left join webhook_deliveries d on d.event_id = e.id and d.webhook_id = $2
         where e.organization_id = $1 and e.id > $3 and e.id <= $4 and e.type = any($5)
           and not e.is_test and (d.id is null or d.state = 'disabled')
           and ($6::uuid is null or $6 = (
               select c.assistant_id from calls c where c.id = e.call_id limit 1))
         order by e.id limit $7"#,
        place.organization.0,
        place.endpoint,
        place.after,
        end,
        &place.types,
        place.assistant,
        i64::from(place.limit),
    )
    .fetch_all(&mut **tx)
    .await
    .during("recoveries.find_missed")
}

async fn make(tx: &mut Tx, place: &Place, found: &[Missed]) -> Result<u32, StoreError> {
    let new = || found.iter().filter(|missed| missed.ended.is_none());
    let events: Vec<Uuid> = new().map(|missed| missed.event).collect();
    let body = |Missed { payload, .. }: &Missed| {
        if place.is_thin { thin(payload).to_string() } else { payload.to_string() }
    };
    let bodies: Vec<String> = new().map(body).collect();
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

/// Begins deliveries that have ended anew.
async fn given_up(tx: &mut Tx, place: &Place) -> Result<Done, StoreError> {
    let rows = query!(
        "select d.id, d.event_id from webhook_deliveries d join events e on e.id = d.event_id
         where d.webhook_id = $1 and d.state in ('failed', 'disabled')
           and d.event_id > $2 and d.event_id < $3 and d.event = any($4) and not e.is_test
         order by d.event_id limit $5",
        place.endpoint,
        place.after,
        place.until,
        &place.types,
        i64::from(place.limit),
    )
    .fetch_all(&mut **tx)
    .await
    .during("recoveries.given_up")?;
    let deliveries: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    Ok(Done {
        begun: begin_those(tx, place, &deliveries).await?,
        last: rows.last().map(|row| row.event_id),
        is_last: rows.len() < usize::try_from(place.limit).unwrap_or(0),
    })
}

/// Begins those of the deliveries anew that have ended. Locked by id, as everywhere.
async fn begin_those(tx: &mut Tx, place: &Place, all: &[Uuid]) -> Result<u32, StoreError> {
    let rows = query!(
        "select id from webhook_deliveries where id = any($1) and state in ('failed', 'disabled')
         order by id for update",
        all,
    )
    .fetch_all(&mut **tx)
    .await
    .during("recoveries.ended")?;
    let ended: Vec<Uuid> = rows.into_iter().map(|row| row.id).collect();
    begin_anew(tx, &ended, Utc::now()).await?;
    query!(
        "insert into webhook_recovery_items (recovery_id, event_id, organization_id, delivery_id)
         select $1, event_id, organization_id, id from webhook_deliveries where id = any($2)
         on conflict do nothing",
        place.recovery,
        &ended,
    )
    .execute(&mut **tx)
    .await
    .during("recoveries.begun")?;
    Ok(u32::try_from(ended.len()).unwrap_or(0))
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
