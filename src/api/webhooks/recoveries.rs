//! Deliveries made again in bulk: what failed, or what an endpoint missed.

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
};
use chrono::Utc;
use contract::{
    events::is_subscription,
    ids::{EndpointId, RecoveryId},
};
use serde::{Deserialize, Serialize};
use store::{
    reads::Place,
    recoveries::{self, Asked, Change, Refused},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{DEFAULT_LIMIT, MAX_LIMIT, forms::PageQuery};
use crate::api::{
    ApiState,
    auth::{Caller, Scope},
    body::Body,
    cursor,
    extract::{Id, Parameters, limit},
    idempotency::Once,
    problem::{Kind, Problem},
    timestamp::Timestamp,
};

const DEFAULT_RATE: i32 = 50;
const RATES: std::ops::RangeInclusive<i32> = 1..=1000;
const MOST_EVENTS: usize = 50;

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(recover))
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(items))
        .routes(routes!(change))
}

/// What is recovered.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RecoveryKind {
    /// Deliveries that were given up, or ended while the endpoint was disabled.
    #[default]
    Failed,
    /// Events that the endpoint subscribes to now and that were never delivered: those without a delivery, also
    /// from while it was disabled, and those whose delivery ended when it was.
    Missing,
}

/// Which deliveries are made again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoverRequest {
    /// What is recovered.
    #[serde(default)]
    kind: RecoveryKind,
    /// Events told at this time or later.
    since: Timestamp,
    /// Events told before this time. Default, and the latest possible: now.
    until: Option<Timestamp>,
    /// Only these types. Default: all that the endpoint subscribes to.
    #[serde(default)]
    #[schema(max_items = 50)]
    events: Vec<String>,
    /// Deliveries a second.
    #[schema(minimum = 1, maximum = 1000, default = 50)]
    rate: Option<i32>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// A recovery that was begun, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecoveryBegun {
    /// Its id; null where it was only counted.
    #[schema(value_type = Option<Uuid>)]
    id: Option<RecoveryId>,
    /// Deliveries.
    total: u64,
}

/// A page of recoveries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecoveriesPage {
    /// The recoveries.
    data: Vec<Recovery>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Deliveries made again in bulk.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recovery {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: RecoveryId,
    /// The endpoint.
    #[schema(value_type = Uuid)]
    webhook_id: EndpointId,
    /// `failed` or `missing`.
    #[schema(example = "failed")]
    kind: String,
    /// Events told at this time or later.
    since: Timestamp,
    /// And before this.
    until: Timestamp,
    /// Only of these types; null for all.
    events: Option<Vec<String>>,
    /// Deliveries a second.
    rate: i32,
    /// `running`, `paused`, `aborted` or `completed`. It is paused where its endpoint is disabled, too.
    #[schema(example = "running")]
    state: String,
    /// Deliveries counted before it began.
    total: i64,
    /// Deliveries that were handed to the queue: more than `total` where some became due since they were counted.
    begun: i64,
    /// Who asked for it.
    created_by: String,
    /// When.
    created_at: Timestamp,
    /// When it was completed or aborted.
    ended_at: Option<Timestamp>,
}

/// A page of a recovery's deliveries, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecoveryItemsPage {
    /// The deliveries.
    data: Vec<RecoveryItem>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// What became of one delivery of a recovery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecoveryItem {
    /// The event.
    event_id: Uuid,
    /// Its type.
    event: Option<String>,
    /// The delivery.
    delivery_id: Uuid,
    /// `pending`, `delivered`, `failed` or `disabled`.
    #[schema(example = "delivered")]
    state: String,
    /// Attempts since it was last begun.
    attempts: i32,
}

/// What to do with a recovery.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RecoveryChange {
    /// Nothing more is begun, for now.
    Pause,
    /// It goes on.
    Resume,
    /// Nothing more is begun, ever.
    Abort,
}

/// Which recovery of which endpoint.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RecoveryPath {
    /// The endpoint.
    #[param(value_type = Uuid)]
    id: EndpointId,
    /// The recovery.
    #[param(value_type = Uuid)]
    recovery_id: RecoveryId,
}

/// The same, and what to do with it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ChangePath {
    /// The endpoint.
    #[param(value_type = Uuid)]
    id: EndpointId,
    /// The recovery.
    #[param(value_type = Uuid)]
    recovery_id: RecoveryId,
    /// `pause`, `resume` or `abort`.
    #[param(inline)]
    change: RecoveryChange,
}

macro_rules! from_path {
    ($path:ident) => {
        impl<S: Send + Sync> FromRequestParts<S> for $path {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                match Path::<Self>::from_request_parts(parts, state).await {
                    Ok(Path(path)) => Ok(path),
                    Err(_) => Err(Problem::path(
                        "recovery_id",
                        "must be a UUID, as must id; a change is pause, resume or abort",
                    )),
                }
            }
        }
    };
}
from_path!(RecoveryPath);
from_path!(ChangePath);

/// Make deliveries again
///
/// In bulk, as many a second as was asked for: what failed, or what was never sent. The events keep their
/// ids and their bytes. One recovery of an endpoint at a time.
#[utoipa::path(post, path = "/v1/webhooks/{id}/recover", operation_id = "recover_webhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint")), request_body = RecoverRequest,
    responses(
    (status = 200, description = "Counted", body = RecoveryBegun),
    (status = 202, description = "Begun", body = RecoveryBegun),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn recover(
    caller: Caller,
    Once(api): Once,
    Id(id): Id<EndpointId>,
    Body(request): Body<RecoverRequest>,
) -> Result<(StatusCode, Json<RecoveryBegun>), Problem> {
    let organization = caller.may(Scope::WriteWebhooks)?;
    let asked = asked(id, &request)?;
    if request.dry_run {
        let total = recoveries::count(&api.db, organization, &asked).await?.map_err(refused)?;
        return Ok((StatusCode::OK, Json(RecoveryBegun { id: None, total })));
    }
    let begun = recoveries::begin(&api.db, organization, &asked, &caller.actor()).await?;
    let (id, total) = begun.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(RecoveryBegun { id: Some(id), total })))
}

/// List recoveries of an endpoint
///
/// Newest first, each with how far it is.
#[utoipa::path(get, path = "/v1/webhooks/{id}/recoveries", operation_id = "list_webhook_recoveries",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint"), PageQuery), responses(
    (status = 200, description = "A page of recoveries", body = RecoveriesPage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<EndpointId>,
    Parameters(asked): Parameters<PageQuery>,
) -> Result<Json<RecoveriesPage>, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let name = format!("recoveries {organization} {id}");
    let after = cursor::begin(&api.cursor_key, &name, asked.cursor.as_deref())?;
    let page = recoveries::list(&api.db, organization, id, after, limit).await?;
    let page = page.ok_or_else(super::unknown)?;
    let next_cursor = cursor::next(&api.cursor_key, &name, &page, |last| Place {
        at: last.created_at,
        id: last.id.0,
    });
    let data = page.items.into_iter().map(Recovery::from).collect();
    Ok(Json(RecoveriesPage { data, next_cursor }))
}

/// Show a recovery
///
/// How many deliveries it was counted to have, and how many were begun.
#[utoipa::path(get, path = "/v1/webhooks/{id}/recoveries/{recovery_id}",
    operation_id = "get_webhook_recovery",
    tag = "webhooks",
    params(RecoveryPath), responses(
    (status = 200, description = "The recovery", body = Recovery),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    path: RecoveryPath,
) -> Result<Json<Recovery>, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let recovery = recoveries::get(&api.db, organization, path.recovery_id).await?;
    let recovery = recovery.filter(|recovery| recovery.endpoint == path.id);
    Ok(Json(recovery.ok_or_else(|| Problem::not_found("recovery"))?.into()))
}

/// List deliveries of a recovery
///
/// What became of each delivery since the recovery, in the order of the events.
#[utoipa::path(get, path = "/v1/webhooks/{id}/recoveries/{recovery_id}/items",
    operation_id = "list_webhook_recovery_items",
    tag = "webhooks",
    params(RecoveryPath, PageQuery), responses(
    (status = 200, description = "A page of deliveries", body = RecoveryItemsPage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn items(
    caller: Caller,
    State(api): State<ApiState>,
    path: RecoveryPath,
    Parameters(asked): Parameters<PageQuery>,
) -> Result<Json<RecoveryItemsPage>, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let recovery = recoveries::get(&api.db, organization, path.recovery_id).await?;
    if recovery.is_none_or(|recovery| recovery.endpoint != path.id) {
        return Err(Problem::not_found("recovery"));
    }
    let name = format!("recovery items {organization} {}", path.recovery_id);
    let after = match asked.cursor.as_deref() {
        Some(cursor) => cursor::open(&api.cursor_key, &name, cursor)?,
        None => Uuid::nil(),
    };
    let page = recoveries::items(&api.db, organization, path.recovery_id, after, limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| cursor::seal(&api.cursor_key, &name, &last.event_id));
    let item = |item: recoveries::Item| RecoveryItem {
        event_id: item.event_id,
        event: item.event,
        delivery_id: item.delivery_id.0,
        state: item.state,
        attempts: item.attempts,
    };
    Ok(Json(RecoveryItemsPage { data: page.items.into_iter().map(item).collect(), next_cursor }))
}

/// Pause, resume or abort a recovery
///
/// A paused one goes on where it was, but not while its endpoint is disabled (409); an aborted one does
/// not. What was begun is sent, unless the endpoint is disabled.
#[utoipa::path(post, path = "/v1/webhooks/{id}/recoveries/{recovery_id}/{change}",
    operation_id = "change_webhook_recovery",
    tag = "webhooks",
    params(ChangePath), responses(
    (status = 200, description = "As it is now", body = Recovery),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn change(
    caller: Caller,
    Once(api): Once,
    path: ChangePath,
) -> Result<Json<Recovery>, Problem> {
    let organization = caller.may(Scope::WriteWebhooks)?;
    let recovery = recoveries::get(&api.db, organization, path.recovery_id).await?;
    if recovery.is_none_or(|recovery| recovery.endpoint != path.id) {
        return Err(Problem::not_found("recovery"));
    }
    let change = match path.change {
        RecoveryChange::Pause => Change::Pause,
        RecoveryChange::Resume => Change::Resume,
        RecoveryChange::Abort => Change::Abort,
    };
    recoveries::change(&api.db, organization, path.recovery_id, change, &caller.actor())
        .await?
        .map_err(refused)?;
    let recovery = recoveries::get(&api.db, organization, path.recovery_id).await?;
    Ok(Json(recovery.ok_or_else(|| Problem::not_found("recovery"))?.into()))
}

fn asked(endpoint: EndpointId, request: &RecoverRequest) -> Result<Asked, Problem> {
    let wrong = |detail: String| Problem::with_detail(Kind::InvalidRequest, detail);
    let now = Utc::now();
    let (from, to) = (request.since.0, request.until.map_or(now, |until| until.0.min(now)));
    if from >= to {
        return Err(wrong("since must be before until, and in the past".to_owned()));
    }
    let rate = request.rate.unwrap_or(DEFAULT_RATE);
    if !RATES.contains(&rate) {
        return Err(wrong("rate must be 1 to 1000 deliveries a second".to_owned()));
    }
    if request.events.len() > MOST_EVENTS {
        return Err(wrong(format!("events may have at most {MOST_EVENTS} items")));
    }
    let is_type = |event: &&String| !is_subscription(event) || event.contains('*');
    if let Some(index) = request.events.iter().position(|event| is_type(&event)) {
        return Err(wrong(format!("events[{index}] is no type of event; GET /v1/event-types")));
    }
    let kind = match request.kind {
        RecoveryKind::Failed => recoveries::Kind::Failed,
        RecoveryKind::Missing => recoveries::Kind::Missing,
    };
    Ok(Asked { endpoint, kind, from, to, events: request.events.clone(), rate })
}

fn refused(refused: Refused) -> Problem {
    let conflict = |detail: &'static str| Problem::with_detail(Kind::Conflict, detail);
    match refused {
        Refused::Unknown => Problem::not_found("webhook endpoint"),
        Refused::Disabled => conflict("the endpoint is disabled; enable it first"),
        Refused::Busy => conflict("another recovery of the endpoint is running or paused"),
        Refused::Ended => conflict("the recovery has ended"),
    }
}

impl From<recoveries::Recovery> for Recovery {
    fn from(recovery: recoveries::Recovery) -> Self {
        Self {
            id: recovery.id,
            webhook_id: recovery.endpoint,
            kind: recovery.kind,
            since: Timestamp(recovery.from),
            until: Timestamp(recovery.to),
            events: recovery.events,
            rate: recovery.rate,
            state: recovery.state,
            total: recovery.total,
            begun: recovery.begun,
            created_by: recovery.created_by,
            created_at: Timestamp(recovery.created_at),
            ended_at: recovery.ended_at.map(Timestamp),
        }
    }
}
