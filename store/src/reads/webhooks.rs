//! Endpoints and the attempts at them, without their secrets.

use chrono::{DateTime, Utc};
use contract::ids::{EndpointId, OrganizationId};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::{Page, Place, one_more};
use crate::{Database, StoreError, database::commit, error::During};

/// A customer's endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Only calls of this assistant, or of all.
    pub assistant_id: Option<Uuid>,
    /// Where events go.
    pub url: String,
    /// Types that it subscribes to.
    pub events: Vec<String>,
    /// Whether it takes events.
    pub enabled: bool,
    /// Why it does not.
    pub disabled_reason: Option<String>,
    /// The customer's words.
    pub description: String,
    /// Most deliveries a second.
    pub rate_limit: Option<i32>,
    /// `none` or `call`.
    pub ordering: String,
    /// Failures since the last success.
    pub retry_count: i32,
    /// Time of the last attempt.
    pub last_triggered_at: Option<DateTime<Utc>>,
    /// HTTP status of the last attempt.
    pub last_status: Option<i32>,
    /// Class of the last failure.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A page of an organization's endpoints, newest first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    after: Place,
    limit: u16,
) -> Result<Page<Endpoint>, StoreError> {
    const OPERATION: &str = "reads.webhooks.page";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        "select id, assistant_id, url, events, enabled, disabled_reason, description, rate_limit,
             ordering, retry_count, last_triggered_at, last_status, last_error, created_at,
             updated_at
         from webhooks where organization_id = $1 and (created_at, id) < ($2, $3)
         order by created_at desc, id desc limit $4",
        organization.0,
        after.at,
        after.id,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let endpoints = rows.into_iter().map(|row| Endpoint {
        id: EndpointId(row.id),
        assistant_id: row.assistant_id,
        url: row.url,
        events: row.events,
        enabled: row.enabled,
        disabled_reason: row.disabled_reason,
        description: row.description,
        rate_limit: row.rate_limit,
        ordering: row.ordering,
        retry_count: row.retry_count,
        last_triggered_at: row.last_triggered_at,
        last_status: row.last_status,
        last_error: row.last_error,
        created_at: row.created_at,
        updated_at: row.updated_at,
    });
    Ok(Page::cut(endpoints.collect(), limit))
}

/// One attempt at a delivery.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its id.
    pub id: Uuid,
    /// The delivery it belongs to; none of a skipped event.
    pub delivery_id: Option<Uuid>,
    /// Type of the event.
    pub event: String,
    /// The event: the `webhook-id` of the request.
    pub event_id: Uuid,
    /// What was sent.
    pub payload: Option<Value>,
    /// HTTP status of the answer.
    pub status_code: Option<i32>,
    /// The first 8 KiB of the answer.
    pub response_body: Option<String>,
    /// Class of the failure.
    pub error: Option<String>,
    /// From 1.
    pub attempt_number: i32,
    /// From request to answer, in milliseconds.
    pub latency_ms: Option<i32>,
    /// When the endpoint took it.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it was attempted.
    pub created_at: DateTime<Utc>,
}

/// A page of the attempts at an endpoint, newest first; none where there is no such endpoint.
pub async fn logs(
    db: &Database,
    organization: OrganizationId,
    endpoint: EndpointId,
    after: Place,
    limit: u16,
) -> Result<Option<Page<Log>>, StoreError> {
    const OPERATION: &str = "reads.webhooks.logs";
    let mut tx = db.tenant(organization).await?;
    let known = query!(
        "select id from webhooks where id = $1 and organization_id = $2",
        endpoint.0,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    if known.is_none() {
        return Ok(None);
    }
    let rows = query!(
        "select id, delivery_id, event, event_id, payload, status_code, response_body, error,
             attempt_number, latency_ms, delivered_at, created_at
         from webhook_logs
         where webhook_id = $1 and organization_id = $2 and created_at <= $3
           and (created_at, id) < ($3, $4)
         order by created_at desc, id desc limit $5",
        endpoint.0,
        organization.0,
        after.at,
        after.id,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let logs = rows.into_iter().map(|row| Log {
        id: row.id,
        delivery_id: row.delivery_id,
        event: row.event,
        event_id: row.event_id,
        payload: row.payload,
        status_code: row.status_code,
        response_body: row.response_body,
        error: row.error,
        attempt_number: row.attempt_number,
        latency_ms: row.latency_ms,
        delivered_at: row.delivered_at,
        created_at: row.created_at,
    });
    Ok(Some(Page::cut(logs.collect(), limit)))
}
