//! `/v1/assistants`: who answers or makes an organization's calls.

mod forms;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;
use store::{
    assistants::{self, Changes, Filter, NewAssistant},
    cache::Key,
    ids::AssistantId,
    reads::Place,
    rules,
    templates::{self, Template},
    written::Written,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::forms::provider;
use self::forms::{Assistant, AssistantsPage, AssistantsQuery, CreateAssistant, UpdateAssistant};
use super::{
    ApiState,
    auth::{Caller, Scope},
    body::Body,
    configuration, cursor,
    etag::{expected, stale, tagged},
    extract::{Id, Parameters, limit},
    idempotency::Once,
    problem::{Kind, Problem},
    wrong::Wrong,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
/// A configuration, with room for escapes and the rest.
const LARGEST_BODY: usize = 4 * configuration::LONGEST;
const LONGEST_NAME: usize = 200;
/// Providers' ids are far shorter, in characters.
const LONGEST_ID: usize = 200;

/// The routes of assistants.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// List assistants
///
/// Newest first, without those that were deleted.
#[utoipa::path(get, path = "/v1/assistants", operation_id = "list_assistants",
    tag = "assistants", params(AssistantsQuery),
    responses(
    (status = 200, description = "A page of assistants", body = AssistantsPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<AssistantsQuery>,
) -> Result<Json<AssistantsPage>, Problem> {
    let organization = caller.may(Scope::ReadAssistants)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let filter = Filter { provider: asked.provider, is_active: asked.is_active };
    let list = format!("assistants {organization} {filter:?}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let page = assistants::page(&api.db, organization, filter, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id.0,
    });
    let data = page.items.into_iter().map(Assistant::from).collect();
    Ok(Json(AssistantsPage { data, next_cursor }))
}

/// Create an assistant
///
/// From scratch, or from a template: then its configuration is the template's, with the members that
/// are given in place of the template's own.
#[utoipa::path(post, path = "/v1/assistants", operation_id = "create_assistant",
    tag = "assistants", request_body = CreateAssistant,
    responses(
    (status = 201, description = "The assistant", body = Assistant),
    (status = 400, response = Problem),
    (status = 409, response = Problem)))]
async fn create(
    caller: Caller,
    Once(api): Once,
    Body(asked): Body<CreateAssistant>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WriteAssistants)?;
    let mut wrong = Wrong::default();
    let template = match &asked.template {
        Some(slug) => {
            // What is no slug is no template's; Postgres would not even take some of it.
            let found = match rules::slug(slug) {
                Ok(()) => templates::get(&api.db, changer.organization, slug).await?,
                Err(_) => None,
            };
            wrong.unless("template", known(found))
        }
        None => None,
    };
    let name = asked.name.or_else(|| template.as_ref().map(|template| template.name.clone()));
    let name = name.ok_or_else(|| "is needed where there is no template".to_owned());
    let name = wrong.unless("name", name.and_then(self::name));
    let provider = wrong.unless("provider", provider(&asked.provider).map(Some));
    let provider_assistant_id =
        wrong.given("provider_assistant_id", asked.provider_assistant_id, id);
    let own = template.as_ref().map_or_else(|| json!({}), |found| found.configuration.clone());
    let all = configuration::overridden(own, asked.configuration);
    let configuration = wrong.unless("configuration", configuration::check(all));
    wrong.none()?;
    let provider = provider.ok_or_else(|| Problem::new(Kind::InvalidRequest))?;
    let new = NewAssistant {
        name: &name,
        provider,
        provider_assistant_id: provider_assistant_id.as_deref(),
        template_id: template.map(|template| template.id),
        configuration: &configuration,
        is_active: asked.is_active.unwrap_or(true),
    };
    match assistants::create(&api.db, &changer, &new).await? {
        Written::Done(made) => {
            api.forget_settings(changer.organization).await;
            Ok((StatusCode::CREATED, tagged(made.version, Assistant::from(made))).into_response())
        }
        refused => Err(self::refused(refused)),
    }
}

/// Show an assistant
///
/// With its whole configuration. The ETag is good for If-Match.
#[utoipa::path(get, path = "/v1/assistants/{id}", operation_id = "get_assistant",
    tag = "assistants",
    params(("id" = Uuid, Path, description = "The assistant")), responses(
    (status = 200, description = "The assistant", body = Assistant),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<AssistantId>,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadAssistants)?;
    let db = api.db.clone();
    let read = async move { assistants::get(&db, organization, id).await };
    let found = api.kept.assistants.of(organization, Key::Assistant(id.0), read).await?;
    let found = found.ok_or_else(unknown)?;
    Ok(tagged(found.version, Assistant::from((*found).clone())))
}

/// Change an assistant
///
/// What is not given stays as it is. The configuration is replaced as a whole: read it, change it, and
/// send it back with its `ETag` in `If-Match`.
#[utoipa::path(patch, path = "/v1/assistants/{id}", operation_id = "update_assistant",
    tag = "assistants",
    params(("id" = Uuid, Path, description = "The assistant"),
        ("If-Match" = Option<String>, Header, description = "`ETag` that it must still have")),
    request_body = UpdateAssistant, responses(
    (status = 200, description = "The assistant as it is now", body = Assistant),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem),
    (status = 412, response = Problem)))]
async fn update(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<AssistantId>,
    headers: HeaderMap,
    Body(asked): Body<UpdateAssistant>,
) -> Result<Response, Problem> {
    let changer = caller.changer(Scope::WriteAssistants)?;
    let mut wrong = Wrong::default();
    let changes = Changes {
        name: wrong.given("name", asked.name, name),
        provider_assistant_id: asked
            .provider_assistant_id
            .map(|given| wrong.given("provider_assistant_id", given, self::id)),
        configuration: wrong.given("configuration", asked.configuration, configuration::check),
        is_active: asked.is_active,
    };
    wrong.none()?;
    let expected = expected(&headers);
    match assistants::update(&api.db, &changer, id, expected.as_deref(), &changes).await? {
        Written::Done(now) => {
            api.forget_one(changer.organization, Key::Assistant(id.0)).await;
            Ok(tagged(now.version, Assistant::from(now)))
        }
        refused => Err(self::refused(refused)),
    }
}

/// Delete an assistant
///
/// Its phone numbers are nobody's then. Calls go on to name it.
#[utoipa::path(delete, path = "/v1/assistants/{id}", operation_id = "delete_assistant",
    tag = "assistants",
    params(("id" = Uuid, Path, description = "The assistant"),
        ("If-Match" = Option<String>, Header, description = "`ETag` that it must still have")),
    responses(
    (status = 204, description = "There is no such assistant any more"),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 412, response = Problem)))]
async fn delete(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<AssistantId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let changer = caller.changer(Scope::WriteAssistants)?;
    let expected = expected(&headers);
    match assistants::delete(&api.db, &changer, id, expected.as_deref()).await? {
        Written::Done(()) => {
            api.forget_one(changer.organization, Key::Assistant(id.0)).await;
            Ok(StatusCode::NO_CONTENT)
        }
        refused => Err(self::refused(refused)),
    }
}

fn known(found: Option<Template>) -> Result<Option<Template>, String> {
    match found {
        Some(found) => Ok(Some(found)),
        None => Err("is no template; GET /v1/templates lists them".to_owned()),
    }
}

fn name(given: String) -> Result<String, String> {
    rules::line(&given, LONGEST_NAME).map(|()| given)
}

/// A provider's id.
pub(super) fn id(given: String) -> Result<String, String> {
    rules::line(&given, LONGEST_ID).map(|()| given)
}

fn refused<T>(refused: Written<T>) -> Problem {
    match refused {
        Written::Stale => stale(),
        Written::Taken => {
            let detail = "The organization has an assistant with this provider_assistant_id.";
            Problem::with_detail(Kind::Conflict, detail)
        }
        _ => unknown(),
    }
}

fn unknown() -> Problem {
    Problem::not_found("assistant")
}
