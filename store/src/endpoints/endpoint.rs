//! Endpoints as they may be shown: never a secret, never the value of a header.

use chrono::{DateTime, Utc};
use contract::ids::{EndpointId, OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::query_as;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    deliveries::place,
    error::During,
    reads::{Page, Place, one_more},
    sealing::Sealer,
};

/// What waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryOrder {
    /// Nothing for anything.
    None,
    /// An event of a call for those of the call before it.
    Call,
}

impl DeliveryOrder {
    /// The literal of the database and of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Call => "call",
        }
    }
}

/// A customer's endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Only calls of this assistant, or of all.
    pub assistant_id: Option<Uuid>,
    /// Where events go.
    pub url: String,
    /// Types and families that it subscribes to.
    pub events: Vec<String>,
    /// Whether it takes events.
    pub enabled: bool,
    /// Why it does not.
    pub disabled_reason: Option<String>,
    /// Since when it does not.
    pub disabled_at: Option<DateTime<Utc>>,
    /// The customer's words.
    pub description: String,
    /// Most deliveries a second.
    pub rate_limit: Option<i32>,
    /// `none` or `call`.
    pub ordering: String,
    /// Names of the customer's own headers; none where the key that sealed them is gone.
    pub header_names: Vec<String>,
    /// Whether its messages carry ids and links only.
    pub thin: bool,
    /// Waits between attempts in seconds; none for the usual ones.
    pub schedule: Option<Vec<i32>>,
    /// Until when the secret before the current one signs too; none where there is no such secret.
    pub previous_secret_ends_at: Option<DateTime<Utc>>,
    /// Grows with each change by people.
    pub version: i64,
    /// `closed`, `open` or `half-open`.
    pub circuit: String,
    /// When the next probe of an open circuit leaves.
    pub circuit_probe_at: Option<DateTime<Utc>>,
    /// First failure since the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// Failures since the last success.
    pub retry_count: i32,
    /// Time of the last attempt, to a second while nothing else changes.
    pub last_triggered_at: Option<DateTime<Utc>>,
    /// HTTP status of the last attempt.
    pub last_status: Option<i32>,
    /// Class of the last failure.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Endpoint {
    /// What the audit log says of it. Not the description: free text may name people.
    pub(super) fn audited(&self) -> Value {
        json!({
            "url": without_query(&self.url),
            "events": self.events,
            "assistant_id": self.assistant_id,
            "enabled": self.enabled,
            "disabled_reason": self.disabled_reason,
            "rate_limit": self.rate_limit,
            "ordering": self.ordering,
            "header_names": self.header_names,
            "thin": self.thin,
            "schedule": self.schedule,
            "previous_secret_ends_at": self.previous_secret_ends_at,
            "version": self.version,
        })
    }
}

/// What follows a `?` may be a customer's own secret.
fn without_query(url: &str) -> String {
    url.split_once('?').map_or_else(|| url.to_owned(), |(url, _)| format!("{url}?***"))
}

/// A row of `webhooks`, without its secrets.
struct Row {
    id: Uuid,
    assistant_id: Option<Uuid>,
    url: String,
    events: Vec<String>,
    enabled: bool,
    disabled_reason: Option<String>,
    disabled_at: Option<DateTime<Utc>>,
    description: String,
    rate_limit: Option<i32>,
    ordering: String,
    headers: Option<Vec<u8>>,
    thin: bool,
    schedule: Option<Vec<i32>>,
    previous_secret_ends_at: Option<DateTime<Utc>>,
    version: i64,
    circuit: String,
    circuit_probe_at: Option<DateTime<Utc>>,
    failing_since: Option<DateTime<Utc>>,
    retry_count: i32,
    last_triggered_at: Option<DateTime<Utc>>,
    last_status: Option<i32>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Endpoints that were not deleted, by the rest of the statement.
macro_rules! rows {
    ($rest:tt, $($argument:expr),+ $(,)?) => {
        query_as!(
            Row,
            "select id, assistant_id, url, events, enabled, disabled_reason, disabled_at, description,
                 rate_limit, ordering, headers, thin, schedule,
                 case when previous_secret is not null and previous_secret_ends_at > now()
                      then previous_secret_ends_at end as previous_secret_ends_at,
                 version, circuit, circuit_probe_at, failing_since, retry_count, last_triggered_at,
                 last_status, last_error, created_at, updated_at
             from webhooks where organization_id = $1 and deleted_at is null and " + $rest,
            $($argument),+
        )
    };
}

/// A page of an organization's endpoints, newest first.
pub async fn page(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    after: Place,
    limit: u16,
) -> Result<Page<Endpoint>, StoreError> {
    const OPERATION: &str = "endpoints.page";
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
    let found = rows.into_iter().map(|row| endpoint(sealer, organization, row)).collect();
    Ok(Page::cut(found, limit))
}

/// One endpoint; none where the organization has no such endpoint, or no more.
pub async fn get(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    id: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    const OPERATION: &str = "endpoints.get";
    let mut tx = db.tenant(organization).await?;
    let found = find(&mut tx, sealer, organization, id).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(found)
}

pub(super) async fn find(
    tx: &mut Tx,
    sealer: &Sealer,
    organization: OrganizationId,
    id: EndpointId,
) -> Result<Option<Endpoint>, sqlx::Error> {
    let row = rows!("id = $2", organization.0, id.0).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| endpoint(sealer, organization, row)))
}

fn endpoint(sealer: &Sealer, organization: OrganizationId, row: Row) -> Endpoint {
    Endpoint {
        id: EndpointId(row.id),
        assistant_id: row.assistant_id,
        url: row.url,
        events: row.events,
        enabled: row.enabled,
        disabled_reason: row.disabled_reason,
        disabled_at: row.disabled_at,
        description: row.description,
        rate_limit: row.rate_limit,
        ordering: row.ordering,
        header_names: header_names(sealer, organization, row.headers.as_deref()),
        thin: row.thin,
        schedule: row.schedule,
        previous_secret_ends_at: row.previous_secret_ends_at,
        version: row.version,
        circuit: row.circuit,
        circuit_probe_at: row.circuit_probe_at,
        failing_since: row.failing_since,
        retry_count: row.retry_count,
        last_triggered_at: row.last_triggered_at,
        last_status: row.last_status,
        last_error: row.last_error,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// Headers that no key opens any more are as good as none: setting them anew mends it, and what
/// is shown of the endpoint must not fail for it.
fn header_names(
    sealer: &Sealer,
    organization: OrganizationId,
    sealed: Option<&[u8]>,
) -> Vec<String> {
    let Some(sealed) = sealed else { return Vec::new() };
    let opened = sealer.open(place(organization, "headers"), sealed).ok();
    let headers: Option<Map<String, Value>> =
        opened.and_then(|plain| serde_json::from_slice(&plain).ok());
    headers.map(|headers| headers.into_iter().map(|(name, _)| name).collect()).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;
    use crate::endpoints::create::seal_headers;

    #[test]
    fn headers_are_sealed_and_only_their_names_shown() {
        let (sealer, organization) = (Sealer::new([7; 32]), OrganizationId(Uuid::from_u128(1)));
        let headers = [("X-Key".to_owned(), "open sesame".into())];
        let sealed = seal_headers(&sealer, organization, &headers).unwrap().unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"sesame"));
        assert_eq!(header_names(&sealer, organization, Some(&sealed)), ["X-Key"]);
        assert!(header_names(&sealer, organization, None).is_empty());
        assert!(header_names(&Sealer::new([8; 32]), organization, Some(&sealed)).is_empty());
        assert!(seal_headers(&sealer, organization, &[]).unwrap().is_none());
    }
}
