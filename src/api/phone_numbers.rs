//! `/v1/phone-numbers`: what an organization is called at, and calls from.

mod forms;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use contract::ids::OrganizationId;
use store::{
    cache::Key,
    ids::{AssistantId, PhoneNumberId},
    phone_numbers::{self, Changes, Filter, NewPhoneNumber},
    reads::{Page, Place},
    rules,
    written::Written,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::forms::{
    CreatePhoneNumber, PhoneNumber, PhoneNumbersPage, PhoneNumbersQuery, UpdatePhoneNumber,
};
use super::{
    ApiState,
    assistants::{id, provider},
    auth::{Caller, Scope},
    body::Body,
    cursor,
    etag::{expected, stale, tagged},
    extract::{Id, Parameters, limit},
    idempotency::Once,
    problem::{Kind, Problem},
    wrong::Wrong,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;

/// The routes of phone numbers.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, update, delete))
}

/// List phone numbers
///
/// Newest first, without those that were deleted.
#[utoipa::path(get, path = "/v1/phone-numbers", operation_id = "list_phone_numbers",
    tag = "phone numbers", params(PhoneNumbersQuery),
    responses(
    (status = 200, description = "A page of numbers", body = PhoneNumbersPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<PhoneNumbersQuery>,
) -> Result<Json<PhoneNumbersPage>, Problem> {
    let organization = caller.may(Scope::ReadPhoneNumbers)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    if let Some(number) = &asked.number {
        rules::phone_number(number).map_err(|rule| Problem::query("number", rule))?;
    }
    let filter = Filter {
        provider: asked.provider,
        assistant: asked.assistant_id.map(AssistantId),
        number: asked.number.as_deref(),
    };
    let list = format!("phone-numbers {organization} {filter:?}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let is_plain = limit == DEFAULT_LIMIT && filter == Filter::default();
    let is_first = is_plain && asked.cursor.is_none();
    let page = match is_first {
        true => first_page(&api, organization).await?,
        false => phone_numbers::page(&api.db, organization, &filter, after, limit).await?,
    };
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id.0,
    });
    let data = page.items.into_iter().map(PhoneNumber::from).collect();
    Ok(Json(PhoneNumbersPage { data, next_cursor }))
}

/// What most ask for.
async fn first_page(
    api: &ApiState,
    organization: OrganizationId,
) -> Result<Page<phone_numbers::PhoneNumber>, Problem> {
    let db = api.db.clone();
    let read = async move {
        let (all, newest) = (Filter::default(), cursor::newest());
        phone_numbers::page(&db, organization, &all, newest, DEFAULT_LIMIT).await.map(Some)
    };
    let key = Key::PhoneNumbers(organization);
    let page = api.kept.phone_numbers.of(organization, key, read).await?;
    Ok(page.map_or(Page { items: Vec::new(), more: false }, |page| (*page).clone()))
}

/// Create a phone number
///
/// A number at a provider belongs to one organization.
#[utoipa::path(post, path = "/v1/phone-numbers", operation_id = "create_phone_number",
    tag = "phone numbers",
    request_body = CreatePhoneNumber, responses(
    (status = 201, description = "The number", body = PhoneNumber),
    (status = 400, response = Problem),
    (status = 409, response = Problem)))]
async fn create(
    caller: Caller,
    Once(api): Once,
    Body(asked): Body<CreatePhoneNumber>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WritePhoneNumbers)?;
    let mut wrong = Wrong::default();
    wrong.unless("number", rules::phone_number(&asked.number));
    let provider = wrong.unless("provider", provider(&asked.provider).map(Some));
    let provider_id = wrong.given("provider_phone_number_id", asked.provider_phone_number_id, id);
    wrong.none()?;
    let provider = provider.ok_or_else(|| Problem::new(Kind::InvalidRequest))?;
    let new = NewPhoneNumber {
        number: &asked.number,
        provider,
        provider_phone_number_id: provider_id.as_deref(),
        assistant_id: asked.assistant_id.map(AssistantId),
    };
    match phone_numbers::create(&api.db, &changer, &new).await? {
        Written::Done(made) => {
            api.forget_settings(changer.organization).await;
            Ok((StatusCode::CREATED, tagged(made.version, PhoneNumber::from(made))).into_response())
        }
        refused => Err(self::refused(refused)),
    }
}

/// Show a phone number
///
/// With the assistant that answers it. The ETag is good for If-Match.
#[utoipa::path(get, path = "/v1/phone-numbers/{id}", operation_id = "get_phone_number",
    tag = "phone numbers",
    params(("id" = Uuid, Path, description = "The number's id")), responses(
    (status = 200, description = "The number", body = PhoneNumber),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<PhoneNumberId>,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadPhoneNumbers)?;
    let found = phone_numbers::get(&api.db, organization, id).await?.ok_or_else(unknown)?;
    Ok(tagged(found.version, PhoneNumber::from(found)))
}

/// Change a phone number
///
/// What is not given stays as it is. Number and provider do not change: delete it, and make another.
#[utoipa::path(patch, path = "/v1/phone-numbers/{id}", operation_id = "update_phone_number",
    tag = "phone numbers",
    params(("id" = Uuid, Path, description = "The number's id"),
        ("If-Match" = Option<String>, Header, description = "`ETag` that it must still have")),
    request_body = UpdatePhoneNumber, responses(
    (status = 200, description = "The number as it is now", body = PhoneNumber),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 412, response = Problem)))]
async fn update(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<PhoneNumberId>,
    headers: HeaderMap,
    Body(asked): Body<UpdatePhoneNumber>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WritePhoneNumbers)?;
    let mut wrong = Wrong::default();
    let changes = Changes {
        provider_phone_number_id: asked
            .provider_phone_number_id
            .map(|given| wrong.given("provider_phone_number_id", given, self::id)),
        assistant_id: asked.assistant_id.map(|given| given.map(AssistantId)),
    };
    wrong.none()?;
    let expected = expected(&headers);
    match phone_numbers::update(&api.db, &changer, id, expected.as_deref(), &changes).await? {
        Written::Done(now) => {
            api.forget_settings(changer.organization).await;
            Ok(tagged(now.version, PhoneNumber::from(now)))
        }
        refused => Err(self::refused(refused)),
    }
}

/// Delete a phone number
///
/// Calls that came by it stay as they are. From now on it may be another organization's.
#[utoipa::path(delete, path = "/v1/phone-numbers/{id}", operation_id = "delete_phone_number",
    tag = "phone numbers",
    params(("id" = Uuid, Path, description = "The number's id"),
        ("If-Match" = Option<String>, Header, description = "`ETag` that it must still have")),
    responses(
    (status = 204, description = "There is no such number any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 412, response = Problem)))]
async fn delete(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<PhoneNumberId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let changer = caller.changer(Scope::WritePhoneNumbers)?;
    let expected = expected(&headers);
    match phone_numbers::delete(&api.db, &changer, id, expected.as_deref()).await? {
        Written::Done(()) => {
            api.forget_settings(changer.organization).await;
            Ok(StatusCode::NO_CONTENT)
        }
        refused => Err(self::refused(refused)),
    }
}

fn refused<T>(refused: Written<T>) -> Problem {
    match refused {
        Written::Stale => stale(),
        // Not whose it is: that is nobody's business.
        Written::Taken => {
            let detail = "The number is in use at this provider already.";
            Problem::with_detail(Kind::Conflict, detail)
        }
        Written::UnknownAssistant => {
            let detail = "is no assistant of the organization".to_owned();
            Problem::body(vec![("assistant_id", detail)])
        }
        Written::Unknown | Written::Done(_) => unknown(),
    }
}

fn unknown() -> Problem {
    Problem::not_found("phone number")
}
