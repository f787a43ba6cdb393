//! Credentials set by their owner: what is given replaces, what is not given stays.

use secrecy::SecretString;
use serde_json::Value;
use sqlx::query;

use super::{
    NewSecret, Overview,
    changes::{Change, Changer},
    place,
};
use crate::{Database, StoreError, error::During, sealing::Sealer};

/// Credentials to be set. What is not given stays as it is.
#[derive(Debug)]
pub struct NewCredentials<'a> {
    /// The secret of the provider's webhooks. Needed where there are no credentials yet.
    pub secret: Option<&'a NewSecret>,
    /// Key of the provider's API, where it is not the secret.
    pub api_key: Option<&'a NewSecret>,
    /// Key of the provider's second scheme.
    pub shared_key: Option<&'a NewSecret>,
    /// Public settings, in the form of the provider.
    pub settings: Option<&'a Value>,
}

/// Sets credentials at once; none where there is neither a secret nor one to be kept.
///
/// A new secret replaces all that were accepted, also one that a rotation left. The secret that is
/// the current one already leaves them as they are.
pub async fn put(
    db: &Database,
    sealer: &Sealer,
    changer: &Changer,
    new: &NewCredentials<'_>,
) -> Result<Option<Overview>, StoreError> {
    const OPERATION: &str = "credentials.put";
    let place = |column| place(changer.organization, column);
    let seal = |column, secret: &NewSecret| sealer.seal(place(column), secret.bytes());
    let mut change = Change::begin(db, changer, OPERATION).await?;
    let opened = change.secret.as_ref().map(|sealed| sealer.open_text(place("secret"), sealed));
    let is_kept = keeps(new.secret, opened.and_then(Result::ok).as_ref(), sealer);
    let secret = match (new.secret, change.secret.take()) {
        (_, Some(current)) if is_kept => current,
        (Some(secret), _) => seal("secret", secret)?,
        (None, _) => return Ok(None),
    };
    query!(
        "insert into provider_credentials as old
             (organization_id, provider, secret, api_key, shared_key, settings)
         values ($1, $2, $3, $4, $5, coalesce($6, '{}'::jsonb))
         on conflict (organization_id, provider) do update set
             secret = excluded.secret,
             previous_secret = case when $7 then old.previous_secret end,
             previous_ends_at = case when $7 then old.previous_ends_at end,
             rotated_at = case when $7 then old.rotated_at else now() end,
             api_key = coalesce(excluded.api_key, old.api_key),
             shared_key = coalesce(excluded.shared_key, old.shared_key),
             settings = coalesce($6, old.settings)",
        changer.organization.0,
        changer.provider.as_str(),
        secret,
        new.api_key.map(|secret| seal("api_key", secret)).transpose()?,
        new.shared_key.map(|secret| seal("shared_key", secret)).transpose()?,
        new.settings,
        is_kept,
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    change.finish().await
}

/// Whether the secret stays the current one. A stored one that does not open any more, because the
/// encryption key was lost, stays only where no other is given.
fn keeps(new: Option<&NewSecret>, current: Option<&SecretString>, sealer: &Sealer) -> bool {
    new.is_none_or(|new| current.is_some_and(|current| new.is(current, sealer)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_unless_another_is_given() {
        let sealer = Sealer::new([7; 32]);
        let current = SecretString::from("first secret");
        let new = |text: &str| NewSecret::new(text.into()).unwrap();
        assert!(keeps(None, Some(&current), &sealer));
        assert!(keeps(None, None, &sealer));
        assert!(keeps(Some(&new("first secret")), Some(&current), &sealer));
        assert!(!keeps(Some(&new("other secret")), Some(&current), &sealer));
        assert!(!keeps(Some(&new("first secret")), None, &sealer), "it does not open any more");
    }
}
