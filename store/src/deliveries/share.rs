//! Whose turn it is.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::types::PgInterval};
use uuid::Uuid;

use super::{
    Claimed, LEASE,
    claim::{Taken, take_picked},
    number,
};
use crate::{StoreError, error::During};

/// An endpoint with something due, and how much of it may leave.
#[derive(Debug, Clone)]
pub(super) struct Share {
    pub(super) organization: Uuid,
    pub(super) endpoint: Uuid,
    /// Attempts under way: who has fewer is served first.
    pub(super) under_way: u32,
    pub(super) room: u32,
    /// Attempts that its organization may add to those under way.
    pub(super) left: u32,
    pub(super) is_ordered: bool,
    pub(super) is_probed: bool,
    pub(super) rate: Option<i32>,
    /// Since when the first of its deliveries is due.
    pub(super) since: DateTime<Utc>,
    /// What was due later is not looked at.
    pub(super) until: DateTime<Utc>,
}

impl Share {
    /// Whether nothing but its deliveries changes when they are claimed.
    pub(super) const fn is_plain(&self) -> bool {
        !self.is_ordered && !self.is_probed && self.rate.is_none()
    }

    /// These were claimed before it.
    pub(super) fn after(&mut self, claimed: &[Claimed]) {
        let of_organization = claimed.iter().filter(|c| c.organization_id.0 == self.organization);
        self.left = self.left.saturating_sub(number(of_organization.count()));
    }
}

/// Claims those whose turn it is. Who has the fewest under way is first, so that a slow endpoint keeps no
/// place from another. Within a call of an ordered endpoint, only what no earlier event still waits before.
pub(super) async fn pick(
    connection: &mut PgConnection,
    shares: &[Share],
    room: u32,
) -> Result<Vec<Taken>, StoreError> {
    if shares.is_empty() {
        return Ok(Vec::new());
    }
    let of = |field: fn(&Share) -> Uuid| shares.iter().map(field).collect::<Vec<Uuid>>();
    let rooms: Vec<i64> = shares.iter().map(|share| i64::from(share.room)).collect();
    let ordered: Vec<bool> = shares.iter().map(|share| share.is_ordered).collect();
    let under_way: Vec<i64> = shares.iter().map(|share| i64::from(share.under_way)).collect();
    let left: Vec<i64> = shares.iter().map(|share| i64::from(share.left)).collect();
    let since: Vec<DateTime<Utc>> = shares.iter().map(|share| share.since).collect();
    let until: Vec<DateTime<Utc>> = shares.iter().map(|share| share.until).collect();
    take_picked!(
        "select id, tid, next_attempt_at, attempting_since, attempts, earlier_attempts from (
             select *, row_number() over (
                 partition by organization_id order by turn, next_attempt_at) as of_organization
             from (
                 select d.*, share.organization_id, share.of_organization_left,
                     share.under_way + row_number() over (
                         partition by d.webhook_id order by d.next_attempt_at, d.id) as turn
                 from unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bool[], $6::bigint[],
                         $7::bigint[], $8::timestamptz[], $10::timestamptz[])
                     as share (webhook_id, organization_id, room, is_ordered, under_way,
                         of_organization_left, since, until)
                 cross join lateral (
                     select q.id, q.ctid as tid, q.webhook_id, q.next_attempt_at,
                         q.attempting_since, q.attempts, q.earlier_attempts
                     from webhook_deliveries q
                     where q.webhook_id = share.webhook_id and q.state = 'pending'
                       and q.owner = 'queue' and q.next_attempt_at >= share.since
                       and q.next_attempt_at <= now() and q.next_attempt_at <= share.until
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
         order by turn, next_attempt_at limit $9",
        &of(|share| share.endpoint),
        &of(|share| share.organization),
        &rooms,
        &ordered,
        &under_way,
        &left,
        &since,
        i64::from(room),
        &until,
    )
    .fetch_all(connection)
    .await
    .during("deliveries.pick")
}
