//! New endpoints.

use contract::ids::{EndpointId, OrganizationId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sqlx::{query, query_scalar};
use uuid::Uuid;

use super::{Changer, DeliveryOrder, Endpoint, change::target, endpoint::find};
use crate::{
    Database, StoreError,
    assistants::is_live,
    database::commit,
    deliveries::place,
    error::{During, Problem},
    sealing::Sealer,
};

/// Endpoints of one organization. Each event is written once for each that subscribes to it, in the
/// transaction that causes it.
pub const MAX_ENDPOINTS: i64 = 50;

/// An endpoint to be made. All of it was checked, but for the assistant.
#[derive(Debug)]
pub struct NewEndpoint<'a> {
    /// Where events go.
    pub url: &'a str,
    /// Types and families that it subscribes to.
    pub events: &'a [String],
    /// What its messages are signed with.
    pub secret: &'a SecretString,
    /// Only calls of this assistant, or of all.
    pub assistant_id: Option<Uuid>,
    /// The customer's words.
    pub description: &'a str,
    /// Whether it takes events.
    pub enabled: bool,
    /// Most deliveries a second.
    pub rate_limit: Option<i32>,
    /// What waits for what.
    pub ordering: DeliveryOrder,
    /// The customer's own headers.
    pub headers: &'a [(String, SecretString)],
    /// Ids and links only.
    pub thin: bool,
    /// Waits between attempts in seconds.
    pub schedule: Option<&'a [i32]>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Created {
    /// It is there.
    Done(Box<Endpoint>),
    /// The organization has [`MAX_ENDPOINTS`] already.
    TooMany,
    /// The organization has no such assistant.
    UnknownAssistant,
}

/// Makes an endpoint.
pub async fn create(
    db: &Database,
    sealer: &Sealer,
    changer: &Changer,
    new: &NewEndpoint<'_>,
) -> Result<Created, StoreError> {
    const OPERATION: &str = "webhooks.create";
    let organization = changer.organization;
    let mut tx = changer.begin(db, OPERATION).await?;
    let count = query_scalar!(
        r#"select count(*) as "count!" from webhooks
           where organization_id = $1 and deleted_at is null"#,
        organization.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    if count >= MAX_ENDPOINTS {
        return Ok(Created::TooMany);
    }
    if let Some(assistant) = new.assistant_id
        && !is_live(&mut tx, organization, assistant, OPERATION).await?
    {
        return Ok(Created::UnknownAssistant);
    }
    let id = EndpointId(Uuid::now_v7());
    query!(
        "insert into webhooks (id, organization_id, url, events, secret, assistant_id, description,
             enabled, disabled_reason, disabled_at, rate_limit, ordering, headers, thin, schedule)
         values ($1, $2, $3, $4, $5, $6, $7, $8,
             case when not $8 then 'by-customer' end, case when not $8 then now() end,
             $9, $10, $11, $12, $13)",
        id.0,
        organization.0,
        new.url,
        new.events,
        seal_secret(sealer, organization, new.secret)?,
        new.assistant_id,
        new.description,
        new.enabled,
        new.rate_limit,
        new.ordering.as_str(),
        seal_headers(sealer, organization, new.headers)?,
        new.thin,
        new.schedule,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let made = find(&mut tx, sealer, organization, id).await.during(OPERATION)?;
    let made = made.ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    changer.record(&mut tx, OPERATION, &target(id), None, Some(made.audited())).await?;
    commit(tx, OPERATION).await?;
    Ok(Created::Done(Box::new(made)))
}

pub(super) fn seal_secret(
    sealer: &Sealer,
    organization: OrganizationId,
    secret: &SecretString,
) -> Result<Vec<u8>, StoreError> {
    sealer.seal(place(organization, "secret"), secret.expose_secret().as_bytes())
}

/// A JSON object, sealed; nothing where there are no headers.
pub(super) fn seal_headers(
    sealer: &Sealer,
    organization: OrganizationId,
    headers: &[(String, SecretString)],
) -> Result<Option<Vec<u8>>, StoreError> {
    if headers.is_empty() {
        return Ok(None);
    }
    let fields = headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().into()));
    let object = Value::Object(fields.collect::<Map<_, Value>>());
    sealer.seal(place(organization, "headers"), object.to_string().as_bytes()).map(Some)
}
