//! The queue: what is due, a fair share for every endpoint.

use std::collections::HashMap;

use contract::ids::{EndpointId, OrganizationId};
use sqlx::{postgres::types::PgInterval, query, query_as};
use uuid::Uuid;

use super::{Claimed, ENDED_AT_ONCE, LEASE, claim::take, end_pending};
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
/// And those that the queue does not make.
const AT_ONCE_BESIDE: u32 = 8;
/// Deliveries of one endpoint in one claim, so that a long backlog leaves room for others in it.
const SHARE: u32 = 16;
/// A rate is kept by the time that the next delivery may leave; a look that comes a little late makes
/// up for so much.
const LATE: f64 = 0.05;

/// Attempts at the endpoints of one organization at once, by one process: many that hang hold a part of
/// our places.
const AT_ONCE_ORGANIZATION: u32 = 128;
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
    /// Whether an endpoint with so many attempts under way gets further ones from the queue only: a step
    /// of a call, or a workflow, must not wait beside many others for one that is slow.
    pub const fn is_full(under_way: u32) -> bool {
        under_way >= AT_ONCE_BESIDE
    }

    const fn most(is_failing: bool) -> u32 {
        if is_failing { AT_ONCE_FAILING } else { AT_ONCE }
    }

    fn share(&self, organization: Uuid, endpoint: Uuid, is_failing: bool) -> u32 {
        let of_it = (OrganizationId(organization), EndpointId(endpoint));
        let under_way = self.under_way.get(&of_it).copied().unwrap_or(0);
        Self::most(is_failing).saturating_sub(under_way).min(SHARE)
    }

    fn of_organization(&self, organization: Uuid) -> u32 {
        let of_it = self.under_way.iter().filter(|((of, _), _)| of.0 == organization);
        AT_ONCE_ORGANIZATION.saturating_sub(of_it.map(|(_, count)| count).sum())
    }
}

/// What was due.
#[derive(Debug, Default)]
pub struct Due {
    /// The caller's to attempt.
    pub claimed: Vec<Claimed>,
    /// Whether more is held back by a rate only, and due within moments.
    pub is_paced: bool,
    /// Whether more waits until an attempt under way has ended.
    pub is_full: bool,
}

/// An endpoint with something due, and how much of it may leave.
struct Share {
    organization: Uuid,
    endpoint: Uuid,
    room: u32,
    is_ordered: bool,
    is_probed: bool,
    rate: Option<i32>,
}

/// Claims what is due, oldest first within an endpoint.
pub async fn claim_due(
    db: &Database,
    sealer: &Sealer,
    capacity: &Capacity,
) -> Result<Due, StoreError> {
    const OPERATION: &str = "deliveries.claim_due";
    let mut tx = db.claims().await?;
    let mut due = Due::default();
    let shares = shares(&mut tx, capacity, &mut due).await?;
    if shares.is_empty() {
        commit(tx, OPERATION).await?;
        return Ok(due);
    }
    let picked = pick(&mut tx, &shares, capacity).await?;
    let ids: Vec<Uuid> = picked.iter().map(|picked| picked.delivery).collect();
    due.is_full |= put_off(&mut tx, &shares, &ids).await?;
    tell_of_waits(&mut tx, &shares, &ids).await?;
    due.claimed = take(&mut tx, sealer, &ids).await?;
    probe(&mut tx, &shares, &picked).await?;
    pace(&mut tx, &shares, &due.claimed).await?;
    commit(tx, OPERATION).await?;
    Ok(due)
}

/// Who may get how much now. Walks from endpoint to endpoint, whatever the length of their queues.
async fn shares(tx: &mut Tx, capacity: &Capacity, due: &mut Due) -> Result<Vec<Share>, StoreError> {
    let rows = query!(
        r#"with recursive waiting (webhook_id) as (
             (select webhook_id from webhook_deliveries
              where state = 'pending' and owner = 'queue' order by webhook_id limit 1)
             union all
             select (select d.webhook_id from webhook_deliveries d
                     where d.state = 'pending' and d.owner = 'queue'
                       and d.webhook_id > waiting.webhook_id order by d.webhook_id limit 1)
             from waiting where waiting.webhook_id is not null
         )
         select w.id, w.organization_id, w.circuit <> 'closed' as "is_probed!", w.rate_limit,
             w.retry_count, w.ordering = 'call' as "is_ordered!",
             w.enabled and w.deleted_at is null as "is_live!",
             coalesce(w.paced_until > now(), false) as "is_paced!"
         from waiting
         join webhooks w on w.id = waiting.webhook_id
         -- By its limit it is asked endpoint by endpoint, and never by reading the whole queue.
         cross join lateral (
             select 1 from webhook_deliveries d
             where d.webhook_id = waiting.webhook_id and d.state = 'pending'
               and d.owner = 'queue' and d.next_attempt_at <= now() limit 1
         ) due
         where w.circuit = 'closed' or w.circuit_probe_at <= now()"#,
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.shares")?;
    let (mut shares, mut over) = (Vec::new(), Vec::new());
    for row in rows {
        let paced = row.rate_limit.is_some() && row.is_paced;
        match capacity.share(row.organization_id, row.id, row.retry_count > 0) {
            _ if !row.is_live => over.push(row.id),
            0 => due.is_full = true,
            _ if paced => due.is_paced = true,
            room => shares.push(Share {
                organization: row.organization_id,
                endpoint: row.id,
                room: if row.is_probed { 1 } else { room },
                is_ordered: row.is_ordered,
                is_probed: row.is_probed,
                rate: row.rate_limit,
            }),
        }
    }
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

/// The first of each endpoint before the second of any. Within a call of an ordered endpoint, only what
/// no earlier event still waits before.
async fn pick(
    tx: &mut Tx,
    shares: &[Share],
    capacity: &Capacity,
) -> Result<Vec<Picked>, StoreError> {
    let of = |field: fn(&Share) -> Uuid| shares.iter().map(field).collect::<Vec<Uuid>>();
    let rooms: Vec<i64> = shares.iter().map(|share| i64::from(share.room)).collect();
    let ordered: Vec<bool> = shares.iter().map(|share| share.is_ordered).collect();
    let of_organizations: Vec<i64> =
        shares.iter().map(|s| i64::from(capacity.of_organization(s.organization))).collect();
    query_as!(
        Picked,
        r#"select id as "delivery!", webhook_id as "endpoint!" from (
             select *, row_number() over (
                 partition by organization_id order by turn, next_attempt_at) as of_organization
             from (
                 select d.*, share.organization_id, share.organization_room, row_number() over (
                     partition by d.webhook_id order by d.next_attempt_at, d.id) as turn
                 from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bool[], $5::bigint[])
                     as share (webhook_id, organization_id, room, is_ordered, organization_room)
                 cross join lateral (
                     select q.id, q.webhook_id, q.next_attempt_at from webhook_deliveries q
                     where q.webhook_id = share.webhook_id and q.state = 'pending'
                       and q.owner = 'queue' and q.next_attempt_at <= now()
                       and not (share.is_ordered and q.call_id is not null and exists (
                           select from webhook_deliveries e
                           where e.call_id = q.call_id and e.webhook_id = q.webhook_id
                             and e.state = 'pending' and e.event_id < q.event_id))
                     order by q.next_attempt_at, q.id limit share.room
                     for update skip locked
                 ) d
             ) by_endpoint
         ) by_organization
         where of_organization <= organization_room
         order by turn, next_attempt_at limit $6"#,
        &of(|share| share.endpoint),
        &of(|share| share.organization),
        &rooms,
        &ordered,
        &of_organizations,
        i64::from(capacity.room),
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.pick")
}

/// Events of ordered endpoints that wait for an earlier one of their call are looked at again when they
/// have waited a quarter longer; those whose earlier one is under way just now, when that has ended.
/// Whether there are such.
async fn put_off(tx: &mut Tx, shares: &[Share], picked: &[Uuid]) -> Result<bool, StoreError> {
    let ordered: Vec<Uuid> =
        shares.iter().filter(|share| share.is_ordered).map(|share| share.endpoint).collect();
    if ordered.is_empty() {
        return Ok(false);
    }
    let row = query!(
        r#"with blocked as (
             select q.id, q.created_at, (
                 select bool_or(e.attempting_since is not null or e.id = any($2))
                 from webhook_deliveries e
                 where e.call_id = q.call_id and e.webhook_id = q.webhook_id
                   and e.state = 'pending' and e.event_id < q.event_id) as is_short
             from webhook_deliveries q
             where q.webhook_id = any($1) and q.state = 'pending' and q.owner = 'queue'
               and q.next_attempt_at <= now() and q.call_id is not null and q.id <> all($2)
             limit $3 for update skip locked
         ), put_off as (
             update webhook_deliveries q set next_attempt_at = now() + least(
                 greatest((now() - blocked.created_at) / 4, interval '50 milliseconds'),
                 interval '30 seconds')
             from blocked where q.id = blocked.id and not blocked.is_short
         )
         select coalesce(bool_or(is_short), false) as "is_short!" from blocked"#,
        &ordered,
        picked,
        PUT_OFF,
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
