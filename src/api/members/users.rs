//! `/v1/users/{id}`: a person, as an organization that has it as a member knows it.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use store::{
    cache::Key,
    ids::UserId,
    members::{self, LONGEST_NAME, UserChanges, UserWritten},
    rules,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::api::{
    ApiState,
    auth::{Caller, Scope},
    body::{Body, some},
    extract::Id,
    problem::{Kind, Problem},
    timestamp::Timestamp,
    wrong::Wrong,
};

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show, update))
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
struct User {
    /// The `sub` of its tokens.
    id: Uuid,
    /// Email address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Name.
    name: Option<String>,
    /// Whether this organization made the user known, and may change email and name.
    is_ours: bool,
    /// Since when the user is known.
    created_at: Timestamp,
    /// When email or name were last changed.
    updated_at: Timestamp,
}

impl From<members::User> for User {
    fn from(user: members::User) -> Self {
        Self {
            id: user.id.0,
            email: user.email,
            name: user.name,
            is_ours: user.is_ours,
            created_at: Timestamp(user.created_at),
            updated_at: Timestamp(user.updated_at),
        }
    }
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateUser {
    /// Email address.
    #[schema(value_type = String, max_length = 254)]
    #[serde(default, deserialize_with = "some")]
    email: Option<String>,
    /// Name; null for none.
    #[schema(value_type = Option<String>, max_length = 200)]
    #[serde(default, deserialize_with = "some")]
    name: Option<Option<String>>,
}

/// Show a user
///
/// Only members of the organization can be seen.
#[utoipa::path(get, path = "/v1/users/{id}", operation_id = "get_user", tag = "members",
    params(("id" = Uuid, Path, description = "The user")), responses(
    (status = 200, description = "The user", body = User),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<UserId>,
) -> Result<Json<User>, Problem> {
    let organization = caller.may(Scope::ReadMembers)?;
    let db = api.db.clone();
    let read = async move { members::get_user(&db, organization, id).await };
    let found = api.kept.users.of(organization, Key::User(id.0), read).await?;
    Ok(Json(User::from((*found.ok_or_else(unknown)?).clone())))
}

/// Change a user
///
/// Only the organization that made a user known may change email and name, while the user is a member.
#[utoipa::path(patch, path = "/v1/users/{id}", operation_id = "update_user", tag = "members",
    params(("id" = Uuid, Path, description = "The user")), request_body = UpdateUser, responses(
    (status = 200, description = "The user as it is now", body = User),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn update(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<UserId>,
    Body(asked): Body<UpdateUser>,
) -> Result<Json<User>, Problem> {
    let changer = caller.changer(Scope::WriteMembers)?;
    let mut wrong = Wrong::default();
    let email = |given: String| rules::email(&given).map(|()| given);
    let name = |given: String| rules::line(&given, LONGEST_NAME).map(|()| given);
    let changes = UserChanges {
        email: wrong.given("email", asked.email, email),
        name: asked.name.map(|given| wrong.given("name", given, name)),
    };
    wrong.none()?;
    match members::update_user(&api.db, &changer, id, &changes).await? {
        UserWritten::Done(now) => {
            api.forget_one(changer.organization, Key::User(id.0)).await;
            Ok(Json(now.into()))
        }
        UserWritten::Unknown => Err(unknown()),
        UserWritten::NotOurs => {
            let detail = "Another organization made this user known: email and name are not this \
                          one's to change.";
            Err(Problem::with_detail(Kind::Conflict, detail))
        }
    }
}

fn unknown() -> Problem {
    Problem::not_found("user")
}
