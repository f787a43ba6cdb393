//! The first API key in clear: sealed until somebody has seen it, then gone.

use contract::ids::OrganizationId;
use secrecy::SecretString;
use sqlx::query;

use crate::{
    Database, StoreError,
    audit::{self, Actor, Entry},
    database::commit,
    error::During,
    sealing::{Place, Sealer},
};

/// What there is of an organization's first key.
#[derive(Debug)]
pub enum FirstKey {
    /// The key. It is shown this once.
    Revealed(SecretString),
    /// The onboarding has not made it yet.
    NotYet,
    /// Somebody has seen it before.
    Gone,
}

pub(super) fn place(organization: OrganizationId) -> Place {
    Place { table: "onboardings", column: "first_key", organization }
}

/// Gives the first key and forgets it. What the answer is lost to stays lost: another key replaces it.
///
/// # Errors
/// When the database fails, nobody onboarded such an organization, or the key was sealed with another
/// `POSTCALL_ENCRYPTION_KEY`; then it stays.
pub async fn reveal(
    db: &Database,
    sealer: &Sealer,
    organization: OrganizationId,
    actor: &Actor,
) -> Result<FirstKey, StoreError> {
    const OPERATION: &str = "onboarding.reveal";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select first_key, steps @> '[{"name": "furnish"}]' as "is_made!"
         from onboardings where organization_id = $1 for update"#,
        organization.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let Some(sealed) = row.first_key else {
        commit(tx, OPERATION).await?;
        return Ok(if row.is_made { FirstKey::Gone } else { FirstKey::NotYet });
    };
    let key = sealer.open_text(place(organization), &sealed)?;
    query!("update onboardings set first_key = null where organization_id = $1", organization.0)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    let entry = Entry {
        organization_id: organization,
        actor,
        action: "organization.first_key",
        target: "onboarding",
        before: None,
        after: None,
    };
    audit::record(&mut tx, entry).await?;
    commit(tx, OPERATION).await?;
    Ok(FirstKey::Revealed(key))
}
