//! `/v1/provider-credentials`: the secrets that providers prove themselves with. They come in and
//! never go out; what changes them is in force within seconds, without a restart.

use std::time::Duration;

use axum::{
    Json,
    extract::{DefaultBodyLimit, FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
};
use contract::call::Provider;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use store::credentials::{self, Changer, NewCredentials, NewSecret, Overview, Rotation};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    ApiState,
    auth::{Caller, Scope},
    body::Body,
    problem::{Kind, Problem},
    schema,
    timestamp::Timestamp,
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
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// Whose credentials.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ProviderPath {
    /// The provider.
    #[param(schema_with = schema::provider)]
    provider: Provider,
}

impl<S: Send + Sync> FromRequestParts<S> for ProviderPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<Self>::from_request_parts(parts, state).await {
            Ok(Path(path)) => Ok(path),
            Err(_) => Err(Problem::path("provider", "must be vapi, retell or twilio")),
        }
    }
}

/// All credentials of the organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderCredentialsList {
    /// One for each provider that has some.
    data: Vec<ProviderCredentials>,
}

/// What may be known of the credentials for a provider: never a secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderCredentials {
    /// The provider.
    #[schema(schema_with = schema::provider)]
    provider: Provider,
    /// When the current secret was set.
    rotated_at: Timestamp,
    /// Whether the secret before it is still accepted.
    has_previous: bool,
    /// Until when it is; null where there is none, or no end.
    previous_ends_at: Option<Timestamp>,
    /// Whether there is a key for requests signed with a shared key.
    has_shared_key: bool,
    /// Whether there is a key for the provider's API beside the secret.
    has_api_key: bool,
    /// Settings of the provider: Vapi's HMAC plan, Twilio's account.
    #[schema(value_type = Object)]
    settings: Value,
}

/// Credentials to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetProviderCredentials {
    /// What the provider's webhooks prove themselves with: Vapi's server secret, Retell's API key,
    /// Twilio's auth token.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(deserialize_with = "secret")]
    secret: SecretString,
    /// Key of the provider's API, for listing calls, where it is not the secret. Vapi needs one.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(default, deserialize_with = "given_secret")]
    api_key: Option<SecretString>,
    /// Key of requests that Twilio signs with a shared key; needs `settings.shared_key_id`.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(default, deserialize_with = "given_secret")]
    shared_key: Option<SecretString>,
    /// Vapi: its `HmacAuthenticationPlan`. Twilio: `account_sid`, and `shared_key_id` where there
    /// is a shared key. Retell: none.
    #[schema(value_type = Object)]
    #[serde(default, deserialize_with = "given")]
    settings: Option<Value>,
}

/// A secret that takes the place of the current one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateProviderCredentials {
    /// The new secret.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(deserialize_with = "secret")]
    secret: SecretString,
    /// For how many hours the current secret is accepted beside it.
    #[schema(minimum = 0, maximum = 720, default = 24)]
    #[serde(default = "day")]
    overlap_hours: u16,
}

const fn day() -> u16 {
    24
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

fn given_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    secret(deserializer).map(Some)
}

/// What is there, also where it is null: that keeps nothing, and so must not look like it.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// List provider credentials
///
/// Which providers have credentials, and their settings. No secret is ever told.
#[utoipa::path(get, path = "/v1/provider-credentials", tag = "provider credentials", responses(
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
/// What is not given stays as it is. The secret that was current is accepted no more; rotate to
/// have both accepted for a while.
#[utoipa::path(put, path = "/v1/provider-credentials/{provider}", tag = "provider credentials",
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
    let secret = fit("secret", asked.secret)?;
    let api_key = asked.api_key.map(|key| fit("api_key", key)).transpose()?;
    let shared_key = asked.shared_key.map(|key| fit("shared_key", key)).transpose()?;
    let settings = match &asked.settings {
        Some(settings) => settings.clone(),
        None => current_settings(&api, &changer).await?,
    };
    providers::settings::check(provider, &settings)
        .map_err(|wrong| invalid(format!("settings: {wrong}")))?;
    if shared_key.is_some() && !providers::settings::uses_shared_key(provider, &settings) {
        return Err(invalid("shared_key is for twilio, and needs settings.shared_key_id"));
    }
    let new = NewCredentials {
        secret: &secret,
        api_key: api_key.as_ref(),
        shared_key: shared_key.as_ref(),
        settings: asked.settings.as_ref(),
    };
    let set = credentials::put(&api.db, &api.sealer, &changer, &new).await?;
    Ok(Json(set.into()))
}

/// Rotate a provider's secret
///
/// The new secret is the current one from now on; the one before it is accepted for
/// `overlap_hours` more, an even older one no more.
#[utoipa::path(post, path = "/v1/provider-credentials/{provider}/rotate",
    tag = "provider credentials",
    params(ProviderPath),
    request_body = RotateProviderCredentials, responses(
    (status = 200, description = "The credentials as they are now", body = ProviderCredentials),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn rotate(
    caller: Caller,
    State(api): State<ApiState>,
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
    let changer = changer(&caller, provider)?;
    match credentials::drop_previous(&api.db, &changer).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("previous secret")),
    }
}

/// Remove provider credentials
///
/// Webhooks of the provider are refused from then on, unless the installation has a secret for
/// organizations without one.
#[utoipa::path(delete, path = "/v1/provider-credentials/{provider}", tag = "provider credentials",
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

async fn current_settings(api: &ApiState, changer: &Changer) -> Result<Value, Problem> {
    let known = credentials::list(&api.db, changer.organization).await?;
    let known = known.into_iter().find(|known| known.provider == changer.provider);
    Ok(known.map_or_else(|| Value::Object(Map::new()), |known| known.settings))
}

fn fit(field: &str, given: SecretString) -> Result<NewSecret, Problem> {
    NewSecret::new(given).map_err(|unfit| invalid(format!("{field} {unfit}")))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::with_detail(Kind::InvalidRequest, detail.into())
}

impl From<Overview> for ProviderCredentials {
    fn from(overview: Overview) -> Self {
        Self {
            provider: overview.provider,
            rotated_at: Timestamp(overview.rotated_at),
            has_previous: overview.has_previous,
            previous_ends_at: overview.previous_ends_at.map(Timestamp),
            has_shared_key: overview.has_shared_key,
            has_api_key: overview.has_api_key,
            settings: overview.settings,
        }
    }
}

#[cfg(test)]
mod tests;
