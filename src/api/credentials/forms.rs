//! What the routes of credentials take and give. Secrets are taken only.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use contract::call::Provider;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use store::credentials::{Overview, SweepState};
use utoipa::{IntoParams, ToSchema};

use crate::api::{problem::Problem, schema, timestamp::Timestamp};

/// Whose credentials.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ProviderPath {
    /// The provider.
    #[param(schema_with = schema::provider)]
    pub(super) provider: Provider,
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
pub(super) struct ProviderCredentialsList {
    /// One for each provider that has some.
    pub(super) data: Vec<ProviderCredentials>,
}

/// What may be known of the credentials for a provider: never a secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProviderCredentials {
    /// The provider.
    #[schema(schema_with = schema::provider)]
    pub(super) provider: Provider,
    /// When the current secret was set.
    pub(super) rotated_at: Timestamp,
    /// Whether the secret before it is still accepted.
    pub(super) has_previous: bool,
    /// Until when it is; null where there is none, or no end.
    pub(super) previous_ends_at: Option<Timestamp>,
    /// Whether there is a key for requests signed with a shared key.
    pub(super) has_shared_key: bool,
    /// Whether there is a key for the provider's API beside the secret.
    pub(super) has_api_key: bool,
    /// Settings of the provider: Vapi's HMAC plan, Twilio's account.
    #[schema(value_type = Object)]
    pub(super) settings: Value,
    /// Whether there is a key that opens the provider's API. Without one no sweep finds calls that
    /// webhooks did not tell of.
    pub(super) is_swept: bool,
    /// Calls that changed before this are known; null before the first sweep.
    pub(super) swept_until: Option<Timestamp>,
    /// When the last sweep ran, whether it worked or not; null before the first.
    pub(super) last_swept_at: Option<Timestamp>,
    /// Calls of which, or of whose end, only the last sweep that worked told; null before the
    /// first.
    #[schema(minimum = 0)]
    pub(super) sweep_found: Option<i32>,
    /// Why the last sweep failed, in a word: `Unavailable`, `Rejected` by the provider or
    /// `Invalid`; null where it worked.
    pub(super) sweep_error: Option<String>,
}

/// Credentials to be set: at least one of the fields.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetProviderCredentials {
    /// What the provider's webhooks prove themselves with: Vapi's server secret, Retell's API key,
    /// Twilio's auth token. Needed where there are no credentials yet.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(default, deserialize_with = "given_secret")]
    pub(super) secret: Option<SecretString>,
    /// Key of the provider's API, for listing calls, where it is not the secret. Vapi needs one.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(default, deserialize_with = "given_secret")]
    pub(super) api_key: Option<SecretString>,
    /// Key of requests that Twilio signs with a shared key; needs `settings.shared_key_id`.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(default, deserialize_with = "given_secret")]
    pub(super) shared_key: Option<SecretString>,
    /// Vapi: its `HmacAuthenticationPlan`. Twilio: `account_sid`, and `shared_key_id` where there
    /// is a shared key. Retell: none.
    #[schema(value_type = Object)]
    #[serde(default, deserialize_with = "given")]
    pub(super) settings: Option<Value>,
}

/// A secret that takes the place of the current one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateProviderCredentials {
    /// The new secret.
    #[schema(value_type = String, format = Password, write_only, min_length = 8, max_length = 512)]
    #[serde(deserialize_with = "secret")]
    pub(super) secret: SecretString,
    /// For how many hours the current secret is accepted beside it.
    #[schema(minimum = 0, maximum = 720, default = 24)]
    #[serde(default = "day")]
    pub(super) overlap_hours: u16,
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

impl From<Overview> for ProviderCredentials {
    fn from(overview: Overview) -> Self {
        let is_swept = overview.is_swept();
        let SweepState { swept_until, last_run_at, found, error } = overview.sweep;
        Self {
            provider: overview.provider,
            rotated_at: Timestamp(overview.rotated_at),
            has_previous: overview.has_previous,
            previous_ends_at: overview.previous_ends_at.map(Timestamp),
            has_shared_key: overview.has_shared_key,
            has_api_key: overview.has_api_key,
            settings: overview.settings,
            is_swept,
            swept_until: swept_until.map(Timestamp),
            last_swept_at: last_run_at.map(Timestamp),
            sweep_found: found,
            sweep_error: error,
        }
    }
}
