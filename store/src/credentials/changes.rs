//! Changes to credentials: each locks the row, and stands in the audit log or did not happen.

use std::time::Duration;

use contract::{call::Provider, ids::OrganizationId};
use secrecy::ExposeSecret;
use sqlx::query;

use super::{NewSecret, Overview, overview::overviews, place};
use crate::{
    Database, StoreError,
    audit::{self, Actor, Entry},
    database::{Tx, commit},
    error::During,
    sealing::Sealer,
};

/// Whose credentials are changed, and by whom.
#[derive(Debug, Clone)]
pub struct Changer {
    /// Owner of the credentials.
    pub organization: OrganizationId,
    /// With which provider they are used.
    pub provider: Provider,
    /// Who changes them, for the audit log.
    pub actor: Actor,
}

/// What may be removed alone; the current secret goes with all the rest only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The secret before the current one: ends the overlap of a rotation.
    Previous,
    /// The key of the provider's API.
    ApiKey,
    /// The key of the provider's second scheme.
    SharedKey,
}

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq)]
pub enum Rotation {
    /// The new secret is the current one.
    Rotated(Overview),
    /// It was already: rotating would put it in the place of the secret before it, which would
    /// end that one's overlap unnoticed.
    SameSecret,
    /// There is nothing to rotate.
    Unknown,
}

/// Makes `secret` the current one; the one before it is accepted for `overlap` from now on.
///
/// An even older one is accepted no more. Without an overlap nothing of the old one is kept.
pub async fn rotate(
    db: &Database,
    sealer: &Sealer,
    changer: &Changer,
    secret: &NewSecret,
    overlap: Duration,
) -> Result<Rotation, StoreError> {
    const OPERATION: &str = "credentials.rotate";
    let place = |column| place(changer.organization, column);
    let mut change = Change::begin(db, changer, OPERATION).await?;
    let Some(current) = &change.secret else { return Ok(Rotation::Unknown) };
    let current = sealer.open_text(place("secret"), current)?;
    if secret.is(&current, sealer) {
        return Ok(Rotation::SameSecret);
    }
    // A sealed value opens only in the column that it was sealed for, so moving it is sealing it.
    let previous = match overlap.is_zero() {
        true => None,
        false => {
            let current = current.expose_secret().as_bytes();
            Some(sealer.seal(place("previous_secret"), current)?)
        }
    };
    query!(
        "update provider_credentials set
             secret = $3, previous_secret = $4, rotated_at = now(),
             previous_ends_at = case when $4::bytea is not null
                                     then now() + make_interval(secs => $5) end
         where organization_id = $1 and provider = $2",
        changer.organization.0,
        changer.provider.as_str(),
        sealer.seal(place("secret"), secret.bytes())?,
        previous,
        overlap.as_secs_f64(),
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    let after = change.finish().await?;
    Ok(after.map_or(Rotation::Unknown, Rotation::Rotated))
}

/// Removes a part of the credentials. False where it was not there.
pub async fn drop_part(db: &Database, changer: &Changer, part: Part) -> Result<bool, StoreError> {
    let operation = match part {
        Part::Previous => "credentials.drop_previous",
        Part::ApiKey => "credentials.drop_api_key",
        Part::SharedKey => "credentials.drop_shared_key",
    };
    let (organization, provider) = (changer.organization.0, changer.provider.as_str());
    let mut change = Change::begin(db, changer, operation).await?;
    let update = match part {
        Part::Previous => query!(
            "update provider_credentials set previous_secret = null, previous_ends_at = null
             where organization_id = $1 and provider = $2 and previous_secret is not null",
            organization,
            provider,
        ),
        Part::ApiKey => query!(
            "update provider_credentials set api_key = null
             where organization_id = $1 and provider = $2 and api_key is not null",
            organization,
            provider,
        ),
        Part::SharedKey => query!(
            "update provider_credentials set shared_key = null
             where organization_id = $1 and provider = $2 and shared_key is not null",
            organization,
            provider,
        ),
    };
    let done = update.execute(&mut *change.tx).await.during(operation)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    change.finish().await.map(|_| true)
}

/// Removes the credentials. False where there were none.
pub async fn delete(db: &Database, changer: &Changer) -> Result<bool, StoreError> {
    const OPERATION: &str = "credentials.delete";
    let mut change = Change::begin(db, changer, OPERATION).await?;
    let done = query!(
        "delete from provider_credentials where organization_id = $1 and provider = $2",
        changer.organization.0,
        changer.provider.as_str(),
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    change.finish().await.map(|_| true)
}

/// A transaction that changes one row. Dropped without [`Change::finish`] it changes nothing.
pub(super) struct Change<'a> {
    pub(super) tx: Tx,
    changer: &'a Changer,
    operation: &'static str,
    before: Option<Overview>,
    /// The sealed current secret.
    pub(super) secret: Option<Vec<u8>>,
}

impl<'a> Change<'a> {
    pub(super) async fn begin(
        db: &Database,
        changer: &'a Changer,
        operation: &'static str,
    ) -> Result<Self, StoreError> {
        let mut tx = db.tenant(changer.organization).await?;
        // Of two rotations at once the second must see the secret of the first as the current one.
        let secret = sqlx::query_scalar!(
            "select secret from provider_credentials
             where organization_id = $1 and provider = $2 for update",
            changer.organization.0,
            changer.provider.as_str(),
        )
        .fetch_optional(&mut *tx)
        .await
        .during(operation)?;
        let mut change = Self { tx, changer, operation, before: None, secret };
        change.before = change.overview().await?;
        Ok(change)
    }

    async fn overview(&mut self) -> Result<Option<Overview>, StoreError> {
        let Changer { organization, provider, .. } = *self.changer;
        let found = overviews(&mut self.tx, organization, Some(provider)).await;
        Ok(found.during(self.operation)?.pop())
    }

    /// Writes the audit log and commits; tells what the credentials became.
    pub(super) async fn finish(mut self) -> Result<Option<Overview>, StoreError> {
        let after = self.overview().await?;
        let json = |overview: &Option<Overview>| {
            overview.as_ref().and_then(|overview| serde_json::to_value(overview).ok())
        };
        let entry = Entry {
            organization_id: self.changer.organization,
            actor: &self.changer.actor,
            action: self.operation,
            target: &format!("provider_credentials:{}", self.changer.provider),
            before: json(&self.before),
            after: json(&after),
        };
        audit::record(&mut self.tx, entry).await?;
        commit(self.tx, self.operation).await?;
        Ok(after)
    }
}
