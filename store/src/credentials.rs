//! The secrets that providers prove themselves with, sealed at rest.

mod changes;
mod new_secret;

use chrono::{DateTime, Utc};
use contract::{call::Provider, ids::OrganizationId};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use sqlx::query;

pub use changes::{Changer, NewCredentials, Rotation, delete, drop_previous, put, rotate};
pub use new_secret::{NewSecret, Unfit};

use crate::{
    Database, StoreError,
    database::{Tx, commit},
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

/// What is needed to ask a provider's API.
#[derive(Debug, Clone)]
pub struct ApiAccess {
    /// The key: of its own, or the webhooks' secret where the provider has one for both.
    pub api_key: SecretString,
    /// Public settings (for Twilio the account).
    pub settings: Value,
}

/// What may be shown of an organization's credentials for a provider: never a secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Whose they are.
    pub provider: Provider,
    /// When the current secret was set.
    pub rotated_at: DateTime<Utc>,
    /// Whether the secret before it is still accepted.
    pub has_previous: bool,
    /// Until when it is.
    pub previous_ends_at: Option<DateTime<Utc>>,
    /// Whether the provider's second scheme may be used.
    pub has_shared_key: bool,
    /// Whether there is a key for the provider's API beside the secret.
    pub has_api_key: bool,
    /// Public settings.
    pub settings: Value,
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

/// Reads what an organization's calls are listed with at a provider; none where there is no key.
pub async fn api_access(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    provider: Provider,
) -> Result<Option<ApiAccess>, StoreError> {
    const OPERATION: &str = "credentials.api_access";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select c.secret, c.api_key, c.settings
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
    let (column, sealed) = match (row.api_key, provider) {
        (Some(api_key), _) => ("api_key", api_key),
        // Retell signs with the API key, and Twilio with the auth token that opens its API.
        (None, Provider::Retell | Provider::Twilio) => ("secret", row.secret),
        // Vapi's secret is of the customer's choice, and no key.
        (None, Provider::Vapi) => return Ok(None),
    };
    let api_key = sealer.open_text(place(organization, column), &sealed)?;
    Ok(Some(ApiAccess { api_key, settings: row.settings }))
}

/// What may be shown of an organization's credentials, one item for each provider that has some.
pub async fn list(
    db: &Database,
    organization: OrganizationId,
) -> Result<Vec<Overview>, StoreError> {
    const OPERATION: &str = "credentials.list";
    let mut tx = db.tenant(organization).await?;
    let overviews = overviews(&mut tx, organization, None).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(overviews)
}

/// All overviews of an organization, or one provider's.
async fn overviews(
    tx: &mut Tx,
    organization: OrganizationId,
    only: Option<Provider>,
) -> Result<Vec<Overview>, sqlx::Error> {
    let rows = query!(
        r#"select provider, rotated_at, settings, shared_key is not null as "has_shared_key!",
                  api_key is not null as "has_api_key!",
                  previous_secret is not null and coalesce(previous_ends_at > now(), true)
                      as "has_previous!",
                  case when previous_secret is not null and previous_ends_at > now()
                       then previous_ends_at end as previous_ends_at
           from provider_credentials
           where organization_id = $1 and ($2::text is null or provider = $2)
           order by provider"#,
        organization.0,
        only.map(Provider::as_str),
    )
    .fetch_all(&mut **tx)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        Some(Overview {
            // The table also has room for secrets of those who run no calls.
            provider: row.provider.parse().ok()?,
            rotated_at: row.rotated_at,
            has_previous: row.has_previous,
            previous_ends_at: row.previous_ends_at,
            has_shared_key: row.has_shared_key,
            has_api_key: row.has_api_key,
            settings: row.settings,
        })
    });
    Ok(known.collect())
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
