//! What the routes of API keys take and give.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use store::keys::{Day, Key};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::{body::some, timestamp::Timestamp};

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

/// A page of API keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiKeysPage {
    /// The keys.
    pub(super) data: Vec<ApiKey>,
    /// Where the next page begins; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// An API key of the organization, without what it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiKey {
    /// Its id.
    id: Uuid,
    /// Words of your own.
    name: String,
    /// Its first ten characters.
    #[schema(example = "vx_7Hq2mPd")]
    key_prefix: String,
    /// What it may do; `*` is everything.
    #[schema(example = json!(["calls:read", "webhooks:write"]))]
    scopes: Vec<String>,
    /// Whether it may be used.
    enabled: bool,
    /// Until when it may be used; null for ever.
    expires_at: Option<Timestamp>,
    /// Requests an hour; null for the usual number.
    rate_limit: Option<i32>,
    /// Requests in all; null for no end.
    usage_quota: Option<i64>,
    /// Requests so far.
    usage_count: i64,
    /// Time of the last request, to a second or so.
    last_used_at: Option<Timestamp>,
    /// Until when the key before a rotation works, too; null where there is none.
    previous_key_ends_at: Option<Timestamp>,
    /// The member who made it; null where a key or an operator did.
    user_id: Option<Uuid>,
    /// Grows with each change by people; also the `ETag`.
    version: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When somebody last changed it.
    updated_at: Timestamp,
}

impl From<Key> for ApiKey {
    fn from(key: Key) -> Self {
        Self {
            id: key.id,
            name: key.name,
            key_prefix: key.prefix,
            scopes: key.scopes.to_list(),
            enabled: key.enabled,
            expires_at: key.expires_at.map(Timestamp),
            rate_limit: key.rate_limit,
            usage_quota: key.usage_quota,
            usage_count: key.usage_count,
            last_used_at: key.last_used_at.map(Timestamp),
            previous_key_ends_at: key.previous_ends_at.map(Timestamp),
            user_id: key.user_id,
            version: key.version,
            created_at: Timestamp(key.created_at),
            updated_at: Timestamp(key.updated_at),
        }
    }
}

/// An API key with what it is: the only time that it is told.
#[derive(Serialize, ToSchema)]
pub(super) struct ApiKeyWithKey {
    /// What goes after `Authorization: Bearer`.
    #[schema(example = "vx_7Hq2mPd…", format = Password)]
    pub(super) key: String,
    /// Everything else.
    #[serde(flatten)]
    pub(super) shown: ApiKey,
}

/// An API key with what it was used for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiKeyWithUsage {
    /// The key.
    #[serde(flatten)]
    pub(super) key: ApiKey,
    /// Requests on each of the last 30 days that had some, newest first.
    pub(super) usage_by_day: Vec<UsageDay>,
}

/// Requests of a day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageDay {
    /// The day, in UTC.
    #[schema(value_type = String, format = Date)]
    date: NaiveDate,
    /// Requests.
    requests: i64,
}

impl From<Day> for UsageDay {
    fn from(Day { date, requests }: Day) -> Self {
        Self { date, requests }
    }
}

/// An API key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateApiKey {
    /// Words of your own.
    #[schema(example = "nightly export", min_length = 1, max_length = 100)]
    pub(super) name: String,
    /// What it may do, no more than you yourself; `*` is everything, also of later releases.
    #[schema(example = json!(["calls:read", "webhooks:write"]), min_items = 1)]
    pub(super) scopes: Vec<String>,
    /// Until when it may be used. Default: for ever.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) expires_at: Option<Timestamp>,
    /// Requests an hour. Default: the usual number.
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub(super) rate_limit: Option<i64>,
    /// Requests in all. Default: no end.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(super) usage_quota: Option<i64>,
}

/// What is to change. What is not given stays as it is; null puts back the default, where there is
/// one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateApiKey {
    /// Words of your own.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    #[serde(default, deserialize_with = "some")]
    pub(super) name: Option<String>,
    /// What it may do, all of it; no more than you yourself.
    #[schema(value_type = Vec<String>, min_items = 1)]
    #[serde(default, deserialize_with = "some")]
    pub(super) scopes: Option<Vec<String>>,
    /// Until when it may be used; null for ever.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, deserialize_with = "some")]
    pub(super) expires_at: Option<Option<Timestamp>>,
    /// Requests an hour; null for the usual number.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 10_000_000)]
    #[serde(default, deserialize_with = "some")]
    pub(super) rate_limit: Option<Option<i64>>,
    /// Requests in all; null for no end.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000_000_i64)]
    #[serde(default, deserialize_with = "some")]
    pub(super) usage_quota: Option<Option<i64>>,
    /// Whether it may be used.
    #[schema(value_type = bool)]
    #[serde(default, deserialize_with = "some")]
    pub(super) enabled: Option<bool>,
}

/// How a key is replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateApiKey {
    /// For how many seconds the current key works beside the new one. Default: a day.
    #[schema(minimum = 0, maximum = 604_800, default = 86400)]
    pub(super) overlap_seconds: Option<u32>,
}
