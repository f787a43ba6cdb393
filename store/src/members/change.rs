//! Members added, given other roles, and removed.

use serde_json::{Value, json};
use sqlx::{query, query_scalar};

use super::{Member, MemberRole, find};
use crate::{
    Database, StoreError,
    audit::Changer,
    database::{Tx, commit},
    error::{During, Problem},
    ids::UserId,
};

/// A member to be. All of it was checked.
#[derive(Debug)]
pub struct NewMember<'a> {
    /// The user: the `sub` of Supabase's tokens.
    pub user_id: UserId,
    /// The user's email address.
    pub email: &'a str,
    /// The user's name, where the user is not known yet.
    pub name: Option<&'a str>,
    /// What the user may do.
    pub role: MemberRole,
}

/// What came of adding a member.
#[derive(Debug, Clone)]
pub enum Added {
    /// The user is a member.
    Done(Member),
    /// The user is one already.
    Already,
    /// The user is known under another email address: whoever asks does not know the user.
    OtherEmail,
    /// Only who may manage owners makes one.
    OwnersOnly,
}

/// What came of another role, or of removing a member.
#[derive(Debug, Clone)]
pub enum Moved {
    /// What the member was.
    Done(Member),
    /// There is no such member.
    Unknown,
    /// It is the last owner.
    LastOwner,
    /// It is or would be an owner, and only who may manage owners changes that.
    OwnersOnly,
}

/// Whether whoever asks makes, changes and removes owners, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// An owner, or who speaks for the organization itself.
    Managed,
    /// An admin.
    OutOfReach,
}

impl Owners {
    fn forbid(self, role: &str) -> bool {
        self == Self::OutOfReach && role == MemberRole::Owner.as_str()
    }
}

/// Adds a member. A user that nobody knows yet is made; one that is known stays as it is.
pub async fn add(
    db: &Database,
    changer: &Changer,
    new: &NewMember<'_>,
    owners: Owners,
) -> Result<Added, StoreError> {
    const OPERATION: &str = "members.add";
    let organization = changer.organization;
    if owners.forbid(new.role.as_str()) {
        return Ok(Added::OwnersOnly);
    }
    let mut tx = begin(db, changer, OPERATION).await?;
    // Nothing of a conflict is asked for: a user of others cannot be seen before it is a member.
    query!(
        "insert into users (id, email, name, written_by) values ($1, $2, $3, $4)
         on conflict do nothing",
        new.user_id.0,
        new.email,
        new.name,
        organization.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let added = query!(
        "insert into organization_members (organization_id, user_id, role) values ($1, $2, $3)
         on conflict (organization_id, user_id) do nothing",
        organization.0,
        new.user_id.0,
        new.role.as_str(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    if added.rows_affected() == 0 {
        return Ok(Added::Already);
    }
    let made = find(&mut tx, organization, new.user_id).await.during(OPERATION)?;
    let made = made.ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    if made.email.to_lowercase() != new.email.to_lowercase() {
        return Ok(Added::OtherEmail);
    }
    changer.record(&mut tx, OPERATION, &target(new.user_id), None, audited(&made.role)).await?;
    commit(tx, OPERATION).await?;
    Ok(Added::Done(made))
}

/// Gives a member another role.
pub async fn set_role(
    db: &Database,
    changer: &Changer,
    user: UserId,
    role: MemberRole,
    owners: Owners,
) -> Result<Moved, StoreError> {
    const OPERATION: &str = "members.update";
    let mut tx = begin(db, changer, OPERATION).await?;
    let before = find(&mut tx, changer.organization, user).await.during(OPERATION)?;
    let Some(before) = before else { return Ok(Moved::Unknown) };
    if owners.forbid(&before.role) || owners.forbid(role.as_str()) {
        return Ok(Moved::OwnersOnly);
    }
    if role != MemberRole::Owner && is_last_owner(&mut tx, changer, &before).await? {
        return Ok(Moved::LastOwner);
    }
    query!(
        "update organization_members set role = $3 where organization_id = $1 and user_id = $2",
        changer.organization.0,
        user.0,
        role.as_str(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let (was, is) = (audited(&before.role), audited(role.as_str()));
    changer.record(&mut tx, OPERATION, &target(user), was, is).await?;
    commit(tx, OPERATION).await?;
    Ok(Moved::Done(Member { role: role.as_str().to_owned(), ..before }))
}

/// Removes a member. The user stays known, to other organizations and to a later return.
pub async fn remove(
    db: &Database,
    changer: &Changer,
    user: UserId,
    owners: Owners,
) -> Result<Moved, StoreError> {
    const OPERATION: &str = "members.remove";
    let mut tx = begin(db, changer, OPERATION).await?;
    let before = find(&mut tx, changer.organization, user).await.during(OPERATION)?;
    let Some(before) = before else { return Ok(Moved::Unknown) };
    if owners.forbid(&before.role) {
        return Ok(Moved::OwnersOnly);
    }
    if is_last_owner(&mut tx, changer, &before).await? {
        return Ok(Moved::LastOwner);
    }
    query!(
        "delete from organization_members where organization_id = $1 and user_id = $2",
        changer.organization.0,
        user.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    changer.record(&mut tx, OPERATION, &target(user), audited(&before.role), None).await?;
    commit(tx, OPERATION).await?;
    Ok(Moved::Done(before))
}

/// A transaction that no other change of the organization's members runs beside: of two owners who
/// leave at once, one must see that the other is gone.
async fn begin(
    db: &Database,
    changer: &Changer,
    operation: &'static str,
) -> Result<Tx, StoreError> {
    let mut tx = db.tenant(changer.organization).await?;
    let name = format!("members/{}", changer.organization);
    query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", name)
        .execute(&mut *tx)
        .await
        .during(operation)?;
    Ok(tx)
}

async fn is_last_owner(
    tx: &mut Tx,
    changer: &Changer,
    member: &Member,
) -> Result<bool, StoreError> {
    if member.role != MemberRole::Owner.as_str() {
        return Ok(false);
    }
    let others = query_scalar!(
        r#"select exists (select from organization_members
             where organization_id = $1 and role = 'owner' and user_id <> $2) as "others!""#,
        changer.organization.0,
        member.user_id.0,
    )
    .fetch_one(&mut **tx)
    .await
    .during("members.is_last_owner")?;
    Ok(!others)
}

/// The role alone: email and name are the person's.
fn audited(role: &str) -> Option<Value> {
    Some(json!({ "role": role }))
}

fn target(user: UserId) -> String {
    format!("members:{user}")
}
