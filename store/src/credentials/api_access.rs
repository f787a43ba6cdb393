//! Who may ask a provider's API for an organization, and with which key.

use contract::{call::Provider, ids::OrganizationId};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::query;

use super::place;
use crate::{Database, StoreError, database::commit, error::During, sealing::Sealer};

/// What an organization's calls are asked for with.
#[derive(Debug, Clone)]
pub enum ApiAccess {
    /// Its own account.
    Own(ApiAccount),
    /// It has credentials and no key among them, or it is deleted. No other account may stand in:
    /// with its own secret it signs any call's id, also that of somebody else's call.
    Closed,
    /// It has no credentials for the provider: it uses the installation's account.
    Unset,
}

/// An account at a provider.
#[derive(Debug, Clone)]
pub struct ApiAccount {
    /// The key: of its own, or the webhooks' secret where the provider has one for both.
    pub api_key: SecretString,
    /// Public settings (for Twilio the account).
    pub settings: Value,
}

/// Reads how a provider's API is asked for an organization's calls.
pub async fn api_access(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    provider: Provider,
) -> Result<ApiAccess, StoreError> {
    const OPERATION: &str = "credentials.api_access";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select c.secret as "secret?", c.api_key as "api_key?", c.settings as "settings?"
           from organizations o left join provider_credentials c
               on c.organization_id = o.id and c.provider = $2
           where o.id = $1 and o.deleted_at is null"#,
        organization.0,
        provider.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let Some(row) = row else { return Ok(ApiAccess::Closed) };
    let (Some(secret), Some(settings)) = (row.secret, row.settings) else {
        return Ok(ApiAccess::Unset);
    };
    let (column, sealed) = match row.api_key {
        Some(api_key) => ("api_key", api_key),
        None if opens_api(provider, false) => ("secret", secret),
        None => return Ok(ApiAccess::Closed),
    };
    let api_key = sealer.open_text(place(organization, column), &sealed)?;
    Ok(ApiAccess::Own(ApiAccount { api_key, settings }))
}

/// Whether credentials open the provider's API.
pub(super) const fn opens_api(provider: Provider, has_api_key: bool) -> bool {
    match provider {
        // Retell signs with the API key, and Twilio with the auth token that opens its API.
        Provider::Retell | Provider::Twilio => true,
        // Vapi's secret is of the customer's choice, and no key.
        Provider::Vapi => has_api_key,
    }
}
