//! Users of the whole installation, for who runs it. All of it needs the owner's connection.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use secrecy::SecretString;
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::{
    StoreError,
    audit::record_of_installation,
    database::{Owner, commit},
    error::During,
    ids::UserId,
    written::{Written, is_taken},
};

/// Longest list.
pub const MOST_LISTED: u16 = 1000;

/// A user, whosever member it is.
#[derive(Debug, Clone)]
pub struct KnownUser {
    /// The `sub` of Supabase's tokens.
    pub id: Uuid,
    /// Email address.
    pub email: String,
    /// Name.
    pub name: Option<String>,
    /// The organization that made the user known; none for an operator.
    pub written_by: Option<Uuid>,
    /// Since when the user is known.
    pub created_at: DateTime<Utc>,
}

/// An organization that has a user.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The organization.
    pub organization: OrganizationId,
    /// Its name in URLs.
    pub slug: String,
    /// What the user may do there.
    pub role: String,
}

/// Users in the order of their ids, beginning after one; all, or those with an email address.
pub async fn list_users(
    admin_url: &SecretString,
    email: Option<&str>,
    after: Option<UserId>,
    limit: u16,
) -> Result<Vec<KnownUser>, StoreError> {
    const OPERATION: &str = "users.list";
    let mut tx = Owner::connect(admin_url)?.begin(OPERATION).await?;
    query_as!(
        KnownUser,
        "select id, email, name, written_by, created_at from users
         where ($1::text is null or lower(email) = lower($1)) and ($2::uuid is null or id > $2)
         order by id limit $3",
        email,
        after.map(|id| id.0),
        i64::from(limit.min(MOST_LISTED)),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)
}

/// A user and the organizations that have it; none where nobody knows it.
pub async fn show_user(
    admin_url: &SecretString,
    id: UserId,
) -> Result<Option<(KnownUser, Vec<Membership>)>, StoreError> {
    const OPERATION: &str = "users.show";
    let mut tx = Owner::connect(admin_url)?.begin(OPERATION).await?;
    let user = query_as!(
        KnownUser,
        "select id, email, name, written_by, created_at from users where id = $1",
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let Some(user) = user else { return Ok(None) };
    let rows = query!(
        "select m.organization_id, o.slug, m.role
         from organization_members m join organizations o on o.id = m.organization_id
         where m.user_id = $1 order by o.slug",
        id.0,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    let memberships = rows.into_iter().map(|row| Membership {
        organization: OrganizationId(row.organization_id),
        slug: row.slug,
        role: row.role,
    });
    Ok(Some((user, memberships.collect())))
}

/// Makes a user that belongs to nobody yet. [`Written::Taken`]: somebody has this id.
pub async fn create_user(
    admin_url: &SecretString,
    id: UserId,
    email: &str,
    name: Option<&str>,
) -> Result<Written<()>, StoreError> {
    const OPERATION: &str = "users.create";
    let owner = Owner::connect(admin_url)?;
    let mut tx = owner.begin(OPERATION).await?;
    let done = query!("insert into users (id, email, name) values ($1, $2, $3)", id.0, email, name)
        .execute(&mut *tx)
        .await;
    if is_taken(&done, "users_pkey") {
        return Ok(Written::Taken);
    }
    done.during(OPERATION)?;
    record_of_installation(&mut tx, OPERATION, &format!("users:{id}"), None, None).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(()))
}
