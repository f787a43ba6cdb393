//! `/v1/webhooks`: the endpoints that events are sent to, and what became of the events.

mod check;
mod deliveries;
mod forms;
mod logs;
mod recoveries;
mod test_event;

use std::time::Duration;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::ids::EndpointId;
use providers::webhook_out;
use secrecy::{ExposeSecret, SecretString};
use store::{
    endpoints::{self, Changed, Changer, Created, Endpoint, MAX_ENDPOINTS, NewEndpoint, Rotation},
    reads::Place,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::forms::{
    CreateWebhook, PageQuery, RotateSecret, UpdateWebhook, Webhook, WebhookWithSecret, WebhooksPage,
};
use super::{
    ApiState,
    auth::{Caller, Scope},
    body::{Body, MaybeBody},
    cursor,
    etag::{etag, expected},
    extract::{Id, Parameters, limit},
    idempotency::Once,
    problem::{Kind, Problem},
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
/// Twenty headers of 1,100 bytes, a URL and a description, with room to spare.
const LARGEST_BODY: usize = 64 * 1024;
/// Seconds: a day.
const USUAL_OVERLAP: u32 = 24 * 3600;
/// Seconds: a week. A secret that may have leaked signs for no longer.
const LONGEST_OVERLAP: u32 = 7 * 24 * 3600;

/// The routes of endpoints.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(rotate_secret))
        .merge(test_event::router())
        .merge(logs::router())
        .merge(deliveries::router())
        .merge(recoveries::router())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// List webhook endpoints
///
/// Newest first, each with how it does: last status, failures in a row, circuit.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "list_webhooks",
    tag = "webhooks", params(PageQuery), responses(
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
    let page = endpoints::page(&api.db, &api.sealer, organization, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id.0,
    });
    let data = page.items.into_iter().map(Webhook::from).collect();
    Ok(Json(WebhooksPage { data, next_cursor }))
}

/// Create a webhook endpoint
///
/// Its secret is in the answer, and is never told again.
#[utoipa::path(post, path = "/v1/webhooks", operation_id = "create_webhook",
    tag = "webhooks", request_body = CreateWebhook,
    responses(
    (status = 201, description = "The endpoint and its secret", body = WebhookWithSecret),
    (status = 400, response = Problem),
    (status = 409, response = Problem)))]
async fn create(
    caller: Caller,
    Once(api): Once,
    Body(asked): Body<CreateWebhook>,
) -> Result<Response, Problem> {
    let changer = changer(&caller)?;
    let CreateWebhook { assistant_id, enabled, thin, .. } = asked;
    let new = check::create(&api.egress, asked)?;
    let secret = new.secret.map_or_else(random_secret, Ok)?;
    let endpoint = NewEndpoint {
        url: &new.url,
        events: &new.events,
        secret: &secret,
        assistant_id,
        description: &new.description,
        enabled: enabled.unwrap_or(true),
        rate_limit: new.rate_limit,
        ordering: new.ordering,
        headers: &new.headers,
        thin: thin.unwrap_or_default(),
        schedule: new.schedule.as_deref(),
    };
    match endpoints::create(&api.db, &api.sealer, &changer, &endpoint).await? {
        Created::Done(made) => Ok((StatusCode::CREATED, told_once(*made, &secret)).into_response()),
        Created::UnknownAssistant => Err(unknown_assistant()),
        Created::TooMany => {
            let detail = format!(
                "The organization has {MAX_ENDPOINTS} endpoints, as many as it may: delete one, or \
                 let one get more events."
            );
            Err(Problem::with_detail(Kind::Conflict, detail))
        }
    }
}

/// Show a webhook endpoint
///
/// With its health: the circuit, since when it fails, why it is disabled.
#[utoipa::path(get, path = "/v1/webhooks/{id}", operation_id = "get_webhook", tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint")), responses(
    (status = 200, description = "The endpoint", body = Webhook),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<EndpointId>,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadWebhooks)?;
    let found = endpoints::get(&api.db, &api.sealer, organization, id).await?;
    found.map(shown).ok_or_else(unknown)
}

/// Change a webhook endpoint
///
/// What is not given stays as it is; null puts back the default. With `If-Match` only where nobody
/// changed the endpoint since it had that `ETag`.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", operation_id = "update_webhook", tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint"),
        ("If-Match" = Option<String>, Header, description = "`ETag` that it must still have")),
    request_body = UpdateWebhook, responses(
    (status = 200, description = "The endpoint as it is now", body = Webhook),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 412, response = Problem)))]
async fn update(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<EndpointId>,
    headers: HeaderMap,
    Body(asked): Body<UpdateWebhook>,
) -> Result<Response, Problem> {
    let changer = changer(&caller)?;
    let changes = check::update(&api.egress, asked)?;
    let expected = expected(&headers);
    let (db, sealer) = (&api.db, &api.sealer);
    match endpoints::update(db, sealer, &changer, id, expected.as_deref(), &changes).await? {
        Changed::Done(now) => Ok(shown(*now)),
        Changed::Unknown => Err(unknown()),
        Changed::Stale => {
            let detail = "The endpoint was changed since: it has another ETag than If-Match names.";
            Err(Problem::with_detail(Kind::PreconditionFailed, detail))
        }
        Changed::UnknownAssistant => Err(unknown_assistant()),
    }
}

/// Delete a webhook endpoint
///
/// Nothing is sent to it any more, also not what waits.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", operation_id = "delete_webhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint")), responses(
    (status = 204, description = "There is no such endpoint any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn delete(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<EndpointId>,
) -> Result<StatusCode, Problem> {
    let changer = changer(&caller)?;
    match endpoints::delete(&api.db, &api.sealer, &changer, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown()),
    }
}

/// Rotate an endpoint's secret
///
/// The new secret is in the answer, and is never told again. The one before it signs beside it for
/// `overlap_seconds`: each message then carries both signatures. An even older one signs no more.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret",
    operation_id = "rotate_webhook_secret",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint")), request_body = Option<RotateSecret>,
    responses(
    (status = 200, description = "The endpoint and its new secret", body = WebhookWithSecret),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn rotate_secret(
    caller: Caller,
    Once(api): Once,
    Id(id): Id<EndpointId>,
    MaybeBody(asked): MaybeBody<RotateSecret>,
) -> Result<Response, Problem> {
    let changer = changer(&caller)?;
    let overlap = asked.overlap_seconds.unwrap_or(USUAL_OVERLAP);
    if overlap > LONGEST_OVERLAP {
        let rule = format!("must be between 0 and {LONGEST_OVERLAP}, a week");
        return Err(Problem::body(vec![("overlap_seconds", rule)]));
    }
    let secret = match asked.secret {
        Some(given) => check::new_secret(&given).map(|()| given)?,
        None => random_secret()?,
    };
    let overlap = Duration::from_secs(overlap.into());
    match endpoints::rotate(&api.db, &api.sealer, &changer, id, &secret, overlap).await? {
        Rotation::Rotated(now) => Ok(told_once(*now, &secret)),
        Rotation::SameSecret => {
            let detail = "This is the current secret already; the one before it stays as it is.";
            Err(Problem::with_detail(Kind::Conflict, detail))
        }
        Rotation::Unknown => Err(unknown()),
    }
}

fn changer(caller: &Caller) -> Result<Changer, Problem> {
    caller.changer(Scope::WriteWebhooks)
}

fn random_secret() -> Result<SecretString, Problem> {
    webhook_out::new_secret().map_err(|error| {
        tracing::error!(%error, "no randomness from the system");
        Problem::new(Kind::Internal)
    })
}

fn shown(endpoint: Endpoint) -> Response {
    ([(header::ETAG, etag(endpoint.version))], Json(Webhook::from(endpoint))).into_response()
}

/// With the secret, which nothing on the way may keep.
fn told_once(endpoint: Endpoint, secret: &SecretString) -> Response {
    let headers = [
        (header::ETAG, etag(endpoint.version)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let secret = secret.expose_secret().to_owned();
    (headers, Json(WebhookWithSecret { secret, webhook: endpoint.into() })).into_response()
}

fn unknown() -> Problem {
    Problem::not_found("webhook endpoint")
}

fn unknown_assistant() -> Problem {
    let detail = "is no assistant of the organization".to_owned();
    Problem::body(vec![("assistant_id", detail)])
}
