//! Deliveries of events to customers' endpoints: a queue, and the log of their attempts.
//!
//! A pending delivery belongs to the queue, which attempts it when it is due, or to its workflow, once an
//! attempt has failed. Whoever attempts it claims it first, for a while; a claim that nobody settled is an
//! attempt that was interrupted, and the next claim says so in the log. What an endpoint must not get now
//! (its circuit is open, a rate or an order holds it back) waits in the queue.

mod busy;
mod claim;
pub mod generated;
mod health;
mod looks;
mod queue;
mod record;
mod rules;
mod settle;
mod share;
mod tell;
mod turn;

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::{
    delivery::DeliverySchedule,
    ids::{DeliveryId, EndpointId, OrganizationId},
};
use secrecy::SecretString;
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    sealing::Place,
};

pub use busy::Busy;
pub use claim::{OfCall, Tried, claim_of_call};
pub use queue::{Capacity, Due, Queue};
pub use record::{Haste, Recorder};
pub use rules::Ruled;
pub use settle::{Attempted, Next};
pub use tell::{OwnersNotice, owners_notice};
pub use turn::{Turn, claim_turn};

/// Deliveries of disabled endpoints that end beside other work: nobody waits for a long backlog.
const ENDED_AT_ONCE: i64 = 1000;
/// An attempt and what surrounds it take half of this; then somebody else may try.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How long after its next attempt a delivery's workflow is taken for lost.
const WORKFLOW_GRACE: Duration = Duration::from_secs(60);

/// A delivery that is the caller's to attempt, for half a minute.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Owner.
    pub organization_id: OrganizationId,
    /// The delivery.
    pub id: DeliveryId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The event: the `webhook-id` of every attempt.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: String,
    /// Where it goes.
    pub url: String,
    /// The bytes to send and sign.
    pub body: String,
    /// The endpoint's secret, then the previous one while a rotation lasts. None that can be opened: none.
    pub secrets: Vec<SecretString>,
    /// The customer's own headers.
    pub headers: Vec<(String, SecretString)>,
    /// When to try again.
    pub schedule: DeliverySchedule,
    /// Attempts made so far, since it was last begun.
    pub attempts: u32,
    /// And before that.
    earlier_attempts: u32,
    /// Proof of the claim.
    since: DateTime<Utc>,
}

impl Claimed {
    /// Whether this is the first attempt of a later round.
    const fn is_begun_anew(&self) -> bool {
        self.attempts == 0 && self.earlier_attempts > 0
    }
}

pub(crate) const fn place(organization: OrganizationId, column: &'static str) -> Place {
    Place { table: "webhooks", column, organization }
}

/// Gives deliveries to the queue whose workflow should have made an attempt long ago: it was never started,
/// or was lost with Temporal's data. How many.
pub async fn release_overdue(db: &Database, limit: i64) -> Result<u64, StoreError> {
    const OPERATION: &str = "deliveries.release_overdue";
    let mut tx = db.queue().await?;
    let released = query!(
        "update webhook_deliveries set owner = 'queue', next_attempt_at = now()
         where id = any(array(
             select id from webhook_deliveries
             where state = 'pending' and owner = 'workflow' and next_attempt_at <= now()
             order by next_attempt_at limit $1 for update skip locked
         ))",
        limit,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(released.rows_affected())
}

/// What waits to be delivered, in all organizations and for whatever reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// When the oldest of it was to be told; nothing where nothing waits.
    pub oldest: Option<DateTime<Utc>>,
}

/// Looks at what waits.
pub async fn backlog(db: &Database) -> Result<Backlog, StoreError> {
    const OPERATION: &str = "deliveries.backlog";
    let mut tx = db.queue().await?;
    // As the predicate of its index says.
    let row = query!(
        "select created_at from webhook_deliveries
         where state = 'pending' and attempts >= 0 order by created_at limit 1"
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Backlog { oldest: row.map(|row| row.created_at) })
}

/// Begins deliveries that have ended anew, due at `at`: the same bytes under the same id, as if they had
/// never been attempted. The caller has locked them.
pub(crate) async fn begin_anew(
    tx: &mut Tx,
    deliveries: &[Uuid],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    query!(
        "update webhook_deliveries set state = 'pending', owner = 'queue', settled_at = null,
             earlier_attempts = earlier_attempts + attempts, attempts = 0, attempting_since = null,
             next_attempt_at = greatest($2, now())
         where id = any($1) and state <> 'pending'",
        deliveries,
        at,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.begin_anew")
}

/// Gives a delivery up after its last attempt.
pub async fn give_up(
    db: &Database,
    organization: OrganizationId,
    delivery: DeliveryId,
) -> Result<(), StoreError> {
    const OPERATION: &str = "deliveries.give_up";
    let mut tx = db.tenant(organization).await?;
    query!(
        "update webhook_deliveries set settled_at = now(), attempting_since = null, state = 'failed'
         where id = $1 and state = 'pending' and owner = 'workflow'",
        delivery.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

/// Ends pending deliveries of endpoints that take nothing any more, at most `limit` of each owner's, and none
/// that somebody is at work on just now: where more is left, the queue ends it when it is due.
pub(crate) async fn end_pending(
    tx: &mut Tx,
    endpoints: &[Uuid],
    limit: i64,
) -> Result<(), StoreError> {
    let rows = query!(
        r#"with queued as (
             select id from webhook_deliveries
             where webhook_id = any($1) and state = 'pending' and owner = 'queue'
             limit $2 for update skip locked
         ), asleep as (
             select id from webhook_deliveries
             where webhook_id = any($1) and state = 'pending' and owner = 'workflow'
             limit $2 for update skip locked
         )
         select id as "id!" from queued union all select id from asleep"#,
        endpoints,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.pending")?;
    let ids: Vec<Uuid> = rows.into_iter().map(|row| row.id).collect();
    disable(tx, &ids).await
}

/// Ends deliveries, which the transaction holds, because their endpoint takes nothing any more. The log
/// says so, and that an attempt was under way, which may have arrived.
pub(crate) async fn disable(tx: &mut Tx, deliveries: &[Uuid]) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    query!(
        "with ended as (
             select d.*, coalesce(event, body::jsonb->>'type', 'unknown') as event_type
             from webhook_deliveries d where id = any($1) and state = 'pending'
         ), told as (
             insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event, event_id,
                 payload, kind, error, attempt_number, created_at)
             select gen_random_uuid(), webhook_id, organization_id, id, event_type, event_id,
                 null, 'skip', 'disabled', 0, now() from ended
             union all
             select gen_random_uuid(), webhook_id, organization_id, id, event_type, event_id,
                 body::jsonb, 'attempt', 'interrupted', earlier_attempts + attempts + 1,
                 attempting_since from ended where attempting_since is not null
         )
         update webhook_deliveries d set state = 'disabled', settled_at = now(),
             attempts = d.attempts + case when d.attempting_since is null then 0 else 1 end,
             attempting_since = null
         where d.id = any(array(select ended.id from ended))",
        deliveries,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.disable")
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn schedule(own: Option<Vec<i32>>) -> DeliverySchedule {
    let seconds = |wait: i32| u64::try_from(wait).unwrap_or(0);
    own.map_or_else(DeliverySchedule::default, |waits| {
        DeliverySchedule::of_waits(waits.into_iter().map(seconds).collect())
    })
}
