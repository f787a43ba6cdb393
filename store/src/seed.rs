//! A demo organization, for `postcall dev` and for tests.

use contract::{call::Provider, ids::OrganizationId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sqlx::{Connection, PgConnection, query};
use uuid::Uuid;

use crate::{
    StoreError, credentials, database::connect_options, deliveries, error::During, keys,
    organizations::Settings, sealing::Sealer,
};

/// What a new organization starts with.
#[derive(Debug)]
pub struct NewOrganization<'a> {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: &'a str,
    /// Its name in URLs, unique.
    pub slug: &'a str,
    /// What it chose.
    pub settings: &'a Settings,
    /// Its API key in clear; only its hash is stored.
    pub api_key: &'a SecretString,
    /// The secrets that providers prove themselves with.
    pub credentials: &'a [ProviderCredentials<'a>],
    /// The provider's assistant that its calls are made by.
    pub vapi_assistant_id: Option<&'a str>,
    /// An endpoint that gets `call.completed` and `call.failed`, and its secret.
    pub endpoint: Option<(&'a str, &'a SecretString)>,
}

/// Credentials for one provider.
#[derive(Debug)]
pub struct ProviderCredentials<'a> {
    /// Whose they are.
    pub provider: Provider,
    /// The secret of its webhooks.
    pub secret: &'a SecretString,
    /// Key of its API, where that is not the secret.
    pub api_key: Option<&'a SecretString>,
    /// Public settings; they stay where there are some already.
    pub settings: Value,
}

/// Writes an organization with its key, secrets and endpoint. Needs the owner's connection.
/// What is there already stays, but for secrets, providers' keys and endpoint URL, which are
/// written anew.
pub async fn organization(
    admin_url: &SecretString,
    sealer: &Sealer,
    new: &NewOrganization<'_>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "seed.organization";
    let options = connect_options(admin_url)?;
    let mut connection = PgConnection::connect_with(&options).await.during(OPERATION)?;
    let mut tx = connection.begin().await.during(OPERATION)?;
    // An owner that row level security binds still needs to be inside the organization.
    query!("select set_config('app.organization_id', $1, true)", new.id.to_string())
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    query!(
        "insert into organizations (id, name, slug, plan, plan_minutes, settings)
         values ($1, $2, $3, 'demo', 1000, $4) on conflict (id) do nothing",
        new.id.0,
        new.name,
        new.slug,
        serde_json::to_value(new.settings).unwrap_or_default(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let key = new.api_key.expose_secret();
    query!(
        "insert into api_keys (id, organization_id, name, key_prefix, key_hash)
         values ($1, $2, 'first key', $3, $4) on conflict (key_hash) do nothing",
        Uuid::now_v7(),
        new.id.0,
        keys::prefix(key),
        &keys::hash(key),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    for credentials in new.credentials {
        provider_credentials(&mut tx, sealer, new.id, credentials).await?;
    }
    if let Some(assistant) = new.vapi_assistant_id {
        query!(
            "insert into assistants (id, organization_id, name, provider, provider_assistant_id)
             values ($1, $2, 'Front desk', 'vapi', $3)
             on conflict (organization_id, provider, provider_assistant_id)
                 where deleted_at is null do nothing",
            Uuid::now_v7(),
            new.id.0,
            assistant,
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    }
    if let Some((url, secret)) = new.endpoint {
        endpoint(&mut tx, sealer, new.id, url, secret).await?;
    }
    tx.commit().await.during(OPERATION)
}

async fn provider_credentials(
    tx: &mut sqlx::PgTransaction<'_>,
    sealer: &Sealer,
    organization: OrganizationId,
    new: &ProviderCredentials<'_>,
) -> Result<(), StoreError> {
    let seal = |column, secret: &SecretString| {
        sealer.seal(credentials::place(organization, column), secret.expose_secret().as_bytes())
    };
    query!(
        "insert into provider_credentials (organization_id, provider, secret, api_key, settings)
         values ($1, $2, $3, $4, $5)
         on conflict (organization_id, provider) do update
             set secret = excluded.secret, api_key = excluded.api_key",
        organization.0,
        new.provider.as_str(),
        seal("secret", new.secret)?,
        new.api_key.map(|key| seal("api_key", key)).transpose()?,
        new.settings,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("seed.provider_credentials")
}

/// The organization's one seeded endpoint; its id is the organization's own.
async fn endpoint(
    tx: &mut sqlx::PgTransaction<'_>,
    sealer: &Sealer,
    organization: OrganizationId,
    url: &str,
    secret: &SecretString,
) -> Result<(), StoreError> {
    let sealed = sealer
        .seal(deliveries::place(organization, "secret"), secret.expose_secret().as_bytes())?;
    query!(
        "insert into webhooks (id, organization_id, url, events, secret, description)
         values ($1, $2, $3, array['call.completed', 'call.failed'], $4, 'demo endpoint')
         on conflict (id) do update set url = excluded.url, secret = excluded.secret",
        organization.0,
        organization.0,
        url,
        sealed,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("seed.endpoint")
}
