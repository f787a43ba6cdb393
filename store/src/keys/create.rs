//! New keys.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{query, query_scalar};
use uuid::Uuid;

use super::{Key, Scopes, change::target, hash, key::find, prefix};
use crate::{
    Database, StoreError,
    audit::Changer,
    database::{Tx, commit},
    error::{During, Problem},
};

/// Keys of one organization: a list of them stays one that people can look through.
pub const MAX_KEYS: i64 = 200;

/// A key to be made. All of it was checked.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// The key in clear; only its hash is stored.
    pub key: &'a SecretString,
    /// The customer's words.
    pub name: &'a str,
    /// What it may do; no more than whoever makes it.
    pub scopes: &'a Scopes,
    /// Until when it may be used.
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests an hour.
    pub rate_limit: Option<i32>,
    /// Requests in all.
    pub usage_quota: Option<i64>,
    /// The member who makes it, where it is one.
    pub user_id: Option<Uuid>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Created {
    /// It is there.
    Done(Box<Key>),
    /// The organization has [`MAX_KEYS`] already.
    TooMany,
}

/// Makes a key.
pub async fn create(
    db: &Database,
    changer: &Changer,
    new: &NewKey<'_>,
) -> Result<Created, StoreError> {
    const OPERATION: &str = "api_keys.create";
    let organization = changer.organization;
    let mut tx = one_at_a_time(db, changer, OPERATION).await?;
    let count = query_scalar!(
        r#"select count(*) as "count!" from api_keys where organization_id = $1"#,
        organization.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    if count >= MAX_KEYS {
        return Ok(Created::TooMany);
    }
    let (id, clear) = (Uuid::now_v7(), new.key.expose_secret());
    query!(
        "insert into api_keys (id, organization_id, user_id, name, key_prefix, key_hash, expires_at,
             rate_limit, usage_quota, scopes)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        id,
        organization.0,
        new.user_id,
        new.name,
        prefix(clear),
        &hash(clear),
        new.expires_at,
        new.rate_limit,
        new.usage_quota,
        &new.scopes.to_list(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let made = find(&mut tx, organization, id).await.during(OPERATION)?;
    let made = made.ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    changer.record(&mut tx, OPERATION, &target(id), None, Some(made.audited())).await?;
    commit(tx, OPERATION).await?;
    Ok(Created::Done(Box::new(made)))
}

/// Begins a transaction that no other change of the organization's keys runs beside.
pub(super) async fn one_at_a_time(
    db: &Database,
    changer: &Changer,
    operation: &'static str,
) -> Result<Tx, StoreError> {
    let mut tx = db.tenant(changer.organization).await?;
    let name = format!("api_keys/{}", changer.organization);
    query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", name)
        .execute(&mut *tx)
        .await
        .during(operation)?;
    Ok(tx)
}
