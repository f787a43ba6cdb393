//! Deliveries to an endpoint, and one of them once more.

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
};
use chrono::DateTime;
use contract::ids::{DeliveryId, EndpointId};
use serde::{Deserialize, Serialize};
use store::{
    endpoints::{self, Resent},
    reads::{
        Place,
        webhooks::deliveries::{self as reads, Filter, State as DeliveryState},
    },
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    DEFAULT_LIMIT, MAX_LIMIT, changer,
    logs::{LONGEST_WORD, place},
    unknown,
};
use crate::api::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Id, Parameters, limit, text},
    idempotency::Once,
    problem::{Kind, Problem},
    schema,
    timestamp::Timestamp,
};

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(resend))
}

/// Which deliveries; all that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// Only deliveries that stand here.
    #[param(schema_with = schema::delivery_state)]
    state: Option<DeliveryState>,
    /// Only events of this type.
    event: Option<String>,
    /// Only deliveries made at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only deliveries made before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Deliveries in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookDeliveriesPage {
    /// The deliveries.
    data: Vec<WebhookDelivery>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// An event on its way to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookDelivery {
    /// Its id.
    id: Uuid,
    /// The endpoint.
    #[schema(value_type = Uuid)]
    webhook_id: EndpointId,
    /// The event: `webhook-id` of its requests.
    event_id: Uuid,
    /// Type of the event.
    #[schema(example = "call.completed")]
    event: String,
    /// The call that it tells of.
    call_id: Option<Uuid>,
    /// Where it stands; `disabled` where the endpoint was, before it arrived.
    #[schema(schema_with = schema::delivery_state)]
    state: String,
    /// Attempts since it was made, or was last resent.
    attempts: i32,
    /// Attempts before it was resent.
    earlier_attempts: i32,
    /// When it is attempted next, at the earliest; null where nothing is left to do.
    next_attempt_at: Option<Timestamp>,
    /// When it was made.
    created_at: Timestamp,
    /// When nothing was left to do.
    settled_at: Option<Timestamp>,
}

/// Which delivery of which endpoint.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct DeliveryPath {
    /// The endpoint.
    #[param(value_type = Uuid)]
    id: EndpointId,
    /// The delivery.
    #[param(value_type = Uuid)]
    delivery_id: DeliveryId,
}

impl<S: Send + Sync> FromRequestParts<S> for DeliveryPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<Self>::from_request_parts(parts, state).await {
            Ok(Path(path)) => Ok(path),
            Err(_) => Err(Problem::path("delivery_id", "must be a UUID, as must id")),
        }
    }
}

/// List deliveries to an endpoint
///
/// Newest first: what became of each event that the endpoint was to be sent.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", operation_id = "list_webhook_deliveries",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint"), DeliveriesQuery), responses(
    (status = 200, description = "A page of deliveries", body = WebhookDeliveriesPage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<EndpointId>,
    Parameters(asked): Parameters<DeliveriesQuery>,
) -> Result<Json<WebhookDeliveriesPage>, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let (from, to) = (asked.from, asked.to);
    asked.event.as_deref().map_or(Ok(()), |event| text("event", event, LONGEST_WORD))?;
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::query("from", "must be before the end of the range"));
    }
    let list = format!(
        "webhook deliveries {organization} {id} {:?} {:?} {from:?} {to:?}",
        asked.state, asked.event
    );
    let filter = Filter {
        state: asked.state,
        event: asked.event.as_deref(),
        from: from.map_or(DateTime::UNIX_EPOCH, |from| from.0),
        after: place(&api, &list, asked.cursor.as_deref(), to)?,
    };
    let page = reads::page(&api.db, organization, id, &filter, limit).await?;
    let page = page.ok_or_else(unknown)?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id,
    });
    let data = page.items.into_iter().map(|one| WebhookDelivery::of(id, one)).collect();
    Ok(Json(WebhookDeliveriesPage { data, next_cursor }))
}

/// Resend a delivery
///
/// As if it had never been attempted: the same bytes under the same `webhook-id`, by which a receiver
/// that had them knows them.
#[utoipa::path(post, path = "/v1/webhooks/{id}/deliveries/{delivery_id}/resend",
    operation_id = "resend_webhook_delivery",
    tag = "webhooks",
    params(DeliveryPath), responses(
    (status = 202, description = "The delivery waits to be sent", body = WebhookDelivery),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn resend(
    caller: Caller,
    Once(api): Once,
    DeliveryPath { id, delivery_id }: DeliveryPath,
) -> Result<(StatusCode, Json<WebhookDelivery>), Problem> {
    let changer = changer(&caller)?;
    let conflict = |detail| Err(Problem::with_detail(Kind::Conflict, detail));
    match endpoints::resend(&api.db, &changer, id, delivery_id).await? {
        Resent::Due(due) => {
            api.events.tell();
            Ok((StatusCode::ACCEPTED, Json(WebhookDelivery::of(id, *due))))
        }
        Resent::Unknown => Err(Problem::not_found("delivery to this endpoint")),
        Resent::Disabled => conflict("The endpoint is disabled: enable it first."),
        Resent::Pending => conflict("The delivery waits for its next attempt already."),
    }
}

impl WebhookDelivery {
    fn of(webhook_id: EndpointId, delivery: reads::Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook_id,
            event_id: delivery.event_id,
            event: delivery.event,
            call_id: delivery.call_id,
            state: delivery.state,
            attempts: delivery.attempts,
            earlier_attempts: delivery.earlier_attempts,
            next_attempt_at: delivery.next_attempt_at.map(Timestamp),
            created_at: Timestamp(delivery.created_at),
            settled_at: delivery.settled_at.map(Timestamp),
        }
    }
}
