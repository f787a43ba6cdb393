//! Keys changed and revoked.

use chrono::{DateTime, Utc};
use sqlx::query;
use uuid::Uuid;

use super::{Key, Scopes, create::one_at_a_time, key::find};
use crate::{
    Database, StoreError,
    audit::Changer,
    database::{Tx, commit},
    error::During,
};

/// What is to change. All of it was checked; what is none stays as it is.
#[derive(Debug, Default)]
pub struct Changes {
    /// The customer's words.
    pub name: Option<String>,
    /// What it may do; no more than whoever changes it.
    pub scopes: Option<Scopes>,
    /// Until when it may be used.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// Requests an hour.
    pub rate_limit: Option<Option<i32>>,
    /// Requests in all.
    pub usage_quota: Option<Option<i64>>,
    /// Whether it may be used.
    pub enabled: Option<bool>,
}

/// What came of a change.
#[derive(Debug, Clone)]
pub enum Changed {
    /// The key as it is now.
    Done(Box<Key>),
    /// There is no such key.
    Unknown,
    /// Somebody changed it since: it has another version than was expected.
    Stale,
}

/// How the audit log names a key.
pub(super) fn target(id: Uuid) -> String {
    format!("api_keys:{id}")
}

/// A transaction that changes one key. Dropped without [`Change::finish`] it changes nothing.
pub(super) struct Change<'a> {
    pub(super) tx: Tx,
    pub(super) before: Key,
    changer: &'a Changer,
    operation: &'static str,
}

impl<'a> Change<'a> {
    /// None where there is no such key.
    pub(super) async fn begin(
        db: &Database,
        changer: &'a Changer,
        id: Uuid,
        operation: &'static str,
    ) -> Result<Option<Self>, StoreError> {
        let mut tx = one_at_a_time(db, changer, operation).await?;
        let before = find(&mut tx, changer.organization, id).await.during(operation)?;
        Ok(before.map(|before| Self { tx, before, changer, operation }))
    }

    /// Writes the audit log and commits; tells what the key became, nothing where it is gone.
    pub(super) async fn finish(mut self) -> Result<Option<Key>, StoreError> {
        let (organization, id) = (self.changer.organization, self.before.id);
        let after = find(&mut self.tx, organization, id).await.during(self.operation)?;
        let (was, is) = (self.before.audited(), after.as_ref().map(Key::audited));
        self.changer.record(&mut self.tx, self.operation, &target(id), Some(was), is).await?;
        commit(self.tx, self.operation).await?;
        Ok(after)
    }
}

/// Changes a key, if it still has a version that is `expected`, where some are.
pub async fn update(
    db: &Database,
    changer: &Changer,
    id: Uuid,
    expected: Option<&[i64]>,
    changes: &Changes,
) -> Result<Changed, StoreError> {
    const OPERATION: &str = "api_keys.update";
    let begun = Change::begin(db, changer, id, OPERATION).await?;
    let Some(mut change) = begun else { return Ok(Changed::Unknown) };
    if expected.is_some_and(|versions| !versions.contains(&change.before.version)) {
        return Ok(Changed::Stale);
    }
    let scopes = changes.scopes.as_ref().map(Scopes::to_list);
    query!(
        "update api_keys set
             name = coalesce($3, name), scopes = coalesce($4, scopes),
             expires_at = case when $5 then $6 else expires_at end,
             rate_limit = case when $7 then $8 else rate_limit end,
             usage_quota = case when $9 then $10 else usage_quota end,
             enabled = coalesce($11, enabled),
             version = version + 1, updated_at = now()
         where id = $1 and organization_id = $2",
        id,
        changer.organization.0,
        changes.name.as_deref(),
        scopes.as_deref(),
        changes.expires_at.is_some(),
        changes.expires_at.flatten(),
        changes.rate_limit.is_some(),
        changes.rate_limit.flatten(),
        changes.usage_quota.is_some(),
        changes.usage_quota.flatten(),
        changes.enabled,
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    let after = change.finish().await?;
    Ok(after.map_or(Changed::Unknown, |after| Changed::Done(Box::new(after))))
}

/// Revokes a key for good. False where there is no such key.
pub async fn revoke(db: &Database, changer: &Changer, id: Uuid) -> Result<bool, StoreError> {
    const OPERATION: &str = "api_keys.revoke";
    let begun = Change::begin(db, changer, id, OPERATION).await?;
    let Some(mut change) = begun else { return Ok(false) };
    query!(
        "delete from api_keys where id = $1 and organization_id = $2",
        id,
        changer.organization.0,
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    change.finish().await?;
    Ok(true)
}
