//! `/v1/provider-credentials`: the secrets that providers prove themselves with. They come in and
//! never go out; what changes them is in force within seconds, without a restart.

mod forms;

use std::time::Duration;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
};
use contract::call::Provider;
use secrecy::SecretString;
use serde_json::{Map, Value};
use store::credentials::{self, Changer, NewCredentials, NewSecret, Part, Rotation};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::forms::{
    ProviderCredentials, ProviderCredentialsList, ProviderPath, RotateProviderCredentials,
    SetProviderCredentials,
};
use super::{
    ApiState,
    auth::{Caller, Scope},
    body::Body,
    idempotency::Once,
    problem::{Kind, Problem},
};

/// Three secrets and some settings, with room to spare.
const LARGEST_BODY: usize = 16 * 1024;
/// A month: a secret that may have leaked is not accepted for longer.
const LONGEST_OVERLAP: u16 = 720;
const HOUR: Duration = Duration::from_secs(3600);

/// The routes of credentials.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(put, delete))
        .routes(routes!(rotate))
        .routes(routes!(drop_previous))
        .routes(routes!(drop_api_key))
        .routes(routes!(drop_shared_key))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// List provider credentials
///
/// Which providers have credentials, their settings, and how far their calls were swept. No secret
/// is ever told.
#[utoipa::path(get, path = "/v1/provider-credentials", operation_id = "list_provider_credentials",
    tag = "provider credentials", responses(
    (status = 200, description = "The credentials", body = ProviderCredentialsList)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
) -> Result<Json<ProviderCredentialsList>, Problem> {
    let organization = caller.may(Scope::ReadCredentials)?;
    let found = credentials::list(&api.db, organization).await?;
    let data = found.into_iter().map(ProviderCredentials::from).collect();
    Ok(Json(ProviderCredentialsList { data }))
}

/// Set provider credentials
///
/// What is not given stays as it is; `secret` is needed where there are no credentials yet. A new
/// secret is the only one accepted, also after a rotation; rotate to have two accepted for a while.
/// The secret that is the current one already changes nothing of that.
#[utoipa::path(put, path = "/v1/provider-credentials/{provider}",
    operation_id = "set_provider_credentials",
    tag = "provider credentials",
    params(ProviderPath),
    request_body = SetProviderCredentials, responses(
    (status = 200, description = "The credentials as they are now", body = ProviderCredentials),
    (status = 400, response = Problem)))]
async fn put(
    caller: Caller,
    State(api): State<ApiState>,
    ProviderPath { provider }: ProviderPath,
    Body(asked): Body<SetProviderCredentials>,
) -> Result<Json<ProviderCredentials>, Problem> {
    let changer = changer(&caller, provider)?;
    let secret = asked.secret.map(|secret| fit("secret", secret)).transpose()?;
    let api_key = asked.api_key.map(|key| fit("api_key", key)).transpose()?;
    let shared_key = asked.shared_key.map(|key| fit("shared_key", key)).transpose()?;
    let new = NewCredentials {
        secret: secret.as_ref(),
        api_key: api_key.as_ref(),
        shared_key: shared_key.as_ref(),
        settings: asked.settings.as_ref(),
    };
    check(&new, provider, current_settings(&api, &changer).await?)?;
    let set = credentials::put(&api.db, &api.sealer, &changer, &new).await?;
    set.map(|set| Json(set.into())).ok_or_else(|| secret_needed(provider))
}

/// Checks what is to be set together with the settings that are there, where there are credentials.
fn check(
    new: &NewCredentials<'_>,
    provider: Provider,
    current_settings: Option<Value>,
) -> Result<(), Problem> {
    let NewCredentials { secret, api_key, shared_key, settings } = *new;
    if secret.or(api_key).or(shared_key).is_none() && settings.is_none() {
        return Err(invalid("secret, api_key, shared_key or settings is needed"));
    }
    if secret.is_none() && current_settings.is_none() {
        return Err(secret_needed(provider));
    }
    let settings = settings.cloned().or(current_settings);
    let settings = settings.unwrap_or_else(|| Value::Object(Map::new()));
    providers::settings::check(provider, &settings)
        .map_err(|wrong| invalid(format!("settings: {wrong}")))?;
    if shared_key.is_some() && !providers::settings::uses_shared_key(provider, &settings) {
        return Err(invalid("shared_key is for twilio, and needs settings.shared_key_id"));
    }
    Ok(())
}

/// Rotate a provider's secret
///
/// The new secret is the current one from now on; the one before it is accepted for
/// `overlap_hours` more, an even older one no more.
#[utoipa::path(post, path = "/v1/provider-credentials/{provider}/rotate",
    operation_id = "rotate_provider_secret",
    tag = "provider credentials",
    params(ProviderPath),
    request_body = RotateProviderCredentials, responses(
    (status = 200, description = "The credentials as they are now", body = ProviderCredentials),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn rotate(
    caller: Caller,
    Once(api): Once,
    ProviderPath { provider }: ProviderPath,
    Body(asked): Body<RotateProviderCredentials>,
) -> Result<Json<ProviderCredentials>, Problem> {
    let changer = changer(&caller, provider)?;
    let secret = fit("secret", asked.secret)?;
    if asked.overlap_hours > LONGEST_OVERLAP {
        return Err(invalid(format!("overlap_hours must be between 0 and {LONGEST_OVERLAP}")));
    }
    let overlap = HOUR * u32::from(asked.overlap_hours);
    match credentials::rotate(&api.db, &api.sealer, &changer, &secret, overlap).await? {
        Rotation::Rotated(now) => Ok(Json(now.into())),
        Rotation::SameSecret => {
            let detail = "This is the current secret already; the one before it stays as it is.";
            Err(Problem::with_detail(Kind::Conflict, detail))
        }
        Rotation::Unknown => Err(Problem::not_found("provider credential")),
    }
}

/// End the overlap of a rotation
///
/// The secret before the current one is accepted no more.
#[utoipa::path(delete, path = "/v1/provider-credentials/{provider}/previous",
    operation_id = "drop_previous_provider_secret",
    tag = "provider credentials",
    params(ProviderPath), responses(
    (status = 204, description = "There is no previous secret any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn drop_previous(
    caller: Caller,
    State(api): State<ApiState>,
    ProviderPath { provider }: ProviderPath,
) -> Result<StatusCode, Problem> {
    drop_part(&caller, &api, provider, Part::Previous).await
}

/// Remove the key of a provider's API
///
/// The provider's calls are listed and its recordings fetched with the secret from then on; with
/// Vapi, whose secret opens no API, neither is possible any more.
#[utoipa::path(delete, path = "/v1/provider-credentials/{provider}/api-key",
    operation_id = "drop_provider_api_key",
    tag = "provider credentials",
    params(ProviderPath), responses(
    (status = 204, description = "There is no such key any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn drop_api_key(
    caller: Caller,
    State(api): State<ApiState>,
    ProviderPath { provider }: ProviderPath,
) -> Result<StatusCode, Problem> {
    drop_part(&caller, &api, provider, Part::ApiKey).await
}

/// Remove the shared key
///
/// Requests that Twilio signs with it are refused from then on.
#[utoipa::path(delete, path = "/v1/provider-credentials/{provider}/shared-key",
    operation_id = "drop_provider_shared_key",
    tag = "provider credentials",
    params(ProviderPath), responses(
    (status = 204, description = "There is no shared key any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn drop_shared_key(
    caller: Caller,
    State(api): State<ApiState>,
    ProviderPath { provider }: ProviderPath,
) -> Result<StatusCode, Problem> {
    drop_part(&caller, &api, provider, Part::SharedKey).await
}

async fn drop_part(
    caller: &Caller,
    api: &ApiState,
    provider: Provider,
    part: Part,
) -> Result<StatusCode, Problem> {
    let changer = changer(caller, provider)?;
    match credentials::drop_part(&api.db, &changer, part).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(match part {
            Part::Previous => "previous secret",
            Part::ApiKey => "API key",
            Part::SharedKey => "shared key",
        })),
    }
}

/// Remove provider credentials
///
/// Webhooks of the provider are refused from then on, unless the installation has a secret for
/// organizations without one.
#[utoipa::path(delete, path = "/v1/provider-credentials/{provider}",
    operation_id = "delete_provider_credentials",
    tag = "provider credentials",
    params(ProviderPath), responses(
    (status = 204, description = "There are no credentials any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn delete(
    caller: Caller,
    State(api): State<ApiState>,
    ProviderPath { provider }: ProviderPath,
) -> Result<StatusCode, Problem> {
    let changer = changer(&caller, provider)?;
    match credentials::delete(&api.db, &changer).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("provider credential")),
    }
}

fn changer(caller: &Caller, provider: Provider) -> Result<Changer, Problem> {
    let organization = caller.may(Scope::WriteCredentials)?;
    Ok(Changer { organization, provider, actor: caller.actor() })
}

/// None where there are no credentials for the provider.
async fn current_settings(api: &ApiState, changer: &Changer) -> Result<Option<Value>, Problem> {
    let known = credentials::list(&api.db, changer.organization).await?;
    let known = known.into_iter().find(|known| known.provider == changer.provider);
    Ok(known.map(|known| known.settings))
}

fn fit(field: &str, given: SecretString) -> Result<NewSecret, Problem> {
    NewSecret::new(given).map_err(|unfit| invalid(format!("{field} {unfit}")))
}

fn secret_needed(provider: Provider) -> Problem {
    invalid(format!("secret is needed: there are no credentials for {provider} yet"))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::with_detail(Kind::InvalidRequest, detail.into())
}

#[cfg(test)]
mod tests;
