//! The secrets that providers prove themselves with, sealed at rest.

use contract::{call::Provider, ids::OrganizationId};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::query;

use crate::{
    Database, StoreError,
    database::commit,
    error::{During, Problem},
    organizations::Settings,
    sealing::{Place, Sealer},
};

/// What is needed to check a provider's request.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The current secret, then the previous one while a rotation lasts.
    pub secrets: Vec<SecretString>,
    /// Public settings of the check (for Vapi its HMAC plan).
    pub settings: Value,
    /// Whether messages that drive no call are stored too.
    pub keep_all_events: bool,
}

/// Reads an organization's credentials for a provider; none where either is unknown.
pub async fn get(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    provider: Provider,
) -> Result<Option<Credentials>, StoreError> {
    const OPERATION: &str = "credentials.get";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select c.secret, c.previous_secret, c.settings, o.settings as organization_settings
         from provider_credentials c join organizations o on o.id = c.organization_id
         where c.organization_id = $1 and c.provider = $2 and o.deleted_at is null",
        organization.0,
        provider.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let Some(row) = row else { return Ok(None) };
    let mut secrets = vec![sealer.open_text(place(organization, "secret"), &row.secret)?];
    if let Some(previous) = row.previous_secret {
        secrets.push(sealer.open_text(place(organization, "previous_secret"), &previous)?);
    }
    let chosen: Settings = serde_json::from_value(row.organization_settings).unwrap_or_default();
    let keep_all_events = chosen.keep_all_events;
    Ok(Some(Credentials { secrets, settings: row.settings, keep_all_events }))
}

/// Credentials of an organization that has none of its own: the installation's one secret.
pub async fn fallback(
    db: &Database,
    organization: OrganizationId,
    secret: &SecretString,
) -> Result<Option<Credentials>, StoreError> {
    match crate::organizations::get(db, organization).await {
        Ok(found) => Ok(Some(Credentials {
            secrets: vec![secret.clone()],
            settings: Value::Object(serde_json::Map::new()),
            keep_all_events: found.settings.keep_all_events,
        })),
        Err(error) if matches!(error.problem(), Problem::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) const fn place(organization: OrganizationId, column: &'static str) -> Place {
    Place { table: "provider_credentials", column, organization }
}
