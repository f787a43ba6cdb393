//! Deliveries of events to customers' endpoints, and the log of their attempts.

use contract::{
    calls::CallRef,
    ids::{DeliveryId, EndpointId, OrganizationId},
};
use secrecy::SecretString;
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    sealing::{Place, Sealer},
};

/// Attempts that a call's first step makes at once; an organization has rarely more endpoints.
const MAX_FIRST_ATTEMPTS: i64 = 100;

/// A delivery and what an attempt at it needs.
#[derive(Debug, Clone)]
pub struct Delivery {
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
    /// The endpoint's secret, then the previous one while a rotation lasts.
    pub secrets: Vec<SecretString>,
    /// Attempts made so far.
    pub attempts: u32,
    /// Whether it still waits for its endpoint.
    pub pending: bool,
    /// Whether the endpoint takes events.
    pub enabled: bool,
}

/// The pending deliveries of a call; with `again` those that were given up too.
///
/// One with attempts was left behind by a worker that died before it could hand it over.
pub async fn pending_of_call(
    db: &Database,
    sealer: &Sealer,
    call: CallRef,
    again: bool,
) -> Result<Vec<Delivery>, StoreError> {
    const OPERATION: &str = "deliveries.pending_of_call";
    let mut tx = db.tenant(call.organization_id).await?;
    if again {
        query!(
            "update webhook_deliveries d set state = 'pending', attempts = 0, settled_at = null
             from webhooks w
             where d.call_id = $1 and d.state in ('failed', 'disabled')
               and w.id = d.webhook_id and w.enabled",
            call.call_id.0,
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    }
    let ids = query!(
        "select id from webhook_deliveries
         where call_id = $1 and state = 'pending' order by created_at, id limit $2",
        call.call_id.0,
        MAX_FIRST_ATTEMPTS,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    let mut deliveries = Vec::with_capacity(ids.len());
    for row in ids {
        let id = DeliveryId(row.id);
        deliveries.extend(get_in(&mut tx, sealer, call.organization_id, id).await?);
    }
    commit(tx, OPERATION).await?;
    Ok(deliveries)
}

/// Reads one delivery; none where it is gone.
pub async fn get(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    id: DeliveryId,
) -> Result<Option<Delivery>, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let delivery = get_in(&mut tx, sealer, organization, id).await?;
    commit(tx, "deliveries.get").await?;
    Ok(delivery)
}

async fn get_in(
    tx: &mut Tx,
    sealer: &Sealer,
    organization: OrganizationId,
    id: DeliveryId,
) -> Result<Option<Delivery>, StoreError> {
    let row = query!(
        r#"select d.id, d.webhook_id, d.event_id, e.type as event_type, w.url, d.body, w.secret,
             case when w.previous_secret_ends_at > now() then w.previous_secret end
                 as previous_secret,
             d.attempts, d.state, w.enabled
         from webhook_deliveries d
         join webhooks w on w.id = d.webhook_id
         join events e on e.id = d.event_id
         where d.id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("deliveries.get")?;
    let Some(row) = row else { return Ok(None) };
    let mut secrets = vec![sealer.open_text(place(organization, "secret"), &row.secret)?];
    if let Some(previous) = row.previous_secret {
        secrets.push(sealer.open_text(place(organization, "previous_secret"), &previous)?);
    }
    Ok(Some(Delivery {
        id,
        endpoint_id: EndpointId(row.webhook_id),
        event_id: row.event_id,
        event_type: row.event_type,
        url: row.url,
        body: row.body,
        secrets,
        attempts: u32::try_from(row.attempts).unwrap_or(0),
        pending: row.state == "pending",
        enabled: row.enabled,
    }))
}

pub(crate) const fn place(organization: OrganizationId, column: &'static str) -> Place {
    Place { table: "webhooks", column, organization }
}

/// A delivery that nobody is at work on.
#[derive(Debug, Clone, Copy)]
pub struct Overdue {
    /// Owner.
    pub organization_id: OrganizationId,
    /// The delivery.
    pub id: DeliveryId,
    /// Attempts made so far.
    pub attempts: u32,
}

/// Claims pending deliveries whose next attempt should have been made long ago: their workflow was
/// never started, or was lost with Temporal's data. Starting one that runs does nothing.
pub async fn claim_overdue(db: &Database, limit: i64) -> Result<Vec<Overdue>, StoreError> {
    const OPERATION: &str = "deliveries.claim_overdue";
    let mut tx = db.dispatch().await?;
    let rows = query!(
        "update webhook_deliveries d set next_attempt_at = now()
             -- Until its workflow has made the first attempt, or has the next one before it.
             + case when d.attempts = 0 then interval '1 minute' else interval '10 minutes' end
         from (
             select id from webhook_deliveries where state = 'pending' and next_attempt_at <= now()
             order by next_attempt_at limit $1 for update skip locked
         ) due
         where d.id = due.id
         returning d.organization_id, d.id, d.attempts",
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows
        .into_iter()
        .map(|row| Overdue {
            organization_id: OrganizationId(row.organization_id),
            id: DeliveryId(row.id),
            attempts: u32::try_from(row.attempts).unwrap_or(0),
        })
        .collect())
}

/// The pending deliveries of a call that were never attempted.
pub async fn unattempted_of_call(
    db: &Database,
    call: CallRef,
) -> Result<Vec<DeliveryId>, StoreError> {
    const OPERATION: &str = "deliveries.unattempted_of_call";
    let mut tx = db.tenant(call.organization_id).await?;
    let rows = query!(
        "select id from webhook_deliveries
         where call_id = $1 and state = 'pending' and attempts = 0 order by id",
        call.call_id.0,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows.into_iter().map(|row| DeliveryId(row.id)).collect())
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub struct Attempt<'a> {
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// Class of the failure (dns, connect, tls, timeout, status, ...); none for 2xx.
    pub error: Option<&'a str>,
    /// The first 8 KiB of the answer.
    pub response_body: &'a str,
    /// From request to answer, in milliseconds.
    pub latency_ms: u32,
    /// Whether the endpoint said 410 and is disabled for it.
    pub gone: bool,
}

impl Attempt<'_> {
    /// Whether the endpoint took the event.
    pub const fn delivered(&self) -> bool {
        self.error.is_none()
    }
}

/// Logs an attempt and moves the delivery and its endpoint accordingly, in one transaction.
pub async fn attempted(
    db: &Database,
    organization: OrganizationId,
    delivery: &Delivery,
    attempt: &Attempt<'_>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "deliveries.attempted";
    let mut tx = db.tenant(organization).await?;
    let delivered = attempt.delivered();
    query!(
        "update webhook_deliveries set attempts = attempts + 1,
             state = case when $2 then 'delivered' when $3 then 'disabled' else state end,
             settled_at = case when $2 or $3 then now() end,
             -- Attempts of the first phase are seconds apart, those of the tail up to ten hours.
             next_attempt_at = now()
                 + case when attempts < 4 then interval '10 minutes' else interval '12 hours' end
         where id = $1 and state = 'pending'",
        delivery.id.0,
        delivered,
        attempt.gone,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    query!(
        "insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event, event_id,
             payload, status_code, response_body, error, attempt_number, latency_ms, delivered_at)
         values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, $11, $12,
             case when $13 then now() end)",
        Uuid::now_v7(),
        delivery.endpoint_id.0,
        organization.0,
        delivery.id.0,
        delivery.event_type,
        delivery.event_id,
        delivery.body,
        attempt.status.map(i32::from),
        attempt.response_body,
        attempt.error,
        i32::try_from(delivery.attempts).unwrap_or(i32::MAX - 1) + 1,
        i32::try_from(attempt.latency_ms).unwrap_or(i32::MAX),
        delivered,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    query!(
        "update webhooks set last_triggered_at = now(), last_status = $2, last_error = $3,
             retry_count = case when $3::text is null then 0 else retry_count + 1 end,
             enabled = enabled and not $4,
             disabled_reason = case when $4 then 'gone' else disabled_reason end
         where id = $1",
        delivery.endpoint_id.0,
        attempt.status.map(i32::from),
        attempt.error,
        attempt.gone,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

/// Ends a delivery that did not arrive: given up, or its endpoint is disabled.
pub async fn end(
    db: &Database,
    organization: OrganizationId,
    delivery: DeliveryId,
    disabled: bool,
) -> Result<(), StoreError> {
    const OPERATION: &str = "deliveries.end";
    let mut tx = db.tenant(organization).await?;
    query!(
        "update webhook_deliveries set settled_at = now(),
             state = case when $2 then 'disabled' else 'failed' end
         where id = $1 and state = 'pending'",
        delivery.0,
        disabled,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}
