//! What an organization has before its first call: settings, an assistant, a key.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::query;
use uuid::Uuid;

use super::{
    first_key::place,
    steps::{Part, lock, note_in, save},
};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::{During, Problem},
    keys,
    organizations::Settings,
    sealing::Sealer,
};

/// Calls find their assistant by the provider's id of it, which a new one does not have yet.
const FIRST_PROVIDER: &str = "vapi";

/// Writes default settings, the assistant of the chosen template and the first API key, whose clear
/// text is sealed. False where it was done before; then `key` is not used.
///
/// # Errors
/// When the database fails, or nobody onboards such an organization.
pub async fn furnish(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    key: &SecretString,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let mut steps = lock(&mut tx, organization).await?;
    if steps.iter().any(|step| step.is(Part::Furnish)) {
        commit(tx, "onboarding.furnish").await?;
        return Ok(false);
    }
    complete_settings(&mut tx, organization).await?;
    let has_assistant = copy_template(&mut tx, organization).await?;
    first_key(&mut tx, sealer, organization, key).await?;
    // Somebody may have withdrawn the template meanwhile; an assistant can be made by hand.
    let note = (!has_assistant).then_some("the template is gone: no assistant was made");
    note_in(&mut steps, Part::Furnish, true, note, now);
    save(&mut tx, organization, &steps).await?;
    commit(tx, "onboarding.furnish").await?;
    Ok(true)
}

/// What an organization did not choose is chosen for it; what it did choose stays.
async fn complete_settings(tx: &mut Tx, organization: OrganizationId) -> Result<(), StoreError> {
    const OPERATION: &str = "onboarding.complete_settings";
    let row = query!("select settings from organizations where id = $1 for update", organization.0)
        .fetch_one(&mut **tx)
        .await
        .during(OPERATION)?;
    let chosen: Settings = serde_json::from_value(row.settings.clone())
        .map_err(|e| StoreError::new(OPERATION, Problem::Invalid(format!("settings: {e}"))))?;
    let mut settings = json!({
        "notifications": { "sms": [], "email": chosen.billing_recipients() },
        "keep_all_events": false,
    });
    if let (Some(complete), Value::Object(chosen)) = (settings.as_object_mut(), row.settings) {
        complete.extend(chosen);
    }
    query!(
        "update organizations set settings = $2, version = version + 1, updated_at = now()
         where id = $1",
        organization.0,
        settings,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)
    .map(drop)
}

async fn copy_template(tx: &mut Tx, organization: OrganizationId) -> Result<bool, StoreError> {
    let copied = query!(
        "insert into assistants (id, organization_id, name, provider, template_id, configuration)
         select $1, o.organization_id, t.name, $3, t.id, t.configuration
         from onboardings o join templates t on t.slug = o.template_slug and t.is_active
         where o.organization_id = $2",
        Uuid::now_v7(),
        organization.0,
        FIRST_PROVIDER,
    )
    .execute(&mut **tx)
    .await
    .during("onboarding.copy_template")?;
    Ok(copied.rows_affected() > 0)
}

async fn first_key(
    tx: &mut Tx,
    sealer: &Sealer,
    organization: OrganizationId,
    key: &SecretString,
) -> Result<(), StoreError> {
    const OPERATION: &str = "onboarding.first_key";
    let clear = key.expose_secret();
    query!(
        "insert into api_keys (id, organization_id, name, key_prefix, key_hash)
         values ($1, $2, 'first key', $3, $4)",
        Uuid::now_v7(),
        organization.0,
        keys::prefix(clear),
        &keys::hash(clear),
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    query!(
        "update onboardings set first_key = $2 where organization_id = $1",
        organization.0,
        sealer.seal(place(organization), clear.as_bytes())?,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)
    .map(drop)
}
