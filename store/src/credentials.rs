//! The secrets that providers prove themselves with, sealed at rest.

mod api_access;
mod changes;
mod new_secret;
mod overview;
mod put;

use contract::{call::Provider, ids::OrganizationId};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::query;

pub use api_access::{ApiAccess, ApiAccount, api_access};
pub use changes::{Changer, Part, Rotation, delete, drop_part, rotate};
pub use new_secret::{NewSecret, Unfit};
pub use overview::{Overview, SweepState, list};
pub use put::{NewCredentials, put};

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
    /// The key of the provider's second scheme (Twilio's shared key), where it is used.
    pub shared_key: Option<SecretString>,
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
        "select c.secret, c.shared_key, c.settings, o.settings as organization_settings,
                case when c.previous_ends_at is null or c.previous_ends_at > now()
                     then c.previous_secret end as previous_secret
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
    let open = |column, sealed: Vec<u8>| sealer.open_text(place(organization, column), &sealed);
    let current = open("secret", row.secret)?;
    let previous = row.previous_secret.map(|sealed| open("previous_secret", sealed)).transpose()?;
    let chosen: Settings = serde_json::from_value(row.organization_settings).unwrap_or_default();
    Ok(Some(Credentials {
        secrets: std::iter::once(current).chain(previous).collect(),
        shared_key: row.shared_key.map(|sealed| open("shared_key", sealed)).transpose()?,
        settings: row.settings,
        keep_all_events: chosen.keep_all_events,
    }))
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
            shared_key: None,
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
