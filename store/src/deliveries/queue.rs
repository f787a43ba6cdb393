//! The queue: what is due, a fair share for every endpoint.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use contract::ids::{EndpointId, OrganizationId};
use secrecy::SecretString;
use sqlx::{PgConnection, query_as};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    Claimed,
    claim::Taken,
    looks::{Looks, Walk},
    number,
    rules::{Ruled, claim_by_rules},
    share::{Share, pick},
};
use crate::{Database, StoreError, database::connect_claimer, error::During, sealing::Sealer};

/// Claimed at once: what waits for the claim meanwhile is in the next.
const MOST_CLAIMED: u32 = 128;
/// Attempts at one endpoint at once, by one process.
const AT_ONCE: u32 = 32;
/// And where the last one failed: a hung endpoint holds few of our places.
const AT_ONCE_FAILING: u32 = 4;
/// Attempts at the endpoints of one organization at once: many that hang hold a part of our places.
const AT_ONCE_ORGANIZATION: u32 = 128;
/// Endpoints served by one claim, the longest waiting first: the next claim has the others.
const SERVED: usize = 256;

/// Turns of a look that are kept for an endpoint with rules while others, which are claimed for first, could
/// take them.
const RESERVED: u32 = 2;

/// What the process can take.
#[derive(Debug, Clone, Default)]
pub struct Capacity {
    /// Attempts more, at all endpoints.
    pub free: u32,
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

    /// Deliveries of one claim.
    fn room(&self) -> u32 {
        self.free.min(MOST_CLAIMED)
    }

    /// At most half of what is free, so that no number of organizations takes the last place from another.
    fn left_to(&self, organization: Uuid) -> u32 {
        let of_it = self.under_way.iter().filter(|((of, _), _)| of.0 == organization);
        let left = AT_ONCE_ORGANIZATION.saturating_sub(of_it.map(|(_, count)| count).sum());
        left.min(self.free.div_ceil(2))
    }
}

/// What was due.
#[derive(Debug, Default)]
pub struct Due {
    /// The caller's to attempt.
    pub claimed: Vec<Claimed>,
    /// What else is due, for [`Queue::claim_ruled`].
    pub ruled: Option<Ruled>,
    /// Whether more is held back only for a moment: by a rate, or by what its endpoint just got.
    pub is_paced: bool,
    /// When the first that just got much may get more.
    pub rest_ends: Option<Instant>,
    /// Whether more waits until an attempt under way has ended.
    pub is_full: bool,
    /// Whether more may be due than was found: endpoints without a backlog got several at once, or one with a
    /// backlog has room again with each attempt that ends.
    pub is_busy: bool,
}

impl Due {
    /// These were claimed, which took so long.
    pub(super) fn add(
        &mut self,
        taken: Vec<Taken>,
        took: Duration,
        sealer: &Sealer,
        looks: &mut Looks,
    ) {
        looks.claimed(taken.iter().map(|taken| taken.webhook_id), took);
        self.rest_ends = looks.rest_ends();
        self.claimed.extend(taken.into_iter().map(|taken| taken.open(sealer)));
    }
}

/// Claims from the queue, by single statements of a connection of its own, as long as nothing but deliveries
/// changes by it.
#[derive(Debug)]
pub struct Queue {
    url: SecretString,
    /// Taken out while it is used: one that is left in mid-statement is closed.
    connection: Option<PgConnection>,
    looks: Looks,
}

impl Queue {
    /// Connects when first used.
    pub fn new(url: &SecretString) -> Self {
        Self { url: url.clone(), connection: None, looks: Looks::default() }
    }

    /// Claims what is due, oldest first within an endpoint. Each statement has five seconds; where Postgres
    /// does not answer at all, the caller gives up. Dropped in the middle otherwise, it may leave deliveries
    /// claimed, until their leases are over.
    pub async fn claim(&mut self, sealer: &Sealer, capacity: &Capacity) -> Result<Due, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect_claimer(&self.url).await?,
        };
        let way = self.looks.begin();
        let found = walk(&mut connection, &way, &mut self.looks).await?;
        let mut due = Due { is_paced: !way.left_out.is_empty(), ..Due::default() };
        let Shares { plain, ruled, over, reserved } =
            share_out(found, capacity, &self.looks, &mut due);
        let room = capacity.room().saturating_sub(reserved);
        let began = Instant::now();
        let taken = pick(&mut connection, &plain, room).await?;
        self.connection = Some(connection);
        due.is_paced |= plain.iter().any(|share| self.looks.has_backlog(share.endpoint));
        due.is_busy = !ruled.is_empty()
            || !over.is_empty()
            || is_busy(
                taken.iter().map(|taken| (taken.organization_id, taken.webhook_id)),
                room,
                &plain,
                &self.looks,
            );
        due.add(taken, began.elapsed(), sealer, &mut self.looks);
        due.is_busy |= plain.iter().any(|share| {
            self.looks.has_backlog(share.endpoint) && !self.looks.rests(share.endpoint)
        });
        let asked = ruled.len();
        let ruled = Ruled::after(&due.claimed, capacity.room(), ruled, over);
        due.is_full |= ruled.served() < asked || room == 0 && !plain.is_empty();
        due.ruled = Some(ruled).filter(|ruled| !ruled.is_empty());
        Ok(due)
    }

    /// Claims by the rules of endpoints that have some, into `due`. What fails, or takes longer than `limit`,
    /// waits for a while.
    pub async fn claim_ruled(
        &mut self,
        db: &Database,
        sealer: &Sealer,
        ruled: Ruled,
        limit: Duration,
        due: &mut Due,
    ) {
        let endpoints = ruled.endpoints();
        let claiming = claim_by_rules(db, sealer, ruled, &mut self.looks, due);
        if timeout(limit, claiming).await.is_err() {
            tracing::warn!("a claim by the rules of endpoints took too long");
            self.looks.failed(endpoints);
        }
    }
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
    /// Nothing may leave, by its rate or because it asked for nothing.
    is_paced: bool,
    /// But in a moment.
    is_soon: bool,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// Walks from endpoint to endpoint, whatever the length of their queues; the longest due first.
async fn walk(
    connection: &mut PgConnection,
    way: &Walk,
    looks: &mut Looks,
) -> Result<Vec<Found>, StoreError> {
    let began = Instant::now();
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
             coalesce(w.paced_until <= now() + interval '1 second', false) as "is_soon!",
             due.since as "since!", now() as "now!"
         from due join webhooks w on w.id = due.webhook_id"#,
        &way.after,
        &way.before,
        &way.known,
        &way.floors,
    )
    .fetch_all(connection)
    .await
    .during("deliveries.walk")?;
    if way.is_whole {
        looks.walked(began.elapsed());
    }
    if let Some(now) = found.first().map(|found| found.now) {
        looks.learn(found.iter().map(|found| (found.id, found.since)), &way.left_out, now);
    }
    found.sort_by_key(|found| found.since);
    Ok(found)
}

/// Whether endpoints without a backlog got several by this claim, or may have more due. `taken` names
/// organizations and endpoints.
fn is_busy(
    taken: impl Iterator<Item = (Uuid, Uuid)> + Clone,
    room: u32,
    shares: &[Share],
    looks: &Looks,
) -> bool {
    let mut others = shares.iter().filter(|share| !looks.has_backlog(share.endpoint));
    let of = |organization| number(taken.clone().filter(|taken| taken.0 == organization).count());
    taken.clone().filter(|taken| !looks.has_backlog(taken.1)).count() > 1
        || number(taken.clone().count()) >= room
        || shares.len() >= SERVED
        || others.any(|share| share.room <= 1 || of(share.organization) >= share.left)
}

/// Who may get how much now.
struct Shares {
    /// Of what only deliveries change.
    plain: Vec<Share>,
    /// By rules.
    ruled: Vec<Share>,
    /// These take nothing any more.
    over: Vec<Uuid>,
    /// Turns that the plain ones leave to those with rules.
    reserved: u32,
}

fn share_out(found: Vec<Found>, capacity: &Capacity, looks: &Looks, due: &mut Due) -> Shares {
    let (mut shares, mut over) = (Vec::new(), Vec::new());
    for found in found {
        let under_way = capacity.at(found.organization_id, found.id);
        let room = Capacity::most(found.retry_count > 0).saturating_sub(under_way);
        let left = capacity.left_to(found.organization_id);
        let most = looks.most(found.id);
        match room.min(left) {
            _ if found.is_open => {}
            _ if looks.has_failed(found.id) => {}
            _ if most == 0 => due.is_paced = true,
            _ if !found.is_live => over.push(found.id),
            0 => due.is_full = true,
            _ if found.is_paced => due.is_paced |= found.is_soon,
            room => shares.push(Share {
                organization: found.organization_id,
                endpoint: found.id,
                under_way,
                room: if found.is_probed { 1 } else { room.min(most) },
                left,
                is_ordered: found.is_ordered,
                is_probed: found.is_probed,
                rate: found.rate_limit,
                since: found.since,
                until: DateTime::<Utc>::MAX_UTC,
            }),
        }
    }
    shares.truncate(SERVED);
    // What is locked beyond the claim is locked for nothing.
    let fair = capacity.room().saturating_mul(2) / number(shares.len()).max(1);
    shares.iter_mut().for_each(|share| share.room = share.room.min(fair.max(1)));
    let mut reserved = 0;
    if shares.iter().all(Share::is_plain) {
        return Shares { plain: shares, ruled: Vec::new(), over, reserved };
    }
    let (mut plain, ruled): (Vec<Share>, Vec<Share>) =
        shares.iter().cloned().partition(Share::is_plain);
    for (share, turns) in shares.iter().zip(turns(&shares, capacity.room())) {
        if share.is_plain() {
            continue;
        }
        // They may have less to claim than turns: what the plain ones leave is theirs, too.
        let turns = turns.min(RESERVED);
        reserved += turns;
        let others = plain.iter_mut().filter(|other| other.organization == share.organization);
        others.for_each(|other| other.left = other.left.saturating_sub(turns));
    }
    Shares { plain, ruled, over, reserved }
}

/// How many of the next turns each has, whatever it has due: who has the fewest under way is the next.
fn turns(shares: &[Share], room: u32) -> Vec<u32> {
    let mut turns = vec![0; shares.len()];
    let mut left: HashMap<Uuid, u32> =
        shares.iter().map(|share| (share.organization, share.left)).collect();
    let first = |(index, share): (usize, &Share)| Reverse((share.under_way, share.since, index));
    let mut next: BinaryHeap<_> = shares.iter().enumerate().map(first).collect();
    let mut room = room;
    while room > 0
        && let Some(Reverse((turn, since, index))) = next.pop()
    {
        let share = &shares[index];
        let left = left.entry(share.organization).or_default();
        if *left == 0 || turns[index] == share.room {
            continue;
        }
        *left -= 1;
        room -= 1;
        turns[index] += 1;
        next.push(Reverse((turn + 1, since, index)));
    }
    turns
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    /// An endpoint of an organization, with so many under way, due for so many seconds.
    fn share(organization: u128, under_way: u32, left: u32, seconds: i64) -> Share {
        Share {
            organization: Uuid::from_u128(organization),
            endpoint: Uuid::now_v7(),
            under_way,
            room: AT_ONCE - under_way,
            left,
            is_ordered: false,
            is_probed: false,
            rate: None,
            since: DateTime::UNIX_EPOCH - TimeDelta::seconds(seconds),
            until: DateTime::<Utc>::MAX_UTC,
        }
    }

    #[test]
    fn no_number_of_organizations_takes_the_last_place() {
        let mut capacity = Capacity { free: 512, under_way: HashMap::new() };
        let shares: Vec<u32> = (0..9)
            .map(|organization| {
                let left = capacity.left_to(Uuid::from_u128(organization));
                let at = (OrganizationId(Uuid::from_u128(organization)), EndpointId(Uuid::nil()));
                capacity.free -= left;
                capacity.under_way.insert(at, left);
                left
            })
            .collect();
        assert_eq!(shares, [128, 128, 128, 64, 32, 16, 8, 4, 2]);
        assert_eq!(Capacity { free: 1, ..Capacity::default() }.left_to(Uuid::nil()), 1);
        assert_eq!(Capacity { free: 512, ..Capacity::default() }.room(), MOST_CLAIMED);
    }

    #[test]
    fn a_look_is_busy_where_endpoints_without_a_backlog_may_have_more() {
        let (backlog, other) = (share(1, 0, 128, 9), share(2, 0, 128, 1));
        let mut looks = Looks::default();
        looks.claimed([backlog.endpoint; 8].into_iter(), Duration::ZERO);
        let is_busy = |taken: &[&Share], shares: &[&Share]| {
            let shares: Vec<Share> = shares.iter().copied().cloned().collect();
            let taken = taken.iter().map(|share| (share.organization, share.endpoint));
            is_busy(taken, 128, &shares, &looks)
        };
        let handful = Share { room: 3, ..backlog.clone() };
        let both = [&handful, &other];
        assert!(!is_busy(&[], &[]) && !is_busy(&[], &both) && !is_busy(&[&other], &[&other]));
        assert!(!is_busy(&[&backlog; 3], &[&handful]));
        assert!(!is_busy(&[&backlog, &backlog, &backlog, &other], &both));
        assert!(is_busy(&[&backlog, &other, &other], &both), "it got several");
        assert!(is_busy(&[&backlog; 128], &both), "no room was left to it");
        let full = Share { room: 1, ..other.clone() };
        assert!(is_busy(&[&full], &[&full]), "it may have no more at once");
        let last = Share { left: 1, ..other.clone() };
        assert!(!is_busy(&[], &[&last]) && is_busy(&[&last], &[&last]), "it got the last place");
        let beside = Share { organization: backlog.organization, left: 3, ..other.clone() };
        assert!(!is_busy(&[&backlog; 2], &[&backlog, &beside]));
        assert!(
            is_busy(&[&backlog; 3], &[&backlog, &beside]),
            "the backlog took its organization's places"
        );
        assert!(is_busy(&[], &vec![&other; SERVED]), "others are served by the next look");
    }

    #[test]
    fn turns_go_to_those_with_the_fewest_under_way() {
        let busy = share(1, 31, 128, 9);
        assert_eq!(turns(&[busy.clone(), share(2, 0, 128, 1)], 1), [0, 1]);
        assert_eq!(turns(&[busy, share(2, 0, 128, 1)], 128), [1, 32]);
        assert_eq!(turns(&[share(1, 0, 128, 1), share(2, 0, 128, 9)], 3), [1, 2]);
    }

    #[test]
    fn turns_of_an_organization_end_with_what_is_left_to_it() {
        let of_one = [share(1, 9, 2, 9), share(1, 0, 2, 1), share(2, 9, 128, 1)];
        assert_eq!(turns(&of_one, 128), [0, 2, 23]);
        assert_eq!(turns(&of_one, 0), [0, 0, 0]);
    }
}
