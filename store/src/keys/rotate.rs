//! Another key in the place of one: id, scopes, limits and counts stay. The one before works on for a
//! while, so that clients can change in peace.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::query;
use uuid::Uuid;

use super::{Key, Scopes, change::Change, hash, prefix};
use crate::{Database, StoreError, audit::Changer, error::During};

/// What came of a rotation.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// The new key is the current one.
    Rotated(Box<Key>),
    /// The key may do this, and whoever rotates it may not: he would get a key that he could not make.
    Lacks(String),
    /// There is no such key.
    Unknown,
}

/// Makes `key` the current one; the one before it works beside it for `overlap` from now on, an even
/// older one no more.
pub async fn rotate(
    db: &Database,
    changer: &Changer,
    own: &Scopes,
    id: Uuid,
    key: &SecretString,
    overlap: Duration,
) -> Result<Rotation, StoreError> {
    const OPERATION: &str = "api_keys.rotate";
    let begun = Change::begin(db, changer, id, OPERATION).await?;
    let Some(mut change) = begun else { return Ok(Rotation::Unknown) };
    if let Some(scope) = own.lack(&change.before.scopes) {
        return Ok(Rotation::Lacks(scope.to_owned()));
    }
    let clear = key.expose_secret();
    query!(
        "update api_keys set
             previous_hash = key_hash, previous_ends_at = now() + make_interval(secs => $5),
             key_hash = $3, key_prefix = $4, version = version + 1, updated_at = now()
         where id = $1 and organization_id = $2",
        id,
        changer.organization.0,
        &hash(clear),
        prefix(clear),
        overlap.as_secs_f64(),
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    let after = change.finish().await?;
    Ok(after.map_or(Rotation::Unknown, |after| Rotation::Rotated(Box::new(after))))
}
