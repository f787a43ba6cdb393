//! `/v1/organization`: the organization that asks, and what it chose.

mod forms;

use axum::{extract::State, http::HeaderMap, response::Response};
use chrono::Utc;
use store::{
    organizations::{self, Changes, LONGEST_NAME, MAX_RECIPIENTS},
    rules,
    written::Written,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::forms::{Organization, UpdateOrganization, UpdateSettings};
use super::{
    ApiState,
    auth::{Caller, Scope},
    body::Body,
    etag::{expected, stale, tagged},
    problem::Problem,
    wrong::Wrong,
};

/// The routes of the organization.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show, update))
}

/// Show the organization
///
/// With its settings. The ETag is good for If-Match.
#[utoipa::path(get, path = "/v1/organization", operation_id = "get_organization",
    tag = "organization", responses(
    (status = 200, description = "The organization", body = Organization),
    (status = 404, response = Problem)))]
async fn show(caller: Caller, State(api): State<ApiState>) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadOrganization)?;
    let found = organizations::profile(&api.db, organization).await?.ok_or_else(unknown)?;
    Ok(tagged(found.version, Organization::from(found)))
}

/// Change the organization
///
/// What is not given stays as it is, also within `settings`; a list is replaced as a whole. Another time
/// zone decides which day a call belongs to, also of calls before: days are added up again over night,
/// closed periods stay as they are. Slug and plan are whoever runs the installation's to change.
#[utoipa::path(patch, path = "/v1/organization", operation_id = "update_organization",
    tag = "organization",
    params(("If-Match" = Option<String>, Header, description = "`ETag` that it must still have")),
    request_body = UpdateOrganization, responses(
    (status = 200, description = "The organization as it is now", body = Organization),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 412, response = Problem)))]
async fn update(
    caller: Caller,
    State(api): State<ApiState>,
    headers: HeaderMap,
    Body(asked): Body<UpdateOrganization>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WriteOrganization)?;
    let changes = check(asked)?;
    let expected = expected(&headers);
    let now = Utc::now();
    match organizations::update(&api.db, &changer, expected.as_deref(), &changes, now).await? {
        Written::Done(now) => {
            api.forget_settings(changer.organization).await;
            Ok(tagged(now.version, Organization::from(now)))
        }
        Written::Stale => Err(stale()),
        _ => Err(unknown()),
    }
}

fn check(asked: UpdateOrganization) -> Result<Changes, Problem> {
    let UpdateSettings { notifications, billing, keep_all_events } =
        asked.settings.unwrap_or_default();
    let notifications = notifications.unwrap_or_default();
    let mut wrong = Wrong::default();
    let name = |given: String| rules::line(&given, LONGEST_NAME).map(|()| given);
    let timezone = |given: String| rules::timezone(&given).map(|()| given);
    let numbers = |given| each(given, rules::phone_number);
    let emails = |given| each(given, rules::email);
    let changes = Changes {
        name: wrong.given("name", asked.name, name),
        timezone: wrong.given("timezone", asked.timezone, timezone),
        notified_numbers: wrong.given("settings/notifications/sms", notifications.sms, numbers),
        notified_emails: wrong.given("settings/notifications/email", notifications.email, emails),
        billing_emails: wrong.given(
            "settings/billing/email",
            billing.unwrap_or_default().email,
            emails,
        ),
        keep_all_events,
    };
    wrong.none().map(|()| changes)
}

/// Recipients, each once; what is wrong is told by its place, for it may be a person's.
fn each(
    given: Vec<String>,
    rule: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    if given.len() > MAX_RECIPIENTS {
        return Err(format!("must have at most {MAX_RECIPIENTS} items"));
    }
    let mut kept: Vec<String> = Vec::with_capacity(given.len());
    for (index, recipient) in given.into_iter().enumerate() {
        rule(&recipient).map_err(|rule| format!("item {} {rule}", index + 1))?;
        if !kept.contains(&recipient) {
            kept.push(recipient);
        }
    }
    Ok(kept)
}

fn unknown() -> Problem {
    Problem::not_found("organization")
}
