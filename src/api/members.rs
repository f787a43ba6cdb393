//! `/v1/members` and `/v1/users/{id}`: who belongs to the organization.

mod forms;
mod users;

use axum::{Json, extract::State, http::StatusCode};
use store::{
    cache::Key,
    ids::UserId,
    members::{self, Added, LONGEST_NAME, MemberRole, Moved, NewMember},
    reads::Place,
    rules,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::forms::{AddMember, ChangeMember, Member, MembersPage, MembersQuery};
use super::{
    ApiState,
    auth::{Caller, Scope},
    body::Body,
    cursor,
    extract::{Id, Parameters, limit},
    idempotency::Once,
    problem::{Kind, Problem},
    wrong::Wrong,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;

/// The routes of members.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(change, remove))
        .merge(users::router())
}

/// List members
///
/// Newest first, with the role of each and what is known of the user.
#[utoipa::path(get, path = "/v1/members", operation_id = "list_members",
    tag = "members", params(MembersQuery), responses(
    (status = 200, description = "A page of members", body = MembersPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<MembersQuery>,
) -> Result<Json<MembersPage>, Problem> {
    let organization = caller.may(Scope::ReadMembers)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("members {organization}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let page = members::page(&api.db, organization, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.user_id.0,
    });
    let data = page.items.into_iter().map(Member::from).collect();
    Ok(Json(MembersPage { data, next_cursor }))
}

/// Add a member
///
/// A user that nobody knows yet is made. One that is known keeps the name that others wrote, and must be
/// named by the same email address.
#[utoipa::path(post, path = "/v1/members", operation_id = "add_member",
    tag = "members", request_body = AddMember, responses(
    (status = 201, description = "The member", body = Member),
    (status = 400, response = Problem),
    (status = 409, response = Problem)))]
async fn add(
    caller: Caller,
    Once(api): Once,
    Body(asked): Body<AddMember>,
) -> Result<(StatusCode, Json<Member>), Problem> {
    let changer = caller.changer(Scope::WriteMembers)?;
    let mut wrong = Wrong::default();
    wrong.unless("email", rules::email(&asked.email));
    wrong.given("name", asked.name.as_deref(), |name| rules::line(name, LONGEST_NAME));
    let role = wrong.unless("role", role(&asked.role).map(Some));
    wrong.none()?;
    let role = role.ok_or_else(|| Problem::new(Kind::InvalidRequest))?;
    let (email, name) = (asked.email.as_str(), asked.name.as_deref());
    let new = NewMember { user_id: UserId(asked.user_id), email, name, role };
    let conflict = |detail: &'static str| Err(Problem::with_detail(Kind::Conflict, detail));
    match members::add(&api.db, &changer, &new, caller.owners()).await? {
        Added::Done(made) => Ok((StatusCode::CREATED, Json(made.into()))),
        Added::Already => conflict("The user is a member already; PATCH changes the role."),
        Added::OtherEmail => conflict("The user is known under another email address."),
        Added::OwnersOnly => Err(owners_only()),
    }
}

/// Change a member's role
///
/// The last owner stays one, and only owners make and unmake owners.
#[utoipa::path(patch, path = "/v1/members/{id}", operation_id = "update_member", tag = "members",
    params(("id" = Uuid, Path, description = "The user")), request_body = ChangeMember, responses(
    (status = 200, description = "The member as it is now", body = Member),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn change(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<UserId>,
    Body(asked): Body<ChangeMember>,
) -> Result<Json<Member>, Problem> {
    let changer = caller.changer(Scope::WriteMembers)?;
    let role = role(&asked.role).map_err(|rule| Problem::body(vec![("role", rule)]))?;
    let moved = members::set_role(&api.db, &changer, id, role, caller.owners()).await?;
    api.access.changed(changer.organization);
    self::moved(moved).map(|now| Json(now.into()))
}

/// Remove a member
///
/// The last owner stays. The user stays known, to a later return and to other organizations.
#[utoipa::path(delete, path = "/v1/members/{id}", operation_id = "remove_member", tag = "members",
    params(("id" = Uuid, Path, description = "The user")), responses(
    (status = 204, description = "There is no such member any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn remove(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<UserId>,
) -> Result<StatusCode, Problem> {
    let changer = caller.changer(Scope::WriteMembers)?;
    let removed = members::remove(&api.db, &changer, id, caller.owners()).await?;
    api.access.changed(changer.organization);
    api.forget_one(changer.organization, Key::User(id.0)).await;
    moved(removed).map(|_| StatusCode::NO_CONTENT)
}

fn role(word: &str) -> Result<MemberRole, String> {
    MemberRole::read(word).ok_or_else(|| "must be owner, admin or member".to_owned())
}

fn moved(moved: Moved) -> Result<members::Member, Problem> {
    match moved {
        Moved::Done(member) => Ok(member),
        Moved::Unknown => Err(Problem::not_found("member")),
        Moved::LastOwner => {
            let detail = "This is the last owner: make somebody else an owner first.";
            Err(Problem::with_detail(Kind::Conflict, detail))
        }
        Moved::OwnersOnly => Err(owners_only()),
    }
}

fn owners_only() -> Problem {
    Problem::with_detail(Kind::Forbidden, "Only an owner makes, changes and removes owners.")
}
