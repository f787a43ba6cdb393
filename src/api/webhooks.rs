//! `/v1/webhooks`: endpoints and the attempts at them. Reads only, and never a secret.

use axum::{Json, extract::State};
use contract::ids::EndpointId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::reads::{Place, webhooks as reads};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Id, Parameters, limit},
    problem::Problem,
    timestamp::Timestamp,
};

const DEFAULT_LIMIT: u16 = 50;
/// A log carries payload and answer, up to 28 KB: pages stay under 3 MB.
const MAX_LIMIT: u16 = 100;

/// The routes of endpoints.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(logs))
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items in a page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of endpoints, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhooksPage {
    /// The endpoints.
    data: Vec<Webhook>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// An endpoint of the organization's that events are sent to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: EndpointId,
    /// Only events of this assistant's calls, or of all.
    assistant_id: Option<Uuid>,
    /// Where events go.
    #[schema(example = "https://example.com/hooks")]
    url: String,
    /// Types of events it gets.
    #[schema(example = json!(["call.completed", "call.failed"]))]
    events: Vec<String>,
    /// Whether events are sent to it.
    enabled: bool,
    /// Why not.
    disabled_reason: Option<String>,
    /// The customer's words.
    description: String,
    /// Most deliveries a second.
    rate_limit: Option<i32>,
    /// `none`, or `call` for one after the other within a call.
    ordering: String,
    /// Failed attempts since the last success.
    retry_count: i32,
    /// Time of the last attempt.
    last_triggered_at: Option<Timestamp>,
    /// HTTP status of the last attempt.
    last_status: Option<i32>,
    /// Class of the last failure.
    last_error: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

/// A page of attempts, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookLogsPage {
    /// The attempts.
    data: Vec<WebhookLog>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// An attempt to deliver an event.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookLog {
    /// Its id.
    id: Uuid,
    /// The endpoint.
    #[schema(value_type = Uuid)]
    webhook_id: EndpointId,
    /// The delivery, which may take several attempts; null where the event was skipped.
    delivery_id: Option<Uuid>,
    /// Type of the event.
    #[schema(example = "call.completed")]
    event: String,
    /// The event: `webhook-id` of the request.
    event_id: Uuid,
    /// What was sent.
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
    /// HTTP status of the answer; null where there was none.
    status_code: Option<i32>,
    /// The first 8 KiB of the answer.
    response_body: Option<String>,
    /// Class of the failure; null where the endpoint took the event.
    #[schema(example = "timeout")]
    error: Option<String>,
    /// Which attempt of the delivery, from 1.
    attempt_number: i32,
    /// From request to answer, in milliseconds.
    latency_ms: Option<i32>,
    /// When the endpoint took the event.
    delivered_at: Option<Timestamp>,
    /// When the attempt was made.
    created_at: Timestamp,
}

/// List webhook endpoints
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", params(PageQuery), responses(
    (status = 200, description = "A page of endpoints", body = WebhooksPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<PageQuery>,
) -> Result<Json<WebhooksPage>, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("webhooks {organization}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let page = reads::page(&api.db, organization, after, limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        cursor::after(&api.cursor_key, &list, Place { at: last.created_at, id: last.id.0 })
    });
    let data = page.items.into_iter().map(Webhook::from).collect();
    Ok(Json(WebhooksPage { data, next_cursor }))
}

/// List attempts at an endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}/logs", tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint"), PageQuery), responses(
    (status = 200, description = "A page of attempts", body = WebhookLogsPage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn logs(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<EndpointId>,
    Parameters(asked): Parameters<PageQuery>,
) -> Result<Json<WebhookLogsPage>, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("webhook logs {organization} {id}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let page = reads::logs(&api.db, organization, id, after, limit).await?;
    let page = page.ok_or_else(|| Problem::not_found("webhook endpoint"))?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        cursor::after(&api.cursor_key, &list, Place { at: last.created_at, id: last.id })
    });
    let data = page.items.into_iter().map(|log| WebhookLog::of(id, log)).collect();
    Ok(Json(WebhookLogsPage { data, next_cursor }))
}

impl From<reads::Endpoint> for Webhook {
    fn from(endpoint: reads::Endpoint) -> Self {
        Self {
            id: endpoint.id,
            assistant_id: endpoint.assistant_id,
            url: endpoint.url,
            events: endpoint.events,
            enabled: endpoint.enabled,
            disabled_reason: endpoint.disabled_reason,
            description: endpoint.description,
            rate_limit: endpoint.rate_limit,
            ordering: endpoint.ordering,
            retry_count: endpoint.retry_count,
            last_triggered_at: endpoint.last_triggered_at.map(Timestamp),
            last_status: endpoint.last_status,
            last_error: endpoint.last_error,
            created_at: Timestamp(endpoint.created_at),
            updated_at: Timestamp(endpoint.updated_at),
        }
    }
}

impl WebhookLog {
    fn of(webhook_id: EndpointId, log: reads::Log) -> Self {
        Self {
            id: log.id,
            webhook_id,
            delivery_id: log.delivery_id,
            event: log.event,
            event_id: log.event_id,
            payload: log.payload,
            status_code: log.status_code,
            response_body: log.response_body,
            error: log.error,
            attempt_number: log.attempt_number,
            latency_ms: log.latency_ms,
            delivered_at: log.delivered_at.map(Timestamp),
            created_at: Timestamp(log.created_at),
        }
    }
}
