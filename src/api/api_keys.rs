//! `/v1/api-keys`: made, shown, changed, rotated and revoked. A key is told once, when it is made.

mod check;
mod forms;

use std::time::Duration;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use store::{
    keys::{self, Changed, Created, Key, MAX_KEYS, NewKey, Rotation},
    reads::Place,
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::forms::{
    ApiKey, ApiKeyWithKey, ApiKeyWithUsage, ApiKeysPage, CreateApiKey, PageQuery, RotateApiKey,
    UpdateApiKey, UsageDay,
};
use super::{
    ApiState,
    auth::{Caller, Scope},
    body::{Body, MaybeBody},
    cursor,
    etag::{etag, expected, stale, tagged},
    extract::{Id, Parameters, limit},
    idempotency::Once,
    problem::{Kind, Problem},
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
/// A name and all scopes, with room to spare.
const LARGEST_BODY: usize = 16 * 1024;
/// Seconds: a day.
const USUAL_OVERLAP: u32 = 24 * 3600;
/// Seconds: a week. A key that may have leaked works for no longer.
const LONGEST_OVERLAP: u32 = 7 * 24 * 3600;

/// The routes of API keys.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, revoke))
        .routes(routes!(rotate))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// List API keys
///
/// Newest first, with what each may do and how much it was used, and never the key itself.
#[utoipa::path(get, path = "/v1/api-keys", operation_id = "list_api_keys",
    tag = "API keys", params(PageQuery), responses(
    (status = 200, description = "A page of keys", body = ApiKeysPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<PageQuery>,
) -> Result<Json<ApiKeysPage>, Problem> {
    let organization = caller.may(Scope::ReadApiKeys)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("api-keys {organization}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let page = keys::page(&api.db, organization, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id,
    });
    let data = page.items.into_iter().map(ApiKey::from).collect();
    Ok(Json(ApiKeysPage { data, next_cursor }))
}

/// Create an API key
///
/// The key is in the answer, and is never told again. It may do no more than whoever makes it.
#[utoipa::path(post, path = "/v1/api-keys", operation_id = "create_api_key",
    tag = "API keys", request_body = CreateApiKey,
    responses(
    (status = 201, description = "The key", body = ApiKeyWithKey),
    (status = 400, response = Problem),
    (status = 409, response = Problem)))]
async fn create(
    caller: Caller,
    Once(api): Once,
    Body(asked): Body<CreateApiKey>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WriteApiKeys)?;
    let new = check::create(asked, &caller.scopes())?;
    let key = random_key()?;
    let new = NewKey {
        key: &key,
        name: &new.name,
        scopes: &new.scopes,
        expires_at: new.expires_at,
        rate_limit: new.rate_limit,
        usage_quota: new.usage_quota,
        user_id: caller.user(),
    };
    match keys::create(&api.db, &changer, &new).await? {
        Created::Done(made) => Ok((StatusCode::CREATED, told_once(*made, &key)).into_response()),
        Created::TooMany => {
            let detail = format!(
                "The organization has {MAX_KEYS} API keys, as many as it may: revoke one that nobody \
                 uses."
            );
            Err(Problem::with_detail(Kind::Conflict, detail))
        }
    }
}

/// Show an API key
///
/// With its requests on each of the last 30 days, in UTC. Counts are written once a second.
#[utoipa::path(get, path = "/v1/api-keys/{id}", operation_id = "get_api_key", tag = "API keys",
    params(("id" = Uuid, Path, description = "The key's id")), responses(
    (status = 200, description = "The key", body = ApiKeyWithUsage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<Uuid>,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadApiKeys)?;
    let found = keys::get(&api.db, organization, id).await?.ok_or_else(unknown)?;
    let days = keys::days(&api.db, organization, id).await?;
    let (version, days) = (found.version, days.into_iter().map(UsageDay::from).collect());
    Ok(tagged(version, ApiKeyWithUsage { key: found.into(), usage_by_day: days }))
}

/// Change an API key
///
/// What is not given stays as it is; null puts back the default. In force at once, everywhere. With
/// `If-Match` only where nobody changed the key since it had that `ETag`.
#[utoipa::path(patch, path = "/v1/api-keys/{id}", operation_id = "update_api_key", tag = "API keys",
    params(("id" = Uuid, Path, description = "The key's id"),
        ("If-Match" = Option<String>, Header, description = "`ETag` that it must still have")),
    request_body = UpdateApiKey, responses(
    (status = 200, description = "The key as it is now", body = ApiKey),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 412, response = Problem)))]
async fn update(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<Uuid>,
    headers: HeaderMap,
    Body(asked): Body<UpdateApiKey>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WriteApiKeys)?;
    let changes = check::update(asked, &caller.scopes())?;
    let expected = expected(&headers);
    match keys::update(&api.db, &changer, id, expected.as_deref(), &changes).await? {
        Changed::Done(now) => {
            api.access.changed(changer.organization);
            Ok(tagged(now.version, ApiKey::from(*now)))
        }
        Changed::Unknown => Err(unknown()),
        Changed::Stale => Err(stale()),
    }
}

/// Revoke an API key
///
/// It is refused from now on, everywhere, and so is the one that it replaced. Nothing brings it back.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", operation_id = "revoke_api_key",
    tag = "API keys",
    params(("id" = Uuid, Path, description = "The key's id")), responses(
    (status = 204, description = "There is no such key any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn revoke(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<Uuid>,
) -> Result<StatusCode, Problem> {
    let changer = caller.changer(Scope::WriteApiKeys)?;
    match keys::revoke(&api.db, &changer, id).await? {
        true => {
            api.access.changed(changer.organization);
            Ok(StatusCode::NO_CONTENT)
        }
        false => Err(unknown()),
    }
}

/// Rotate an API key
///
/// The new key is in the answer, and is never told again. Scopes, limits and counts stay. The key before
/// it works beside it for `overlap_seconds`, an even older one no more.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", operation_id = "rotate_api_key",
    tag = "API keys",
    params(("id" = Uuid, Path, description = "The key's id")), request_body = Option<RotateApiKey>,
    responses(
    (status = 200, description = "The new key", body = ApiKeyWithKey),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn rotate(
    caller: Caller,
    Once(api): Once,
    Id(id): Id<Uuid>,
    MaybeBody(asked): MaybeBody<RotateApiKey>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WriteApiKeys)?;
    let overlap = asked.overlap_seconds.unwrap_or(USUAL_OVERLAP);
    if overlap > LONGEST_OVERLAP {
        let rule = format!("must be between 0 and {LONGEST_OVERLAP}, a week");
        return Err(Problem::body(vec![("overlap_seconds", rule)]));
    }
    let (key, overlap) = (random_key()?, Duration::from_secs(overlap.into()));
    match keys::rotate(&api.db, &changer, &caller.scopes(), id, &key, overlap).await? {
        Rotation::Rotated(now) => {
            api.access.changed(changer.organization);
            Ok(told_once(*now, &key))
        }
        Rotation::Lacks(scope) => {
            let detail = format!("The key has the scope {scope}, which you lack yourself.");
            Err(Problem::with_detail(Kind::Forbidden, detail))
        }
        Rotation::Unknown => Err(unknown()),
    }
}

fn random_key() -> Result<SecretString, Problem> {
    keys::generate().map_err(|error| {
        tracing::error!(%error, "no randomness from the system");
        Problem::new(Kind::Internal)
    })
}

/// With the key itself, which nothing on the way may keep.
fn told_once(key: Key, clear: &SecretString) -> Response {
    let headers = [
        (header::ETAG, etag(key.version)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = ApiKeyWithKey { key: clear.expose_secret().to_owned(), shown: key.into() };
    (headers, Json(body)).into_response()
}

fn unknown() -> Problem {
    Problem::not_found("API key")
}
