//! What came of attempts: their log, the deliveries, the endpoints, in one transaction for many.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::{EndpointId, OrganizationId};
use serde_json::{Value, json};
use sqlx::{postgres::types::PgInterval, query};
use uuid::Uuid;

use super::{
    Claimed, ENDED_AT_ONCE, WORKFLOW_GRACE, end_pending,
    health::{Circuit, Found, Health, Notice},
    tell::tell,
};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// How exact the time of an endpoint's last attempt is while nothing else changes.
const LAST_TRIGGERED: TimeDelta = TimeDelta::seconds(1);

/// With these an endpoint that says for how long means all that it gets (429, 502, 503, 504).
const THROTTLED: [u16; 4] = [429, 502, 503, 504];
/// And for so long it is believed: it may mean this one delivery after all.
const LONGEST_THROTTLE: Duration = Duration::from_secs(60);

/// An attempt that was made.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// At what.
    pub delivery: Claimed,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// Class of the failure (dns, connect, tls, timeout, status, ...); none where it arrived.
    pub error: Option<&'static str>,
    /// Headers as sent; secret ones masked.
    pub request_headers: Vec<(String, String)>,
    /// Headers as received.
    pub response_headers: Vec<(String, String)>,
    /// The first 8 KiB of the answer.
    pub response_body: String,
    /// From request to answer.
    pub latency: Duration,
    /// The endpoint said that it will never come back (410).
    pub gone: bool,
    /// How long the endpoint asks to wait.
    pub retry_after: Option<Duration>,
}

impl Attempted {
    fn attempts(&self) -> u32 {
        self.delivery.attempts + 1
    }

    /// How long the endpoint asks for nothing at all.
    fn throttle(&self) -> Option<Duration> {
        let is_meant = self.status.is_some_and(|status| THROTTLED.contains(&status));
        self.retry_after.filter(|_| is_meant).map(|asked| asked.min(LONGEST_THROTTLE))
    }

    fn wait(&self) -> Option<Duration> {
        let delivery = &self.delivery;
        delivery.schedule.next(delivery.id, self.attempts(), self.retry_after)
    }
}

/// How a delivery goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It arrived.
    Delivered,
    /// Its endpoint takes nothing any more.
    Disabled,
    /// That was the last attempt.
    GivenUp,
    /// The queue attempts it again.
    Queue,
    /// Its workflow attempts it again, after this wait.
    Workflow(Duration),
    /// Another has claimed it meanwhile, or it was ended.
    Lost,
}

impl Next {
    const fn state(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Disabled => "disabled",
            Self::GivenUp => "failed",
            Self::Queue | Self::Workflow(_) | Self::Lost => "pending",
        }
    }

    const fn owner(&self) -> &'static str {
        if matches!(self, Self::Workflow(_)) { "workflow" } else { "queue" }
    }
}

/// An endpoint of the group.
pub(super) struct Endpoint {
    pub(super) organization: OrganizationId,
    pub(super) url: String,
    pub(super) before: Health,
    enabled: bool,
    is_rated: bool,
    pub(super) after: Health,
    pub(super) notice: Option<Notice>,
    gone: bool,
    /// Until when it asks for nothing.
    throttled: Option<DateTime<Utc>>,
    last: (Option<i32>, Option<&'static str>),
    /// Whether its row says all this already, as of a moment ago.
    is_told: bool,
}

/// Writes down attempts and says how each delivery goes on.
pub(super) async fn settle(db: &Database, group: &[Attempted]) -> Result<Vec<Next>, StoreError> {
    const OPERATION: &str = "deliveries.settle";
    let mut tx = db.dispatch().await?;
    let now = Utc::now();
    let endpoints = judge(&mut tx, group, now).await?;
    let planned: Vec<Next> = group.iter().map(|attempt| plan(attempt, &endpoints)).collect();
    let moved = move_on(&mut tx, group, &planned, now).await?;
    update(&mut tx, &endpoints, now).await?;
    for (id, endpoint) in &endpoints {
        tell(&mut tx, *id, endpoint, now).await?;
    }
    commit(tx, OPERATION).await?;
    // What it does not reach ends when its turn comes.
    if let Err(error) = end_all(db, &endpoints).await {
        tracing::warn!(%error, "what waits for a disabled endpoint ends later");
    }
    let next = group.iter().zip(planned);
    Ok(next
        .map(|(a, next)| if moved.contains(&a.delivery.id.0) { next } else { Next::Lost })
        .collect())
}

/// What waits for endpoints that are disabled now has ended. In a transaction of its own, for the order
/// of locks.
async fn end_all(
    db: &Database,
    endpoints: &BTreeMap<EndpointId, Endpoint>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "deliveries.end_all";
    let disabled = endpoints.iter().filter(|(_, endpoint)| endpoint.disabled().is_some());
    let ids: Vec<Uuid> = disabled.map(|(id, _)| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut tx = db.dispatch().await?;
    end_pending(&mut tx, &ids, ENDED_AT_ONCE).await?;
    commit(tx, OPERATION).await
}

/// Locks the deliveries and the endpoints, and finds out how these do after this. Deliveries before
/// endpoints, and each by id: whoever locks both does it so. The count of what is held is always true, and
/// asked for before any endpoint is read.
async fn judge(
    tx: &mut Tx,
    group: &[Attempted],
    now: DateTime<Utc>,
) -> Result<BTreeMap<EndpointId, Endpoint>, StoreError> {
    let found = found(group);
    let ids: Vec<Uuid> = found.keys().copied().collect();
    let rows = query!(
        r#"with held as materialized (
             select id from webhook_deliveries where id = any($3) order by id for update
         )
         select id, organization_id, url, enabled, rate_limit, retry_count, circuit, circuit_probe,
             circuit_probe_at, circuit_trips, failing_since, failing_clock_at, failing_warned,
             last_status, last_error,
             coalesce(last_triggered_at > $2::timestamptz, false) as "is_recent!"
         from webhooks where id = any($1) and (select count(*) from held) >= 0
         order by id for no key update"#,
        &ids,
        now - LAST_TRIGGERED,
        &of(group, |attempt| attempt.delivery.id.0),
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.judge")?;
    let judged = rows.into_iter().map(|row| {
        let before = Health {
            failures: row.retry_count,
            circuit: Circuit::read(&row.circuit, row.circuit_probe_at),
            trips: row.circuit_trips,
            failing_since: row.failing_since,
            clock_since: row.failing_clock_at,
            warned: row.failing_warned,
        };
        let of_it = || group.iter().filter(|attempt| attempt.delivery.endpoint_id.0 == row.id);
        // An older worker names none.
        let is_probe =
            |a: &Attempted| row.circuit_probe.is_none_or(|probe| probe == a.delivery.id.0);
        let found = Found { probe: of_it().any(is_probe), ..found[&row.id] };
        let (after, notice) = before.after(found, now);
        let last =
            of_it().next_back().map(|a| (a.status.map(i32::from), a.error)).unwrap_or_default();
        let throttled = of_it().filter_map(Attempted::throttle).max().map(|asked| now + asked);
        let endpoint = Endpoint {
            organization: OrganizationId(row.organization_id),
            url: row.url,
            before,
            enabled: row.enabled,
            is_rated: row.rate_limit.is_some(),
            after,
            notice,
            gone: of_it().any(|attempt| attempt.gone),
            throttled,
            is_told: row.is_recent
                && after == before
                && notice.is_none()
                && throttled.is_none()
                && (row.last_status, row.last_error.as_deref()) == last,
            last,
        };
        (EndpointId(row.id), endpoint)
    });
    Ok(judged.collect())
}

/// What the attempts found out, by endpoint.
fn found(group: &[Attempted]) -> HashMap<Uuid, Found> {
    let mut all: HashMap<Uuid, Found> = HashMap::new();
    for attempt in group {
        let found = all.entry(attempt.delivery.endpoint_id.0).or_default();
        *found = match attempt.error {
            None => Found { success: true, ..Found::default() },
            Some(_) => Found { failures: found.failures + 1, ..*found },
        };
    }
    all
}

impl Endpoint {
    /// Why it takes nothing any more, where this is the end of it.
    pub(super) fn disabled(&self) -> Option<&'static str> {
        match self.notice {
            _ if !self.enabled => None,
            _ if self.gone => Some("gone"),
            Some(Notice::Disabled) => Some("failing"),
            _ => None,
        }
    }
}

fn plan(attempt: &Attempted, endpoints: &BTreeMap<EndpointId, Endpoint>) -> Next {
    if attempt.error.is_none() {
        return Next::Delivered;
    }
    let Some(endpoint) = endpoints.get(&attempt.delivery.endpoint_id) else {
        return Next::Disabled;
    };
    if endpoint.disabled().is_some() || !endpoint.enabled {
        return Next::Disabled;
    }
    match attempt.wait() {
        None => Next::GivenUp,
        Some(_) if endpoint.is_rated || endpoint.after.circuit != Circuit::Closed => Next::Queue,
        // A workflow of the round before may be asleep; the queue, whose next attempt this is, ends it.
        Some(_) if attempt.delivery.is_begun_anew() => Next::Queue,
        Some(wait) => Next::Workflow(wait),
    }
}

fn of<T>(group: &[Attempted], field: fn(&Attempted) -> T) -> Vec<T> {
    group.iter().map(field).collect()
}

/// An object; a name that is there twice has a list.
fn headers(headers: &[(String, String)]) -> Value {
    let mut object = serde_json::Map::new();
    for (name, value) in headers {
        match object.get_mut(name) {
            None => drop(object.insert(name.clone(), json!(value))),
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(object)
}

/// Writes the attempts into the log and moves the deliveries on; gives those that were still this
/// claim's. What has arrived has arrived, also where the claim was over.
async fn move_on(
    tx: &mut Tx,
    group: &[Attempted],
    planned: &[Next],
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, StoreError> {
    let number = |value: u128| i32::try_from(value).unwrap_or(i32::MAX);
    let began: Vec<DateTime<Utc>> = group.iter().map(|a| now - a.latency).collect();
    let events: Vec<&str> = group.iter().map(|a| a.delivery.event_type.as_str()).collect();
    let payloads: Vec<&str> = group.iter().map(|a| a.delivery.body.as_str()).collect();
    let bodies: Vec<&str> = group.iter().map(|a| a.response_body.as_str()).collect();
    let numbers: Vec<i32> = group
        .iter()
        .map(|a| number(u128::from(a.delivery.earlier_attempts + a.attempts())))
        .collect();
    let latencies: Vec<i32> = group.iter().map(|a| number(a.latency.as_millis())).collect();
    let moved = query!(
        r#"with made as (
             select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[],
                 $6::text[], $7::int[], $8::text[], $9::text[], $10::int[], $11::int[],
                 $12::jsonb[], $13::jsonb[], $14::timestamptz[], $16::timestamptz[], $17::text[],
                 $18::text[], $19::interval[])
                 as a (webhook_id, organization_id, delivery_id, event, event_id, payload, status,
                     response_body, error, number, latency, sent, received, began, since, state,
                     owner, wait)
         ), logged as (
             insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event,
                 event_id, payload, status_code, response_body, error, attempt_number, latency_ms,
                 request_headers, response_headers, created_at, delivered_at)
             select gen_random_uuid(), webhook_id, organization_id, delivery_id, event, event_id,
                 payload::jsonb, status, response_body, error, number, latency, sent, received,
                 began, case when error is null then $15::timestamptz end
             from made
         )
         update webhook_deliveries d set attempts = d.attempts + 1, attempting_since = null,
             state = a.state, owner = a.owner, next_attempt_at = now() + a.wait,
             settled_at = case when a.state <> 'pending' then now() end
         from made a
         where d.id = a.delivery_id and d.id = any($3) and (d.state = 'pending' and d.attempting_since = a.since
             or a.state = 'delivered' and d.state <> 'delivered')
         returning d.id"#,
        &of(group, |a| a.delivery.endpoint_id.0),
        &of(group, |a| a.delivery.organization_id.0),
        &of(group, |a| a.delivery.id.0),
        &events as &[&str],
        &of(group, |a| a.delivery.event_id),
        &payloads as &[&str],
        &of(group, |a| a.status.map(i32::from)) as &[Option<i32>],
        &bodies as &[&str],
        &of(group, |a| a.error) as &[Option<&str>],
        &numbers,
        &latencies,
        &of(group, |a| headers(&a.request_headers)),
        &of(group, |a| headers(&a.response_headers)),
        &began,
        now,
        &of(group, |a| a.delivery.since),
        &planned.iter().map(Next::state).collect::<Vec<_>>() as &[&str],
        &planned.iter().map(Next::owner).collect::<Vec<_>>() as &[&str],
        &waits(group, planned),
    )
    .fetch_all(&mut **tx)
    .await
    .during("deliveries.move_on")?;
    Ok(moved.into_iter().map(|row| row.id).collect())
}

/// How long each delivery waits for what comes next.
fn waits(group: &[Attempted], planned: &[Next]) -> Vec<PgInterval> {
    let waits = group.iter().zip(planned).map(|(attempt, next)| match next {
        Next::Workflow(wait) => *wait + WORKFLOW_GRACE,
        _ => attempt.wait().unwrap_or_default(),
    });
    // Whole milliseconds, and no wait is above days.
    let interval = |wait: Duration| PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(wait.as_millis()).unwrap_or(0).saturating_mul(1000),
    };
    waits.map(interval).collect()
}

/// Endpoints about which there is something to say. One that is busy and well is written once a
/// second: all that reads it would walk over its earlier versions.
async fn update(
    tx: &mut Tx,
    endpoints: &BTreeMap<EndpointId, Endpoint>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let changed = endpoints.iter().filter(|(_, endpoint)| !endpoint.is_told);
    let (ids, endpoints): (Vec<Uuid>, Vec<&Endpoint>) =
        changed.map(|(id, endpoint)| (id.0, endpoint)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let of = |field: fn(&Endpoint) -> Option<DateTime<Utc>>| {
        endpoints.iter().map(|endpoint| field(endpoint)).collect::<Vec<_>>()
    };
    let statuses: Vec<Option<i32>> = endpoints.iter().map(|e| e.last.0).collect();
    let errors: Vec<Option<&str>> = endpoints.iter().map(|e| e.last.1).collect();
    let failures: Vec<i32> = endpoints.iter().map(|e| e.after.failures).collect();
    let circuits: Vec<&str> = endpoints.iter().map(|e| e.after.circuit.as_str()).collect();
    let trips: Vec<i32> = endpoints.iter().map(|e| e.after.trips).collect();
    let warned: Vec<i16> = endpoints.iter().map(|e| e.after.warned).collect();
    let reasons: Vec<Option<&str>> = endpoints.iter().map(|e| e.disabled()).collect();
    query!(
        "update webhooks w set last_triggered_at = $12::timestamptz, last_status = e.status,
             last_error = e.error, retry_count = e.failures, circuit = e.circuit,
             circuit_probe_at = e.probe_at, circuit_trips = e.trips,
             failing_since = e.failing_since, failing_clock_at = e.clock_since,
             failing_warned = e.warned, paced_until = greatest(w.paced_until, e.throttled), enabled = w.enabled and e.reason is null,
             disabled_reason = coalesce(e.reason, w.disabled_reason),
             disabled_at = case when e.reason is null then w.disabled_at else $12::timestamptz end
         from unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::text[],
             $6::timestamptz[], $7::int[], $8::timestamptz[], $9::timestamptz[], $10::smallint[],
             $11::text[], $13::timestamptz[])
             as e (id, status, error, failures, circuit, probe_at, trips, failing_since,
                 clock_since, warned, reason, throttled)
         where w.id = e.id",
        &ids,
        &statuses as &[Option<i32>],
        &errors as &[Option<&str>],
        &failures,
        &circuits as &[&str],
        &of(|e| e.after.circuit.probe_at()) as &[Option<DateTime<Utc>>],
        &trips,
        &of(|e| e.after.failing_since) as &[Option<DateTime<Utc>>],
        &of(|e| e.after.clock_since) as &[Option<DateTime<Utc>>],
        &warned,
        &reasons as &[Option<&str>],
        now,
        &of(|e| e.throttled) as &[Option<DateTime<Utc>>],
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.update")
}
