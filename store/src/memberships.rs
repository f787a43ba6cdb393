//! Which organizations a user belongs to, before it is known which one he means.

use contract::ids::OrganizationId;
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, database::commit, error::During};

pub use crate::members::MemberRole;

/// A user's place in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The organization, which was not deleted.
    pub organization: OrganizationId,
    /// What the user may do there.
    pub role: MemberRole,
}

/// Nobody belongs to more, and nobody waits for a list without end.
const MOST: i64 = 1_000;

/// The memberships of a user.
pub async fn of_user(db: &Database, user: Uuid) -> Result<Vec<Membership>, StoreError> {
    const OPERATION: &str = "memberships.of_user";
    let mut tx = db.presented_user(user).await?;
    let rows = query!(
        "select m.organization_id, m.role
         from organization_members m join organizations o on o.id = m.organization_id
         where m.user_id = $1 and o.deleted_at is null
         order by m.organization_id limit $2",
        user,
        MOST,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let membership = |organization: Uuid, role: &str| Membership {
        organization: OrganizationId(organization),
        // A role of a later release is one that this release gives the least to.
        role: MemberRole::read(role).unwrap_or(MemberRole::Member),
    };
    Ok(rows.into_iter().map(|row| membership(row.organization_id, &row.role)).collect())
}
