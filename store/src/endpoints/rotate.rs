//! New secrets: the one before goes on signing for a while, so that receivers can change in peace.

use std::time::Duration;

use contract::ids::EndpointId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{query, query_scalar};

use super::{Changer, Endpoint, change::Change, create::seal_secret};
use crate::{Database, StoreError, deliveries::place, error::During, sealing::Sealer};

/// What came of a rotation.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// The new secret is the current one.
    Rotated(Box<Endpoint>),
    /// It was already.
    SameSecret,
    /// There is no such endpoint.
    Unknown,
}

/// Makes `secret` the current one; the one before it signs beside it for `overlap` from now on.
///
/// An even older one signs no more. Without an overlap nothing of the old one is kept.
pub async fn rotate(
    db: &Database,
    sealer: &Sealer,
    changer: &Changer,
    id: EndpointId,
    secret: &SecretString,
    overlap: Duration,
) -> Result<Rotation, StoreError> {
    const OPERATION: &str = "webhooks.rotate_secret";
    let organization = changer.organization;
    let begun = Change::begin(db, sealer, changer, id, OPERATION).await?;
    let Some(mut change) = begun else { return Ok(Rotation::Unknown) };
    let current = query_scalar!("select secret from webhooks where id = $1", id.0)
        .fetch_one(&mut *change.tx)
        .await
        .during(OPERATION)?;
    let current = sealer.open_text(place(organization, "secret"), &current)?;
    // Digests with the sealer's key: the time of the comparison tells nothing of either.
    let digest = |secret: &SecretString| sealer.derive(secret.expose_secret());
    if digest(&current) == digest(secret) {
        return Ok(Rotation::SameSecret);
    }
    // A sealed value opens only in the column that it was sealed for, so moving it is sealing it.
    let previous = match overlap.is_zero() {
        true => None,
        false => {
            let current = current.expose_secret().as_bytes();
            Some(sealer.seal(place(organization, "previous_secret"), current)?)
        }
    };
    query!(
        "update webhooks set secret = $2, previous_secret = $3,
             previous_secret_ends_at = case when $3::bytea is not null
                                            then now() + make_interval(secs => $4) end,
             version = version + 1, updated_at = now()
         where id = $1",
        id.0,
        seal_secret(sealer, organization, secret)?,
        previous,
        overlap.as_secs_f64(),
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    let after = change.finish().await?;
    Ok(after.map_or(Rotation::Unknown, |after| Rotation::Rotated(Box::new(after))))
}
