//! The log of an endpoint: every attempt, and every event that was skipped and why.

use axum::{Json, extract::State};
use chrono::DateTime;
use contract::ids::{DeliveryId, EndpointId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::reads::{
    Place,
    webhooks::logs::{self as reads, Filter, Kind, Outcome},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{DEFAULT_LIMIT, unknown};
use crate::api::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Id, Parameters, limit, text},
    problem::Problem,
    schema,
    timestamp::Timestamp,
};

/// A row carries payload, answer and headers, up to 44 KB: pages stay under 5 MB.
const MAX_LIMIT: u16 = 250;
/// Types of events and error codes are shorter, in bytes.
pub(super) const LONGEST_WORD: usize = 100;

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// Which rows; all that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// Only events of this type.
    event: Option<String>,
    /// Only answers with this HTTP status.
    #[param(minimum = 100, maximum = 599)]
    status_code: Option<u16>,
    /// Only failures of this class, or events that were skipped for this reason.
    error: Option<String>,
    /// Only attempts, or only skips.
    #[param(schema_with = schema::log_kind)]
    kind: Option<Kind>,
    /// Only attempts that ended like this.
    #[param(schema_with = schema::outcome)]
    outcome: Option<Outcome>,
    /// Only this event.
    event_id: Option<Uuid>,
    /// Only attempts at this delivery.
    delivery_id: Option<Uuid>,
    /// Only at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Rows in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of the log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookLogsPage {
    /// The rows.
    data: Vec<WebhookLog>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// An attempt to deliver an event, or an event that was skipped.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookLog {
    /// Its id.
    id: Uuid,
    /// `attempt`, or `skip` for an event that was not sent.
    #[schema(schema_with = schema::log_kind)]
    kind: String,
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
    /// Headers as sent; values of the endpoint's own headers are masked.
    #[schema(value_type = Option<Object>)]
    request_headers: Option<Value>,
    /// HTTP status of the answer; null where there was none.
    status_code: Option<i32>,
    /// Headers of the answer, the first 8 KiB.
    #[schema(value_type = Option<Object>)]
    response_headers: Option<Value>,
    /// The first 8 KiB of the answer.
    response_body: Option<String>,
    /// Class of the failure, or why the event was skipped; null where the endpoint took it.
    #[schema(example = "timeout")]
    error: Option<String>,
    /// Which attempt of the delivery, from 1.
    attempt_number: i32,
    /// From request to answer, in milliseconds.
    latency_ms: Option<i32>,
    /// When the endpoint took the event.
    delivered_at: Option<Timestamp>,
    /// When the attempt was made, or the event was skipped.
    created_at: Timestamp,
}

/// List attempts at an endpoint
///
/// And the events that were skipped: those of a disabled endpoint, for one. Kept for 90 days.
#[utoipa::path(get, path = "/v1/webhooks/{id}/logs", operation_id = "list_webhook_logs",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint"), LogsQuery), responses(
    (status = 200, description = "A page of the log", body = WebhookLogsPage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn logs(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<EndpointId>,
    Parameters(asked): Parameters<LogsQuery>,
) -> Result<Json<WebhookLogsPage>, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let filter = filter(&asked)?;
    let list = format!("webhook logs {organization} {id} {filter:?}");
    let filter = Filter { after: place(&api, &list, asked.cursor.as_deref(), asked.to)?, ..filter };
    let page = reads::page(&api.db, organization, id, &filter, limit).await?;
    let page = page.ok_or_else(unknown)?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id,
    });
    let data = page.items.into_iter().map(|log| WebhookLog::of(id, log)).collect();
    Ok(Json(WebhookLogsPage { data, next_cursor }))
}

/// What is asked for; its place is the end of the range, for the name of the list.
fn filter(asked: &LogsQuery) -> Result<Filter<'_>, Problem> {
    for (name, given) in [("event", &asked.event), ("error", &asked.error)] {
        given.as_deref().map_or(Ok(()), |given| text(name, given, LONGEST_WORD))?;
    }
    if asked.status_code.is_some_and(|status| !(100..600).contains(&status)) {
        return Err(Problem::query("status_code", "must be between 100 and 599"));
    }
    if asked.kind == Some(Kind::Skip) && asked.outcome.is_some() {
        return Err(Problem::query("outcome", "is of attempts, and cannot be asked of skips"));
    }
    let from = asked.from.map_or(DateTime::UNIX_EPOCH, |from| from.0);
    let to = asked.to.map_or(DateTime::UNIX_EPOCH, |to| to.0);
    if asked.to.is_some() && from >= to {
        return Err(Problem::query("from", "must be before the end of the range"));
    }
    Ok(Filter {
        event: asked.event.as_deref(),
        status_code: asked.status_code.map(i32::from),
        error: asked.error.as_deref(),
        kind: asked.kind,
        outcome: asked.outcome,
        event_id: asked.event_id,
        delivery_id: asked.delivery_id.map(DeliveryId),
        from,
        after: Place::before(to),
    })
}

/// Where a page begins: where the one before ended, at the end of the range, or now.
pub(super) fn place(
    api: &ApiState,
    list: &str,
    cursor: Option<&str>,
    to: Option<Timestamp>,
) -> Result<Place, Problem> {
    match (cursor, to) {
        (None, Some(to)) => Ok(Place::before(to.0)),
        (cursor, _) => cursor::begin(&api.cursor_key, list, cursor),
    }
}

impl WebhookLog {
    pub(super) fn of(webhook_id: EndpointId, log: reads::Log) -> Self {
        Self {
            id: log.id,
            kind: log.kind,
            webhook_id,
            delivery_id: log.delivery_id,
            event: log.event,
            event_id: log.event_id,
            payload: log.payload,
            request_headers: log.request_headers,
            status_code: log.status_code,
            response_headers: log.response_headers,
            response_body: log.response_body,
            error: log.error,
            attempt_number: log.attempt_number,
            latency_ms: log.latency_ms,
            delivered_at: log.delivered_at.map(Timestamp),
            created_at: Timestamp(log.created_at),
        }
    }
}
