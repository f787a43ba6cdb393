//! What the routes of members take and give.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::{schema, timestamp::Timestamp};

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MembersQuery {
    /// Members in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// A page of members, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MembersPage {
    /// The members.
    pub(super) data: Vec<Member>,
    /// Where the next page begins; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// A user in the organization.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Member {
    /// The user.
    user_id: Uuid,
    /// The user's email address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// The user's name.
    name: Option<String>,
    /// What the user may do.
    #[schema(schema_with = schema::member_role)]
    role: String,
    /// Since when.
    created_at: Timestamp,
}

impl From<store::members::Member> for Member {
    fn from(member: store::members::Member) -> Self {
        Self {
            user_id: member.user_id.0,
            email: member.email,
            name: member.name,
            role: member.role,
            created_at: Timestamp(member.created_at),
        }
    }
}

/// A member to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddMember {
    /// The user's id: the `sub` of its tokens.
    pub(super) user_id: Uuid,
    /// The user's email address.
    #[schema(example = "ada@example.com", max_length = 254)]
    pub(super) email: String,
    /// The user's name, where nobody knows the user yet.
    #[schema(max_length = 200)]
    pub(super) name: Option<String>,
    /// What the user may do.
    #[schema(schema_with = schema::member_role)]
    pub(super) role: String,
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeMember {
    /// What the user may do.
    #[schema(schema_with = schema::member_role)]
    pub(super) role: String,
}
