//! Claims where there are probes, rates and an order to keep, or endpoints that take nothing any more.

use std::{collections::HashMap, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{postgres::types::PgInterval, query};
use uuid::Uuid;

use super::{
    Claimed, Due, ENDED_AT_ONCE, LEASE, WORKFLOW_GRACE,
    claim::Taken,
    end_pending,
    looks::Looks,
    number,
    share::{Share, pick},
};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    sealing::Sealer,
};

/// A rate is kept by the time that the next delivery may leave; a look that comes a little late makes
/// up for so much. Seconds.
const LATE: f64 = 0.05;
/// Where the probe of a circuit cannot be made now, it is looked for again this much later. Seconds.
const PROBE_AGAIN: f64 = 1.0;
/// What a rate holds back for longer is told in the log.
const TOLD_WAIT: TimeDelta = TimeDelta::seconds(1);
/// Of an ordered endpoint a look sees so many of what is due; what waits there for an earlier event is put off,
/// so that the next look sees others.
const WINDOW: i64 = 250;
/// Where so many fail one after the other, it may be no fault of theirs.
const FAULTS: u32 = 2;

/// Endpoints with something due whose own rows change when it is claimed.
#[derive(Debug)]
pub struct Ruled {
    shares: Vec<Share>,
    /// These take nothing any more; an event may have been written while they were disabled.
    over: Vec<Uuid>,
    /// Deliveries in all.
    room: u32,
}

impl Ruled {
    /// What is left to these after others got theirs, of so much room.
    pub(super) fn after(
        claimed: &[Claimed],
        room: u32,
        mut shares: Vec<Share>,
        over: Vec<Uuid>,
    ) -> Self {
        let room = room.saturating_sub(number(claimed.len()));
        shares.iter_mut().for_each(|share| share.after(claimed));
        shares.retain(|share| room > 0 && share.left > 0);
        Self { shares, over, room }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shares.is_empty() && self.over.is_empty()
    }

    /// Those that may get something.
    pub(super) fn served(&self) -> usize {
        self.shares.len()
    }

    pub(super) fn endpoints(&self) -> Vec<Uuid> {
        let served = self.shares.iter().map(|share| share.endpoint);
        served.chain(self.over.iter().copied()).collect()
    }
}

/// Claims into `due`. One whose claim fails must not keep the others: it waits for a later look.
pub(super) async fn claim_by_rules(
    db: &Database,
    sealer: &Sealer,
    ruled: Ruled,
    looks: &mut Looks,
    due: &mut Due,
) {
    let Ruled { shares, over, room } = ruled;
    if let Err(error) = claim(db, sealer, shares.clone(), room, looks, due).await {
        tracing::warn!(%error, "endpoints with rules are claimed for one by one");
        one_by_one(db, sealer, shares, room, looks, due).await;
    }
    if let Err(error) = end(db, &over).await {
        tracing::warn!(%error, "what waits for disabled endpoints ends later");
        looks.failed(over);
    }
}

async fn one_by_one(
    db: &Database,
    sealer: &Sealer,
    shares: Vec<Share>,
    room: u32,
    looks: &mut Looks,
    due: &mut Due,
) {
    let before = due.claimed.len();
    let mut faults = 0;
    for mut share in shares {
        let claimed = due.claimed.get(before..).unwrap_or_default();
        share.after(claimed);
        let room = room.saturating_sub(number(claimed.len()));
        let endpoint = share.endpoint;
        if room == 0 || share.left == 0 {
            continue;
        }
        match claim(db, sealer, vec![share], room, looks, due).await {
            Ok(()) => faults = 0,
            Err(error) => {
                tracing::warn!(%error, %endpoint, "deliveries of an endpoint wait for a later look");
                looks.failed([endpoint]);
                faults += 1;
            }
        }
        // The others are found by the next look, without these.
        if faults == FAULTS {
            due.is_paced = true;
            break;
        }
    }
}

async fn end(db: &Database, over: &[Uuid]) -> Result<(), StoreError> {
    if over.is_empty() {
        return Ok(());
    }
    let mut tx = db.queue().await?;
    end_pending(&mut tx, over, ENDED_AT_ONCE).await?;
    commit(tx, "deliveries.end").await
}

/// Claims into `due`.
async fn claim(
    db: &Database,
    sealer: &Sealer,
    mut shares: Vec<Share>,
    room: u32,
    looks: &mut Looks,
    due: &mut Due,
) -> Result<(), StoreError> {
    if shares.is_empty() {
        return Ok(());
    }
    let mut tx = db.claims().await?;
    let (began, asked) = (Instant::now(), shares.len());
    half_open(&mut tx, &mut shares).await?;
    limit_by_rates(&mut tx, &mut shares).await?;
    // Somebody holds their rows just now.
    due.is_paced |= shares.len() < asked;
    let seen = put_off(&mut tx, &mut shares).await?;
    let taken = pick(&mut tx, &shares, room).await?;
    tell_of_waits(&mut tx, &shares, &taken).await?;
    probe(&mut tx, &shares, &taken).await?;
    pace(&mut tx, &shares, &taken).await?;
    commit(tx, "deliveries.claim_by_rules").await?;
    due.is_full |= seen.waits;
    due.is_paced |= seen.is_part;
    due.add(taken, began.elapsed(), sealer, looks);
    Ok(())
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
async fn probe(tx: &mut Tx, shares: &[Share], taken: &[Taken]) -> Result<(), StoreError> {
    let of = |share: &Share| {
        taken.iter().find(|taken| taken.webhook_id == share.endpoint).map(|taken| taken.id)
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

/// What a look sees of ordered endpoints.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Something waits for an earlier event that is under way, or due.
    waits: bool,
    /// More may be due than it looks at.
    is_part: bool,
}

/// Events of ordered endpoints that wait for an earlier one of their call are put off until that one's
/// next attempt, but for those whose earlier one is under way, or due: these only where nothing else may be
/// seen for them, and behind one under way for as long as that has been so already. Shares get to know how
/// far this looked. Others hold deliveries before their endpoint, so nothing is waited for here.
async fn put_off(tx: &mut Tx, shares: &mut [Share]) -> Result<Seen, StoreError> {
    let (ordered, since): (Vec<Uuid>, Vec<DateTime<Utc>>) = shares
        .iter()
        .filter(|share| share.is_ordered)
        .map(|share| (share.endpoint, share.since))
        .unzip();
    let mut seen = Seen { waits: false, is_part: false };
    if ordered.is_empty() {
        return Ok(seen);
    }
    let rows = query!(
        r#"with waiting as materialized (
             select q.* from unnest($1::uuid[], $2::timestamptz[]) as share (webhook_id, since)
             cross join lateral (
                 select d.id, d.webhook_id, d.call_id, d.event_id, d.next_attempt_at
                 from webhook_deliveries d
                 where d.webhook_id = share.webhook_id and d.state = 'pending'
                   and d.owner = 'queue' and d.next_attempt_at >= share.since
                   and d.next_attempt_at <= now()
                 order by d.next_attempt_at, d.id limit $3
             ) q
         ), seen as (
             select webhook_id, count(*) = $3 as is_part, max(next_attempt_at) as until
             from waiting group by webhook_id
         ), blocked as materialized (
             select waiting.id, waiting.webhook_id,
                 first.attempting_since is not null
                     or first.owner = 'queue' and first.next_attempt_at <= now() as is_short,
                 case when first.attempting_since is not null
                         then now() + (now() - first.attempting_since)
                     when first.owner = 'workflow' then first.next_attempt_at - $4::interval
                     else first.next_attempt_at end as free_at
             from waiting
             cross join lateral (
                 -- A call has few; the order of all events is no way to find them.
                 select * from (
                     select e.id, e.event_id, e.owner, e.attempting_since, e.next_attempt_at
                     from webhook_deliveries e
                     where e.call_id = waiting.call_id and e.webhook_id = waiting.webhook_id
                       and e.state = 'pending' and e.event_id < waiting.event_id offset 0
                 ) earlier order by event_id limit 1
             ) first
             where waiting.call_id is not null
         ), held as materialized (
             select d.id from (
                 select d.id, d.state, d.owner, d.next_attempt_at from webhook_deliveries d
                 where d.id = any(array(
                     select blocked.id from blocked join seen using (webhook_id)
                     where not blocked.is_short or seen.is_part))
                 offset 0 for update skip locked
             ) d
             where d.state = 'pending' and d.owner = 'queue' and d.next_attempt_at <= now()
         ), put_off as (
             update webhook_deliveries d set next_attempt_at = least(
                 greatest((select free_at from blocked where blocked.id = d.id),
                     now() + interval '250 milliseconds'),
                 now() + interval '5 minutes')
             where d.id = any(array(select id from held))
         )
         select webhook_id as "webhook_id!", is_part as "is_part!", until as "until!",
             exists (select from blocked where is_short) as "waits!"
         from seen"#,
        &ordered,
        &since,
        WINDOW,
        PgInterval::try_from(WORKFLOW_GRACE).unwrap_or_default(),
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.put_off")?;
    for row in rows {
        seen.waits |= row.waits;
        seen.is_part |= row.is_part;
        let ours = shares.iter_mut().filter(|share| share.endpoint == row.webhook_id);
        ours.filter(|_| row.is_part).for_each(|share| share.until = row.until);
    }
    Ok(seen)
}

/// What a rate has held back for longer than a moment has a line in the log.
async fn tell_of_waits(tx: &mut Tx, shares: &[Share], taken: &[Taken]) -> Result<(), StoreError> {
    let is_rated = |endpoint: Uuid| {
        shares.iter().any(|share| share.endpoint == endpoint && share.rate.is_some())
    };
    let waited: Vec<Uuid> = taken
        .iter()
        .filter(|taken| taken.attempts == 0 && is_rated(taken.webhook_id))
        .filter(|taken| taken.since - taken.due_at > TOLD_WAIT)
        .map(|taken| taken.id)
        .collect();
    if waited.is_empty() {
        return Ok(());
    }
    query!(
        "insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event, event_id,
             kind, error, attempt_number)
         select gen_random_uuid(), webhook_id, organization_id, id,
             coalesce(event, 'unknown'), event_id, 'skip', 'rate-limited', 0
         from webhook_deliveries where id = any($1)",
        &waited,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.tell_of_waits")
}

/// Moves the time of the next one on by what leaves now.
async fn pace(tx: &mut Tx, shares: &[Share], taken: &[Taken]) -> Result<(), StoreError> {
    let leaving = |share: &Share| {
        let leaving = taken.iter().filter(|taken| taken.webhook_id == share.endpoint).count();
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
