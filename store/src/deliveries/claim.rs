//! Claims: a delivery is its claimer's for a while, and what an earlier one left is told.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    calls::CallRef,
    delivery::DeliverySchedule,
    ids::{DeliveryId, EndpointId, OrganizationId},
};
use secrecy::SecretString;
use sqlx::{postgres::types::PgInterval, query};
use uuid::Uuid;

use super::{Busy, Claimed, LEASE, WORKFLOW_GRACE, begin_anew, count, place, schedule};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    sealing::Sealer,
};

/// Attempts that a call's first step makes at once; an organization has rarely more endpoints.
const MAX_FIRST_ATTEMPTS: usize = 100;

/// What a call's first step finds.
#[derive(Debug)]
pub struct OfCall {
    /// To be attempted by it.
    pub claimed: Vec<Claimed>,
    /// Whether others are the queue's to make, now.
    pub left: bool,
    /// Tried once before: the workflows of these may not have been started.
    pub tried: Vec<Tried>,
}

/// A delivery whose first attempt failed.
#[derive(Debug)]
pub struct Tried {
    /// The delivery.
    pub id: DeliveryId,
    /// When to try again.
    pub schedule: DeliverySchedule,
    /// What is left of the wait before its next attempt, which its endpoint may have asked for.
    pub wait: Duration,
}

/// Claims the first attempts at the deliveries of a call's final events, but for endpoints that are
/// `busy` and those that the queue alone serves. With `again` what was given up is begun anew.
pub async fn claim_of_call(
    db: &Database,
    sealer: &Sealer,
    call: CallRef,
    again: bool,
    busy: &Busy,
) -> Result<OfCall, StoreError> {
    const OPERATION: &str = "deliveries.claim_of_call";
    let mut tx = db.tenant(call.organization_id).await?;
    if again {
        begin_given_up(&mut tx, call).await?;
    }
    let rows = query!(
        r#"select d.id, d.webhook_id, d.owner = 'workflow' as "is_tried!", w.schedule,
             greatest(extract(epoch from d.next_attempt_at - now()), 0)::float8 as "wait!",
             d.attempts = 0 and d.event is distinct from 'call.started' and w.circuit = 'closed'
                 and w.rate_limit is null and w.ordering = 'none'
                 and coalesce(w.paced_until <= now(), true) as "inline!"
         from webhook_deliveries d
         cross join lateral (select w.* from webhooks w where w.id = d.webhook_id offset 0) w
         where d.call_id = $1 and d.state = 'pending' and d.attempting_since is null
             and (d.owner = 'queue' or d.attempts = 1) and w.enabled and w.deleted_at is null
         order by d.created_at, d.id
         for update of d skip locked"#,
        call.call_id.0,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    let (tried, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_tried);
    let (mut ours, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.inline && !busy.holds(EndpointId(row.webhook_id)));
    let mut left: Vec<Uuid> = others.iter().map(|row| row.id).collect();
    left.extend(ours.split_off(ours.len().min(MAX_FIRST_ATTEMPTS)).iter().map(|row| row.id));
    if !left.is_empty() {
        query!(
            "update webhook_deliveries set next_attempt_at = least(next_attempt_at, now())
             where id = any($1) and attempts = 0",
            &left,
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    }
    let ours: Vec<Uuid> = ours.iter().map(|row| row.id).collect();
    let claimed = take(&mut tx, sealer, &ours).await?;
    commit(tx, OPERATION).await?;
    let tried = tried.into_iter().map(|row| Tried {
        id: DeliveryId(row.id),
        schedule: schedule(row.schedule),
        wait: Duration::from_secs_f64(row.wait).saturating_sub(WORKFLOW_GRACE),
    });
    Ok(OfCall { claimed, left: !left.is_empty(), tried: tried.collect() })
}

/// Begins what was given up anew, where the endpoint takes it.
async fn begin_given_up(tx: &mut Tx, call: CallRef) -> Result<(), StoreError> {
    let rows = query!(
        "select d.id from webhook_deliveries d join webhooks w on w.id = d.webhook_id
         where d.call_id = $1 and d.state in ('failed', 'disabled')
           and w.enabled and w.deleted_at is null
         order by d.id for update of d",
        call.call_id.0,
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.given_up")?;
    let ids: Vec<Uuid> = rows.into_iter().map(|row| row.id).collect();
    // The step that asks has this long; then they are the queue's.
    begin_anew(tx, &ids, Utc::now() + TimeDelta::minutes(1)).await
}

/// A delivery that was claimed, and its endpoint.
pub(super) struct Taken {
    pub(super) id: Uuid,
    pub(super) organization_id: Uuid,
    pub(super) webhook_id: Uuid,
    pub(super) event_id: Uuid,
    pub(super) event: String,
    pub(super) body: String,
    pub(super) attempts: i32,
    pub(super) earlier_attempts: i32,
    pub(super) since: DateTime<Utc>,
    /// When it was to be attempted.
    pub(super) due_at: DateTime<Utc>,
    pub(super) url: String,
    pub(super) secret: Vec<u8>,
    pub(super) previous_secret: Option<Vec<u8>>,
    pub(super) headers: Option<Vec<u8>>,
    pub(super) schedule: Option<Vec<i32>>,
}

/// Claims the deliveries that a statement, which locks them, gives as they are now: `id`, `ctid` as `tid`,
/// `next_attempt_at`, `attempting_since`, `attempts` and `earlier_attempts`. An earlier claim that nobody
/// settled was an attempt: it may have arrived, and it counts. The lease is the first argument.
///
/// Rows are found where they lie, and endpoints by their key, apart from all else: what Postgres believes of the
/// sizes of tables changes nothing. One that changed since the statement began is not claimed.
macro_rules! take_picked {
    ($picked:literal, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Taken,
            "with picked as materialized (" + $picked + r#"), interrupted as (
                 insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event,
                     event_id, payload, error, attempt_number, created_at)
                 select gen_random_uuid(), d.webhook_id, d.organization_id, picked.id,
                     coalesce(d.event, d.body::jsonb->>'type', 'unknown'), d.event_id,
                     d.body::jsonb, 'interrupted', picked.earlier_attempts + picked.attempts + 1,
                     picked.attempting_since
                 from picked cross join lateral (
                     select d.* from webhook_deliveries d where d.ctid = picked.tid offset 0
                 ) d
                 where picked.attempting_since is not null
             ), taken as (
                 update webhook_deliveries d
                 set attempting_since = now(), next_attempt_at = now() + $1::interval,
                     attempts = d.attempts + case when d.attempting_since is null then 0 else 1 end
                 where d.ctid = any(array(select picked.tid from picked))
                 returning d.*
             )
             select d.id as "id!", d.organization_id as "organization_id!",
                 d.webhook_id as "webhook_id!", d.event_id as "event_id!",
                 -- A worker of an earlier release writes none.
                 coalesce(d.event, d.body::jsonb->>'type', 'unknown') as "event!", d.body as "body!",
                 d.attempts as "attempts!", d.earlier_attempts as "earlier_attempts!",
                 d.attempting_since as "since!", picked.next_attempt_at as "due_at!",
                 w.url as "url!", w.secret as "secret!",
                 case when w.previous_secret_ends_at > now() then w.previous_secret end
                     as previous_secret,
                 w.headers, w.schedule
             from taken d join picked on picked.id = d.id
             cross join lateral (select w.* from webhooks w where w.id = d.webhook_id offset 0) w"#,
            PgInterval::try_from(LEASE).unwrap_or_default(),
            $($argument),+
        )
    };
}
pub(super) use take_picked;

/// Claims these, which the transaction holds.
pub(super) async fn take(
    tx: &mut Tx,
    sealer: &Sealer,
    ids: &[Uuid],
) -> Result<Vec<Claimed>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let taken = take_picked!(
        "select id, ctid as tid, next_attempt_at, attempting_since, attempts, earlier_attempts
         from webhook_deliveries where id = any($2)",
        ids
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.take")?;
    Ok(taken.into_iter().map(|taken| taken.open(sealer)).collect())
}

impl Taken {
    /// With secrets that do not open it is not sent, and logged as unsigned: another delivery must not
    /// wait for this one's key.
    pub(super) fn open(self, sealer: &Sealer) -> Claimed {
        let organization_id = OrganizationId(self.organization_id);
        let opened =
            open(sealer, organization_id, &self.secret, &self.previous_secret, &self.headers);
        let (secrets, headers) = opened.unwrap_or_else(|error| {
            let endpoint = self.webhook_id;
            tracing::error!(%error, %endpoint, "an endpoint's secret does not open");
            (Vec::new(), Vec::new())
        });
        Claimed {
            organization_id,
            id: DeliveryId(self.id),
            endpoint_id: EndpointId(self.webhook_id),
            event_id: self.event_id,
            event_type: self.event,
            url: self.url,
            body: self.body,
            secrets,
            headers,
            schedule: schedule(self.schedule),
            attempts: count(self.attempts),
            earlier_attempts: count(self.earlier_attempts),
            since: self.since,
        }
    }
}

type Opened = (Vec<SecretString>, Vec<(String, SecretString)>);

fn open(
    sealer: &Sealer,
    organization: OrganizationId,
    secret: &[u8],
    previous: &Option<Vec<u8>>,
    headers: &Option<Vec<u8>>,
) -> Result<Opened, StoreError> {
    let mut secrets = vec![sealer.open_text(place(organization, "secret"), secret)?];
    if let Some(previous) = previous {
        secrets.push(sealer.open_text(place(organization, "previous_secret"), previous)?);
    }
    let Some(sealed) = headers else { return Ok((secrets, Vec::new())) };
    let plain = sealer.open(place(organization, "headers"), sealed)?;
    let headers: BTreeMap<String, String> = serde_json::from_slice(&plain).map_err(|_| {
        StoreError::new("deliveries.open", crate::error::Problem::Sealed("not headers"))
    })?;
    Ok((secrets, headers.into_iter().map(|(name, value)| (name, value.into())).collect()))
}
