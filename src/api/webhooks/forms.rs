//! What the routes of endpoints take and give. Secrets go out once, when they are made; the values
//! of headers never.

use std::fmt;

use contract::ids::EndpointId;
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use store::endpoints::Endpoint;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::{body::some, schema, timestamp::Timestamp};

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Items in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// A page of endpoints, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhooksPage {
    /// The endpoints.
    pub(super) data: Vec<Webhook>,
    /// Where the next page begins; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// An endpoint of the organization's that events are sent to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Webhook {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: EndpointId,
    /// Only events of this assistant's calls, or of all.
    assistant_id: Option<Uuid>,
    /// Where events go.
    #[schema(example = "https://example.com/hooks")]
    url: String,
    /// Types of events it gets: types, families such as `call.*`, or `*` for all.
    #[schema(example = json!(["call.completed", "call.failed"]))]
    events: Vec<String>,
    /// Whether events are sent to it.
    enabled: bool,
    /// Why not.
    #[schema(example = "by-customer")]
    disabled_reason: Option<String>,
    /// Since when not.
    disabled_at: Option<Timestamp>,
    /// The customer's words.
    description: String,
    /// Most deliveries a second.
    rate_limit: Option<i32>,
    /// `none`, or `call` for one after the other within a call.
    #[schema(schema_with = schema::delivery_order)]
    ordering: String,
    /// Names of the customer's own headers. Their values are never told.
    header_names: Vec<String>,
    /// Whether its messages carry ids and links only.
    thin: bool,
    /// Waits between attempts in seconds; null for the usual ones.
    schedule: Option<Vec<i32>>,
    /// Until when the secret before the current one signs beside it; null where there is none.
    previous_secret_ends_at: Option<Timestamp>,
    /// Grows with each change by people; also the `ETag`.
    version: i64,
    /// `open` after failures in a row: nothing is sent but one delivery at a time, the probe.
    #[schema(schema_with = schema::circuit)]
    circuit: String,
    /// When the next probe leaves; null while the circuit is closed.
    circuit_probe_at: Option<Timestamp>,
    /// First failure since the last success; null where all is well. After five days of nothing but
    /// failures an endpoint is disabled; they begin with one that is 12 hours or more after the first.
    failing_since: Option<Timestamp>,
    /// Failed attempts since the last success.
    retry_count: i32,
    /// Time of the last attempt.
    last_triggered_at: Option<Timestamp>,
    /// HTTP status of the last attempt.
    last_status: Option<i32>,
    /// Class of failure of the last attempt; null where it arrived.
    last_error: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When somebody last changed it.
    updated_at: Timestamp,
}

impl From<Endpoint> for Webhook {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            assistant_id: endpoint.assistant_id,
            url: endpoint.url,
            events: endpoint.events,
            enabled: endpoint.enabled,
            disabled_reason: endpoint.disabled_reason,
            disabled_at: endpoint.disabled_at.map(Timestamp),
            description: endpoint.description,
            rate_limit: endpoint.rate_limit,
            ordering: endpoint.ordering,
            header_names: endpoint.header_names,
            thin: endpoint.thin,
            schedule: endpoint.schedule,
            previous_secret_ends_at: endpoint.previous_secret_ends_at.map(Timestamp),
            version: endpoint.version,
            circuit: endpoint.circuit,
            circuit_probe_at: endpoint.circuit_probe_at.map(Timestamp),
            failing_since: endpoint.failing_since.map(Timestamp),
            retry_count: endpoint.retry_count,
            last_triggered_at: endpoint.last_triggered_at.map(Timestamp),
            last_status: endpoint.last_status,
            last_error: endpoint.last_error,
            created_at: Timestamp(endpoint.created_at),
            updated_at: Timestamp(endpoint.updated_at),
        }
    }
}

/// An endpoint with its new secret: the only time that it is told.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookWithSecret {
    /// What its messages are signed with, as Standard Webhooks libraries take it.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", format = Password)]
    pub(super) secret: String,
    /// The endpoint.
    #[serde(flatten)]
    pub(super) webhook: Webhook,
}

/// An endpoint to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWebhook {
    /// Where events go: https, without user, password and fragment, to a public address.
    #[schema(example = "https://example.com/hooks", max_length = 2048)]
    pub(super) url: String,
    /// What it gets: types of events, families such as `call.*`, or `*` for all.
    #[schema(example = json!(["call.*"]), min_items = 1, max_items = 50)]
    pub(super) events: Vec<String>,
    /// Only events of this assistant's calls.
    pub(super) assistant_id: Option<Uuid>,
    /// Words of your own.
    #[schema(max_length = 500)]
    pub(super) description: Option<String>,
    /// Whether events are sent to it. Default: true.
    pub(super) enabled: Option<bool>,
    /// Most deliveries a second. Default: as many as there are.
    #[schema(minimum = 1, maximum = 1000)]
    pub(super) rate_limit: Option<i64>,
    /// `none`, or `call` for one after the other within a call. Default: `none`.
    #[schema(example = "call")]
    pub(super) ordering: Option<String>,
    /// Headers of your own, such as `authorization`; their values are never told again.
    #[schema(value_type = Option<Object>, write_only, example = json!({ "x-tenant": "7" }))]
    pub(super) headers: Option<Headers>,
    /// Ids and links only, instead of the whole payload.
    pub(super) thin: Option<bool>,
    /// Waits between attempts in seconds, each up to a day and five days in all. Default: the usual
    /// ones, over 27 hours.
    #[schema(min_items = 1, max_items = 20, example = json!([5, 60, 3600]))]
    pub(super) schedule: Option<Vec<i64>>,
    /// A secret of your own: `whsec_` and the base64 of 24 to 64 bytes. Default: 32 random bytes.
    #[schema(value_type = Option<String>, format = Password, write_only)]
    #[serde(default, deserialize_with = "given_secret")]
    pub(super) secret: Option<SecretString>,
}

/// What is to change. What is not given stays as it is; null puts back the default, where there is
/// one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateWebhook {
    /// Where events go.
    #[schema(value_type = String, max_length = 2048)]
    #[serde(default, deserialize_with = "some")]
    pub(super) url: Option<String>,
    /// What it gets, all of it.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 50)]
    #[serde(default, deserialize_with = "some")]
    pub(super) events: Option<Vec<String>>,
    /// Only events of this assistant's calls; null for those of all.
    #[schema(value_type = Option<Uuid>)]
    #[serde(default, deserialize_with = "some")]
    pub(super) assistant_id: Option<Option<Uuid>>,
    /// Words of your own; null for none.
    #[schema(value_type = Option<String>, max_length = 500)]
    #[serde(default, deserialize_with = "some")]
    pub(super) description: Option<Option<String>>,
    /// False ends what waits to be sent. True also closes the circuit and forgets failures.
    #[schema(value_type = bool)]
    #[serde(default, deserialize_with = "some")]
    pub(super) enabled: Option<bool>,
    /// Most deliveries a second; null for as many as there are.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "some")]
    pub(super) rate_limit: Option<Option<i64>>,
    /// `none`, or `call` for one after the other within a call; null for `none`.
    #[schema(value_type = Option<String>, example = "call")]
    #[serde(default, deserialize_with = "some")]
    pub(super) ordering: Option<Option<String>>,
    /// Headers of your own, all of them; null for none.
    #[schema(value_type = Option<Object>, write_only)]
    #[serde(default, deserialize_with = "some")]
    pub(super) headers: Option<Option<Headers>>,
    /// Ids and links only, instead of the whole payload.
    #[schema(value_type = Option<bool>)]
    #[serde(default, deserialize_with = "some")]
    pub(super) thin: Option<Option<bool>>,
    /// Waits between attempts in seconds; null for the usual ones.
    #[schema(value_type = Option<Vec<i64>>, min_items = 1, max_items = 20)]
    #[serde(default, deserialize_with = "some")]
    pub(super) schedule: Option<Option<Vec<i64>>>,
}

/// A secret that takes the place of the current one.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateSecret {
    /// For how many seconds the current secret signs beside the new one. Default: a day.
    #[schema(minimum = 0, maximum = 604_800, default = 86400)]
    pub(super) overlap_seconds: Option<u32>,
    /// A secret of your own: `whsec_` and the base64 of 24 to 64 bytes. Default: 32 random bytes.
    #[schema(value_type = Option<String>, format = Password, write_only)]
    #[serde(default, deserialize_with = "given_secret")]
    pub(super) secret: Option<SecretString>,
}

fn given_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let given = Option::<String>::deserialize(deserializer)?;
    Ok(given.map(SecretString::from))
}

/// Headers in the order in which they were given; one that is there twice is not lost.
pub(super) struct Headers(pub(super) Vec<(String, SecretString)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    headers.push((name, SecretString::from(value)));
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
