//! Members: which users an organization has, and what they may do there.
//!
//! A user belongs to no organization alone. Whoever makes a user known writes email and name, and nobody
//! else changes them; an organization sees the users that it has as members.

mod change;
mod operate;
mod user;

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    ids::UserId,
    organizations::MAX_RECIPIENTS,
    reads::{Page, Place, one_more},
};

pub use change::{Added, Moved, NewMember, Owners, add, remove, set_role};
pub use operate::{KnownUser, MOST_LISTED, Membership, create_user, list_users, show_user};
pub use user::{User, UserChanges, UserWritten, get_user, update_user};

/// Most characters of a person's name.
pub const LONGEST_NAME: usize = 200;

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Everything. An organization never loses its last one.
    Owner,
    /// Everything but what concerns owners.
    Admin,
    /// The daily work.
    Member,
}

impl MemberRole {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Admin, Self::Member];

    /// The literal of the database and of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// The role of a literal.
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// A user in an organization.
#[derive(Debug, Clone)]
pub struct Member {
    /// The user.
    pub user_id: UserId,
    /// The user's email address.
    pub email: String,
    /// The user's name.
    pub name: Option<String>,
    /// `owner`, `admin` or `member`.
    pub role: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

struct Row {
    user_id: Uuid,
    email: String,
    name: Option<String>,
    role: String,
    created_at: DateTime<Utc>,
}

impl From<Row> for Member {
    fn from(row: Row) -> Self {
        Self {
            user_id: UserId(row.user_id),
            email: row.email,
            name: row.name,
            role: row.role,
            created_at: row.created_at,
        }
    }
}

/// Members, by the rest of the statement.
macro_rules! rows {
    ($rest:tt, $($argument:expr),+ $(,)?) => {
        query_as!(
            Row,
            "select m.user_id, u.email, u.name, m.role, m.created_at
             from organization_members m join users u on u.id = m.user_id
             where m.organization_id = $1 and " + $rest,
            $($argument),+
        )
    };
}

/// A page of an organization's members, newest first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    after: Place,
    limit: u16,
) -> Result<Page<Member>, StoreError> {
    const OPERATION: &str = "members.page";
    let mut tx = db.tenant(organization).await?;
    let rows = rows!(
        "(m.created_at, m.user_id) < ($2, $3) order by m.created_at desc, m.user_id desc limit $4",
        organization.0,
        after.at,
        after.id,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Page::cut(rows.into_iter().map(Member::from).collect(), limit))
}

async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Member>, sqlx::Error> {
    let row = rows!("m.user_id = $2", organization.0, user.0).fetch_optional(&mut **tx).await?;
    Ok(row.map(Member::from))
}

/// Addresses of an organization's owners, the first ones first, as many as anything is sent to.
pub(crate) async fn owners(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Vec<String>, StoreError> {
    query_scalar!(
        "select u.email from organization_members m join users u on u.id = m.user_id
         where m.organization_id = $1 and m.role = 'owner' and u.email <> ''
         order by m.created_at, m.user_id limit $2",
        organization.0,
        MAX_RECIPIENTS as i64,
    )
    .fetch_all(&mut **tx)
    .await
    .during("members.owners")
}
