//! The queue: what is due, a fair share for every endpoint.

use std::{collections::HashMap, time::Instant};

use chrono::{DateTime, Utc};
use contract::ids::{EndpointId, OrganizationId};
use sqlx::{postgres::types::PgInterval, query, query_as};
use uuid::Uuid;

use super::{Claimed, ENDED_AT_ONCE, LEASE, Looks, WORKFLOW_GRACE, claim::take, end_pending};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    sealing::Sealer,
};

/// Attempts at one endpoint at once, by one process.
const AT_ONCE: u32 = 32;
/// And where the last one failed: a hung endpoint holds few of our places.
const AT_ONCE_FAILING: u32 = 4;
/// Attempts at the endpoints of one organization at once: many that hang hold a part of our places.
const AT_ONCE_ORGANIZATION: u32 = 128;
/// Endpoints served by one claim, the longest waiting first: the next claim has the others.
const SERVED: usize = 256;
/// A rate is kept by the time that the next delivery may leave; a look that comes a little late makes
/// up for so much. Seconds.
const LATE: f64 = 0.05;
/// Where the probe of a circuit cannot be made now, it is looked for again this much later. Seconds.
const PROBE_AGAIN: f64 = 1.0;
/// Events that wait for an earlier one put off by one look; others are met by the next.
const PUT_OFF: i64 = 200;

/// What the process can take.
#[derive(Debug, Clone, Default)]
pub struct Capacity {
    /// Deliveries in all.
    pub room: u32,
    /// Attempts under way.
    pub under_way: HashMap<(OrganizationId, EndpointId), u32>,
}

impl Capacity {
    const fn most(is_failing: bool) -> u32 {
        if is_failing { AT_ONCE_FAILING } else { AT_ONCE }
    }

    fn at(&self, organization: Uuid, endpoint: Uuid) -> u32 {
        let at = (OrganizationId(organization), EndpointId(endpoint));
        self.under_way.get(&at).copied().unwrap_or(0)
    }

    fn left_to(&self, organization: Uuid) -> u32 {
        let of_it = self.under_way.iter().filter(|((of, _), _)| of.0 == organization);
        AT_ONCE_ORGANIZATION.saturating_sub(of_it.map(|(_, count)| count).sum())
    }
}

/// What was due.
#[derive(Debug, Default)]
pub struct Due {
    /// The caller's to attempt.
    pub claimed: Vec<Claimed>,
    /// Whether more is held back only by a rate, or by what its endpoint just got.
    pub is_paced: bool,
    /// Whether more waits until an attempt under way has ended.
    pub is_full: bool,
    /// Whether that was all: one delivery, where there was room for more.
    pub is_alone: bool,
}

/// An endpoint with something due, and how much of it may leave.
struct Share {
    organization: Uuid,
    endpoint: Uuid,
    /// Attempts under way: who has fewer is served first.
    under_way: u32,
    room: u32,
    /// Attempts that its organization may add to those under way.
    left: u32,
    is_ordered: bool,
    is_probed: bool,
    rate: Option<i32>,
    /// Since when the first of its deliveries is due.
    since: DateTime<Utc>,
}

/// Claims what is due, oldest first within an endpoint.
pub async fn claim_due(
    db: &Database,
    sealer: &Sealer,
    capacity: &Capacity,
    looks: &mut Looks,
) -> Result<Due, StoreError> {
    const OPERATION: &str = "deliveries.claim_due";
    let mut tx = db.claims().await?;
    let mut due = Due::default();
    let shares = shares(&mut tx, capacity, looks, &mut due).await?;
    if shares.is_empty() {
        commit(tx, OPERATION).await?;
        return Ok(due);
    }
    let picked = pick(&mut tx, &shares, capacity.room).await?;
    let ids: Vec<Uuid> = picked.iter().map(|picked| picked.delivery).collect();
    let has_room = |share: &Share| share.room > 1 && share.left > 1;
    due.is_alone =
        ids.len() == 1 && capacity.room > 1 && shares.len() < SERVED && shares.iter().all(has_room);
    due.is_full |= put_off(&mut tx, &shares, &picked).await?;
    tell_of_waits(&mut tx, &shares, &ids).await?;
    due.claimed = take(&mut tx, sealer, &ids).await?;
    looks.claimed(due.claimed.iter().map(|claimed| claimed.endpoint_id.0));
    probe(&mut tx, &shares, &picked).await?;
    pace(&mut tx, &shares, &due.claimed).await?;
    commit(tx, OPERATION).await?;
    Ok(due)
}

/// An endpoint with something due.
struct Found {
    id: Uuid,
    organization_id: Uuid,
    rate_limit: Option<i32>,
    retry_count: i32,
    is_ordered: bool,
    is_probed: bool,
    is_open: bool,
    is_live: bool,
    is_paced: bool,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// Walks from endpoint to endpoint, whatever the length of their queues; the longest due first.
async fn walk(tx: &mut Tx, looks: &mut Looks) -> Result<Vec<Found>, StoreError> {
    let (walk, began) = (looks.begin(), Instant::now());
    let mut found = query_as!(
        Found,
        r#"with recursive unknown (webhook_id, since, before) as (
             select after, null::timestamptz, before
             from unnest($1::uuid[], $2::uuid[]) as gap (after, before)
             union all
             select next.*, unknown.before from unknown
             cross join lateral (
                 select d.webhook_id, d.next_attempt_at from webhook_deliveries d
                 where d.state = 'pending' and d.owner = 'queue'
                   and d.webhook_id > unknown.webhook_id and d.webhook_id < unknown.before
                 order by d.webhook_id, d.next_attempt_at limit 1
             ) next
         ), due as (
             select webhook_id, since from unknown where since <= now()
             union all
             select known.id, first.since
             from unnest($3::uuid[], $4::timestamptz[]) as known (id, floor)
             cross join lateral (
                 select d.next_attempt_at as since from webhook_deliveries d
                 where d.webhook_id = known.id and d.state = 'pending' and d.owner = 'queue'
                   and d.next_attempt_at >= known.floor and d.next_attempt_at <= now()
                 order by d.next_attempt_at limit 1
             ) first
         )
         select w.id, w.organization_id, w.rate_limit, w.retry_count,
             w.ordering = 'call' as "is_ordered!", w.circuit <> 'closed' as "is_probed!",
             w.circuit <> 'closed' and w.circuit_probe_at > now() as "is_open!",
             w.enabled and w.deleted_at is null as "is_live!",
             coalesce(w.paced_until > now(), false) as "is_paced!",
             due.since as "since!", now() as "now!"
         from due join webhooks w on w.id = due.webhook_id"#,
        &walk.after,
        &walk.before,
        &walk.known,
        &walk.floors,
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.walk")?;
    if walk.is_whole {
        looks.walked(began.elapsed());
    }
    if let Some(now) = found.first().map(|found| found.now) {
        looks.learn(found.iter().map(|found| (found.id, found.since)), now);
    }
    found.sort_by_key(|found| found.since);
    Ok(found)
}

/// Who may get how much now.
async fn shares(
    tx: &mut Tx,
    capacity: &Capacity,
    looks: &mut Looks,
    due: &mut Due,
) -> Result<Vec<Share>, StoreError> {
    let (mut shares, mut over) = (Vec::new(), Vec::new());
    for found in walk(tx, looks).await? {
        let under_way = capacity.at(found.organization_id, found.id);
        let room = Capacity::most(found.retry_count > 0).saturating_sub(under_way);
        let left = capacity.left_to(found.organization_id);
        match room.min(left) {
            _ if found.is_open => {}
            _ if !found.is_live => over.push(found.id),
            _ if looks.is_resting(found.id) => due.is_paced = true,
            0 => due.is_full = true,
            _ if found.rate_limit.is_some() && found.is_paced => due.is_paced = true,
            room => shares.push(Share {
                organization: found.organization_id,
                endpoint: found.id,
                under_way,
                room: if found.is_probed { 1 } else { room },
                left,
                is_ordered: found.is_ordered,
                is_probed: found.is_probed,
                rate: found.rate_limit,
                since: found.since,
            }),
        }
    }
    shares.truncate(SERVED);
    // What is locked beyond the claim is locked for nothing.
    let fair = capacity.room.saturating_mul(2) / u32::try_from(shares.len()).unwrap_or(1).max(1);
    shares.iter_mut().for_each(|share| share.room = share.room.min(fair.max(1)));
    // Left by an endpoint that is disabled; an event may have been written meanwhile.
    if !over.is_empty() {
        end_pending(tx, &over, ENDED_AT_ONCE).await?;
    }
    half_open(tx, &mut shares).await?;
    limit_by_rates(tx, &mut shares).await?;
    Ok(shares)
}

/// Whoever gets the probe of an open circuit has it alone until it is settled, or its lease is over.
async fn half_open(tx: &mut Tx, shares: &mut Vec<Share>) -> Result<(), StoreError> {
    let probed: Vec<Uuid> =
        shares.iter().filter(|share| share.is_probed).map(|share| share.endpoint).collect();
    if probed.is_empty() {
        return Ok(());
    }
    let ours = query!(
        "update webhooks w set circuit = 'half-open', circuit_probe_at = now() + $2
         from (select id from webhooks where id = any($1) and circuit <> 'closed'
                 and circuit_probe_at <= now() order by id
               for no key update skip locked) due
         where w.id = due.id returning w.id",
        &probed,
        PgInterval::try_from(LEASE).unwrap_or_default(),
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.half_open")?;
    shares.retain(|share| !share.is_probed || ours.iter().any(|row| row.id == share.endpoint));
    Ok(())
}

/// Notes which delivery is the probe, for late failures are none. Nothing to send just now: the circuit
/// is open again, for a moment.
async fn probe(tx: &mut Tx, shares: &[Share], picked: &[Picked]) -> Result<(), StoreError> {
    let of = |share: &Share| {
        let of_it = picked.iter().find(|picked| picked.endpoint == share.endpoint);
        of_it.map(|picked| picked.delivery)
    };
    let probed = shares.iter().filter(|share| share.is_probed);
    let (endpoints, probes): (Vec<Uuid>, Vec<Option<Uuid>>) =
        probed.map(|share| (share.endpoint, of(share))).unzip();
    if endpoints.is_empty() {
        return Ok(());
    }
    query!(
        "update webhooks w set circuit_probe = probe.id,
             circuit = case when probe.id is null then 'open' else w.circuit end,
             circuit_probe_at = case when probe.id is null then now() + make_interval(secs => $3)
                 else w.circuit_probe_at end
         from unnest($1::uuid[], $2::uuid[]) as probe (endpoint, id) where w.id = probe.endpoint",
        &endpoints,
        &probes as &[Option<Uuid>],
        PROBE_AGAIN,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.probe")
}

/// How many may leave by now of what has a rate; who is being served by another process waits.
async fn limit_by_rates(tx: &mut Tx, shares: &mut Vec<Share>) -> Result<(), StoreError> {
    let rated: Vec<Uuid> =
        shares.iter().filter(|share| share.rate.is_some()).map(|share| share.endpoint).collect();
    if rated.is_empty() {
        return Ok(());
    }
    let rows = query!(
        r#"select id, (1 + floor(rate_limit * extract(epoch from
                 now() - greatest(coalesce(paced_until, '-infinity'), now() - make_interval(secs => $2)))))::int
                 as "allowed!"
         from webhooks where id = any($1) and (paced_until is null or paced_until <= now())
         order by id for no key update skip locked"#,
        &rated,
        LATE,
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.limit_by_rates")?;
    let allowed: HashMap<Uuid, u32> =
        rows.iter().map(|row| (row.id, super::count(row.allowed))).collect();
    for share in shares.iter_mut().filter(|share| share.rate.is_some()) {
        share.room = share.room.min(allowed.get(&share.endpoint).copied().unwrap_or(0));
    }
    shares.retain(|share| share.room > 0);
    Ok(())
}

/// A delivery whose turn it is.
struct Picked {
    delivery: Uuid,
    endpoint: Uuid,
}

/// Who has the fewest under way first, so that a slow endpoint keeps no place from another. Within a
/// call of an ordered endpoint, only what no earlier event still waits before.
async fn pick(tx: &mut Tx, shares: &[Share], room: u32) -> Result<Vec<Picked>, StoreError> {
    let of = |field: fn(&Share) -> Uuid| shares.iter().map(field).collect::<Vec<Uuid>>();
    let rooms: Vec<i64> = shares.iter().map(|share| i64::from(share.room)).collect();
    let ordered: Vec<bool> = shares.iter().map(|share| share.is_ordered).collect();
    let under_way: Vec<i64> = shares.iter().map(|share| i64::from(share.under_way)).collect();
    let left: Vec<i64> = shares.iter().map(|share| i64::from(share.left)).collect();
    let since: Vec<DateTime<Utc>> = shares.iter().map(|share| share.since).collect();
    query_as!(
        Picked,
        r#"select id as "delivery!", webhook_id as "endpoint!" from (
             select *, row_number() over (
                 partition by organization_id order by turn, next_attempt_at) as of_organization
             from (
                 select d.*, share.organization_id, share.of_organization_left,
                     share.under_way + row_number() over (
                         partition by d.webhook_id order by d.next_attempt_at, d.id) as turn
                 from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bool[], $5::bigint[],
                         $6::bigint[], $7::timestamptz[])
                     as share (webhook_id, organization_id, room, is_ordered, under_way,
                         of_organization_left, since)
                 cross join lateral (
                     select q.id, q.webhook_id, q.next_attempt_at from webhook_deliveries q
                     where q.webhook_id = share.webhook_id and q.state = 'pending'
                       and q.owner = 'queue' and q.next_attempt_at >= share.since
                       and q.next_attempt_at <= now()
                       and not (share.is_ordered and q.call_id is not null and exists (
                           select from webhook_deliveries e
                           where e.call_id = q.call_id and e.webhook_id = q.webhook_id
                             and e.state = 'pending' and e.event_id < q.event_id))
                     order by q.next_attempt_at, q.id limit share.room
                     for update skip locked
                 ) d
             ) by_endpoint
         ) by_organization
         where of_organization <= of_organization_left
         order by turn, next_attempt_at limit $8"#,
        &of(|share| share.endpoint),
        &of(|share| share.organization),
        &rooms,
        &ordered,
        &under_way,
        &left,
        &since,
        i64::from(room),
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.pick")
}

/// Events of ordered endpoints that wait for an earlier one of their call are put off until that one's
/// next attempt, but for those whose earlier one is under way, or due. Whether there are such.
async fn put_off(tx: &mut Tx, shares: &[Share], picked: &[Picked]) -> Result<bool, StoreError> {
    let ordered: Vec<Uuid> =
        shares.iter().filter(|share| share.is_ordered).map(|share| share.endpoint).collect();
    if ordered.is_empty() {
        return Ok(false);
    }
    let picked: Vec<Uuid> = picked.iter().map(|picked| picked.delivery).collect();
    let row = query!(
        r#"with blocked as (
             select q.id, first.attempting_since is not null or first.id = any($2)
                     or first.owner = 'queue' and first.next_attempt_at <= now() as is_short,
                 case when first.owner = 'workflow' then first.next_attempt_at - $4::interval
                     else first.next_attempt_at end as free_at
             from webhook_deliveries q
             cross join lateral (
                 -- A call has few; the order of all events is no way to find them.
                 select * from (
                     select e.id, e.event_id, e.owner, e.attempting_since, e.next_attempt_at
                     from webhook_deliveries e
                     where e.call_id = q.call_id and e.webhook_id = q.webhook_id
                       and e.state = 'pending' and e.event_id < q.event_id offset 0
                 ) earlier order by event_id limit 1
             ) first
             where q.webhook_id = any($1) and q.state = 'pending' and q.owner = 'queue'
               and q.next_attempt_at <= now() and q.call_id is not null
             limit $3
         ), put_off as (
             update webhook_deliveries q set next_attempt_at = least(
                 greatest(blocked.free_at, now() + interval '250 milliseconds'),
                 now() + interval '5 minutes')
             from blocked where q.id = blocked.id and not blocked.is_short
         )
         select coalesce(bool_or(is_short), false) as "is_short!" from blocked"#,
        &ordered,
        &picked,
        PUT_OFF,
        PgInterval::try_from(WORKFLOW_GRACE).unwrap_or_default(),
    )
    .fetch_one(&mut **tx)
    .await
    .during("deliveries.put_off")?;
    Ok(row.is_short)
}

/// What a rate has held back for longer than a moment has a line in the log.
async fn tell_of_waits(tx: &mut Tx, shares: &[Share], picked: &[Uuid]) -> Result<(), StoreError> {
    let rated: Vec<Uuid> =
        shares.iter().filter(|share| share.rate.is_some()).map(|share| share.endpoint).collect();
    if rated.is_empty() {
        return Ok(());
    }
    query!(
        "insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event, event_id,
             kind, error, attempt_number)
         select gen_random_uuid(), webhook_id, organization_id, id,
             coalesce(event, 'unknown'), event_id, 'skip', 'rate-limited', 0
         from webhook_deliveries
         where id = any($1) and webhook_id = any($2) and attempts = 0
             and next_attempt_at < now() - interval '1 second'",
        picked,
        &rated,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.tell_of_waits")
}

/// Moves the time of the next one on by what leaves now.
async fn pace(tx: &mut Tx, shares: &[Share], claimed: &[Claimed]) -> Result<(), StoreError> {
    let leaving = |share: &Share| {
        let leaving =
            claimed.iter().filter(|claimed| claimed.endpoint_id.0 == share.endpoint).count();
        share.rate.map(|rate| leaving as f64 / f64::from(rate.max(1)))
    };
    let (endpoints, seconds): (Vec<Uuid>, Vec<f64>) = shares
        .iter()
        .filter_map(|share| Some((share.endpoint, leaving(share)?)))
        .filter(|(_, seconds)| *seconds > 0.0)
        .unzip();
    if endpoints.is_empty() {
        return Ok(());
    }
    query!(
        "update webhooks w set paced_until = make_interval(secs => took.seconds)
             + greatest(coalesce(w.paced_until, '-infinity'), now() - make_interval(secs => $3))
         from unnest($1::uuid[], $2::float8[]) as took (id, seconds) where w.id = took.id",
        &endpoints,
        &seconds,
        LATE,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.pace")
}
