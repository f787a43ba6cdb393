//! Keys as they may be shown: never more than their first ten characters.

use chrono::{DateTime, NaiveDate, Utc};
use contract::ids::OrganizationId;
use serde_json::{Value, json};
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Scopes;
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    reads::{Page, Place, one_more},
};

/// A key of an organization.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its id.
    pub id: Uuid,
    /// The customer's words.
    pub name: String,
    /// What it begins with.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it may be used.
    pub enabled: bool,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests an hour; none for the installation's usual number.
    pub rate_limit: Option<i32>,
    /// Requests in all.
    pub usage_quota: Option<i64>,
    /// Requests so far.
    pub usage_count: i64,
    /// Time of the last request.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until when the key before a rotation works, too; none where it does not.
    pub previous_ends_at: Option<DateTime<Utc>>,
    /// The member who made it, where it was one.
    pub user_id: Option<Uuid>,
    /// Grows with each change by people.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Key {
    /// What the audit log says of it.
    pub(super) fn audited(&self) -> Value {
        json!({
            "name": self.name,
            "prefix": self.prefix,
            "scopes": self.scopes.to_list(),
            "enabled": self.enabled,
            "expires_at": self.expires_at,
            "rate_limit": self.rate_limit,
            "usage_quota": self.usage_quota,
            "previous_ends_at": self.previous_ends_at,
            "version": self.version,
        })
    }
}

/// Requests of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The day, in UTC.
    pub date: NaiveDate,
    /// Requests.
    pub requests: i64,
}

struct Row {
    id: Uuid,
    name: String,
    key_prefix: String,
    scopes: Vec<String>,
    enabled: bool,
    expires_at: Option<DateTime<Utc>>,
    rate_limit: Option<i32>,
    usage_quota: Option<i64>,
    usage_count: i64,
    last_used_at: Option<DateTime<Utc>>,
    previous_ends_at: Option<DateTime<Utc>>,
    user_id: Option<Uuid>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Keys by the rest of the statement.
macro_rules! rows {
    ($rest:tt, $($argument:expr),+ $(,)?) => {
        query_as!(
            Row,
            "select id, name, key_prefix, scopes, enabled, expires_at, rate_limit, usage_quota,
                 usage_count, last_used_at,
                 case when previous_ends_at > now() then previous_ends_at end as previous_ends_at,
                 user_id, version, created_at, updated_at
             from api_keys where organization_id = $1 and " + $rest,
            $($argument),+
        )
    };
}

/// A page of an organization's keys, newest first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    after: Place,
    limit: u16,
) -> Result<Page<Key>, StoreError> {
    const OPERATION: &str = "keys.page";
    let mut tx = db.tenant(organization).await?;
    let rows = rows!(
        "(created_at, id) < ($2, $3) order by created_at desc, id desc limit $4",
        organization.0,
        after.at,
        after.id,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Page::cut(rows.into_iter().map(Key::from).collect(), limit))
}

/// One key; none where the organization has no such key.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    id: Uuid,
) -> Result<Option<Key>, StoreError> {
    const OPERATION: &str = "keys.get";
    let mut tx = db.tenant(organization).await?;
    let found = find(&mut tx, organization, id).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(found)
}

/// Requests of a key on each of the last 30 days that had some, newest first.
pub async fn days(
    db: &Database,
    organization: OrganizationId,
    id: Uuid,
) -> Result<Vec<Day>, StoreError> {
    const OPERATION: &str = "keys.days";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        "select day, requests from api_key_days
         where api_key_id = $1 and organization_id = $2
           and day > (now() at time zone 'utc')::date - 30
         order by day desc",
        id,
        organization.0,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows.into_iter().map(|row| Day { date: row.day, requests: row.requests }).collect())
}

pub(super) async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    id: Uuid,
) -> Result<Option<Key>, sqlx::Error> {
    let row = rows!("id = $2", organization.0, id).fetch_optional(&mut **tx).await?;
    Ok(row.map(Key::from))
}

impl From<Row> for Key {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            prefix: row.key_prefix,
            scopes: Scopes::of(row.scopes),
            enabled: row.enabled,
            expires_at: row.expires_at,
            rate_limit: row.rate_limit,
            usage_quota: row.usage_quota,
            usage_count: row.usage_count,
            last_used_at: row.last_used_at,
            previous_ends_at: row.previous_ends_at,
            user_id: row.user_id,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
