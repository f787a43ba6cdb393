//! `/v1/templates`: what assistants can be made from.

use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    cache::Key,
    rules,
    templates::{self, Filter},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    etag::tagged,
    extract::{Name, Parameters, limit, text},
    problem::Problem,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
/// Names of industries are far shorter, in bytes.
const LONGEST_TEXT: usize = 100;

/// The routes of templates.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which templates.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TemplatesQuery {
    /// Only templates for this industry.
    #[param(example = "logistics")]
    industry: Option<String>,
    /// Only those to show first, or only the others.
    featured: Option<bool>,
    /// Templates in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of templates, by slug.
#[derive(Debug, Serialize, ToSchema)]
struct TemplatesPage {
    /// The templates.
    data: Vec<Template>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// What an assistant can be made from.
#[derive(Debug, Serialize, ToSchema)]
struct Template {
    /// Its id.
    id: Uuid,
    /// Its name in URLs and in `template` of a new assistant.
    #[schema(example = "driver-check-in")]
    slug: String,
    /// Its name.
    #[schema(example = "Driver check-in")]
    name: String,
    /// Whom it is for.
    #[schema(example = "logistics")]
    industry: Option<String>,
    /// Whether to show it first.
    featured: bool,
    /// What it does.
    description: String,
    /// What an assistant made from it begins with.
    #[schema(value_type = Object)]
    configuration: Value,
}

impl From<templates::Template> for Template {
    fn from(template: templates::Template) -> Self {
        Self {
            id: template.id,
            slug: template.slug,
            name: template.name,
            industry: template.industry_id,
            featured: template.is_featured,
            description: template.description,
            configuration: template.configuration,
        }
    }
}

/// List templates
///
/// In the order of their slugs.
#[utoipa::path(get, path = "/v1/templates", operation_id = "list_templates",
    tag = "templates", params(TemplatesQuery), responses(
    (status = 200, description = "A page of templates", body = TemplatesPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<TemplatesQuery>,
) -> Result<Json<TemplatesPage>, Problem> {
    let organization = caller.may(Scope::ReadTemplates)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let industry = asked.industry.as_deref();
    industry.map_or(Ok(()), |given| text("industry", given, LONGEST_TEXT))?;
    let filter = Filter { industry, is_featured: asked.featured };
    let list = format!("templates {organization} {filter:?}");
    let after = match &asked.cursor {
        Some(cursor) => cursor::open::<String>(&api.cursor_key, &list, cursor)?,
        None => String::new(),
    };
    let page = templates::page(&api.db, organization, filter, &after, limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| cursor::seal(&api.cursor_key, &list, &last.slug));
    let data = page.items.into_iter().map(Template::from).collect();
    Ok(Json(TemplatesPage { data, next_cursor }))
}

/// Show a template
///
/// With the configuration that an assistant made from it begins with.
#[utoipa::path(get, path = "/v1/templates/{slug}", operation_id = "get_template", tag = "templates",
    params(("slug" = String, Path, description = "The template")), responses(
    (status = 200, description = "The template", body = Template),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    slug: Name,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadTemplates)?;
    // What is no slug is no template's; Postgres would not even take some of it.
    let found = match slug.as_deref().filter(|slug| rules::slug(slug).is_ok()) {
        Some(slug) => {
            let (db, slug) = (api.db.clone(), slug.to_owned());
            let key = Key::Template(slug.clone());
            let read = async move { templates::get(&db, organization, &slug).await };
            api.kept.templates.common(key, read).await?
        }
        None => None,
    };
    let found = found.ok_or_else(|| Problem::not_found("template"))?;
    Ok(tagged(found.version, Template::from((*found).clone())))
}
