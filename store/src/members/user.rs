//! Users, as an organization that has them as members sees and changes them.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::query;

use crate::{
    Database, StoreError,
    audit::Changer,
    database::{Tx, commit},
    error::During,
    ids::UserId,
};

/// A person. Also what Redis keeps of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// The `sub` of Supabase's tokens.
    pub id: UserId,
    /// Email address.
    pub email: String,
    /// Name.
    pub name: Option<String>,
    /// Whether this organization made the user known, and may change email and name.
    pub is_ours: bool,
    /// Since when the user is known.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed email or name.
    pub updated_at: DateTime<Utc>,
}

/// What is to change. All of it was checked; what is none stays as it is.
#[derive(Debug, Default)]
pub struct UserChanges {
    /// Email address.
    pub email: Option<String>,
    /// Name.
    pub name: Option<Option<String>>,
}

/// What came of a change.
#[derive(Debug, Clone)]
pub enum UserWritten {
    /// The user as it is now.
    Done(User),
    /// The organization has no such member.
    Unknown,
    /// Somebody else made the user known.
    NotOurs,
}

/// A user that is a member; none where the organization has no such one.
pub async fn get_user(
    db: &Database,
    organization: OrganizationId,
    id: UserId,
) -> Result<Option<User>, StoreError> {
    const OPERATION: &str = "users.get";
    let mut tx = db.tenant(organization).await?;
    let found = find(&mut tx, organization, id).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(found)
}

/// Changes email or name of a user that this organization made known.
pub async fn update_user(
    db: &Database,
    changer: &Changer,
    id: UserId,
    changes: &UserChanges,
) -> Result<UserWritten, StoreError> {
    const OPERATION: &str = "users.update";
    let organization = changer.organization;
    let mut tx = db.tenant(organization).await?;
    let before = find(&mut tx, organization, id).await.during(OPERATION)?;
    let Some(before) = before else { return Ok(UserWritten::Unknown) };
    if !before.is_ours {
        return Ok(UserWritten::NotOurs);
    }
    query!(
        "update users set email = coalesce($2, email),
             name = case when $3 then $4 else name end, updated_at = now()
         where id = $1",
        id.0,
        changes.email.as_deref(),
        changes.name.is_some(),
        changes.name.as_ref().and_then(Option::as_deref),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let after = find(&mut tx, organization, id).await.during(OPERATION)?;
    let Some(after) = after else { return Ok(UserWritten::Unknown) };
    // What they are is the person's: only that they changed is told.
    let changed = [("email", before.email != after.email), ("name", before.name != after.name)];
    let changed: Vec<&str> =
        changed.into_iter().filter_map(|(field, is_new)| is_new.then_some(field)).collect();
    let is = Some(json!({ "changed": changed }));
    changer.record(&mut tx, OPERATION, &format!("users:{id}"), None, is).await?;
    commit(tx, OPERATION).await?;
    Ok(UserWritten::Done(after))
}

async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    id: UserId,
) -> Result<Option<User>, sqlx::Error> {
    let row = query!(
        r#"select u.id, u.email, u.name, u.written_by is not distinct from $1 as "is_ours!",
             u.created_at, u.updated_at
           from users u join organization_members m on m.user_id = u.id and m.organization_id = $1
           where u.id = $2"#,
        organization.0,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| User {
        id: UserId(row.id),
        email: row.email,
        name: row.name,
        is_ours: row.is_ours,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }))
}
