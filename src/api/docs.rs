//! `/openapi.json`, and `/docs` for people: the routes, what each problem means, and how to receive
//! webhooks.

mod guide;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use super::{
    extract::Name,
    html,
    problem::{Kind, Problem},
};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
                     padding:0 1rem}code{font-family:ui-monospace,monospace}\
                     td,th{padding:.2rem 1rem .2rem 0;text-align:left;vertical-align:top}\
                     pre{overflow-x:auto;padding:.6rem;border:1px solid #8886}";
/// The pages load nothing and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The routes of the documentation.
pub(super) fn router(document: &OpenApi) -> Router {
    let json = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
    let page: Arc<str> = index(&serde_json::to_value(document).unwrap_or_default()).into();
    let guide: Arc<str> = guide::markdown().into();
    let webhooks: Arc<str> = self::page("Webhooks", &guide::html(&guide)).into();
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json) }),
        )
        .route("/docs", get(move || async move { sealed(page.to_string()) }))
        .route("/docs/problems/{type}", get(problem))
        .route("/docs/webhooks", get(move || async move { sealed(webhooks.to_string()) }))
        .route("/docs/webhooks.md", get(move || async move { text(guide.to_string()) }))
}

fn text(markdown: String) -> Response {
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], markdown).into_response()
}

async fn problem(name: Name) -> Result<Response, Problem> {
    let kind = Kind::ALL.into_iter().find(|kind| name.is(kind.slug()));
    let kind = kind.ok_or_else(|| Problem::not_found("kind of problem"))?;
    let slug = kind.slug();
    let (title, status, text) = (kind.title(), kind.status().as_u16(), kind.explanation());
    let body = format!(
        "<h1>{}</h1><p>HTTP status {status}, <code>/docs/problems/{slug}</code></p><p>{}</p>\
         <p><a href=\"/docs\">All routes and problems</a></p>",
        html::escape(title),
        html::escape(text)
    );
    Ok(sealed(page(title, &body)))
}

fn sealed(page: String) -> Response {
    let policy = HeaderValue::from_static(POLICY);
    let mut response = Html(page).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    let no_sniffing = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (name, value): (HeaderName, HeaderValue) = no_sniffing;
    response.headers_mut().insert(name, value);
    response
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{} - postcall</title>\
         <style>{STYLE}</style><body>{body}</body></html>",
        html::escape(title)
    )
}

/// The page of all routes, from the OpenAPI document.
fn index(document: &Value) -> String {
    let nothing = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&nothing);
    let routes: String = paths.iter().map(|(path, item)| rows(path, item)).collect();
    let problems: String = Kind::ALL
        .iter()
        .map(|kind| {
            let (slug, title) = (kind.slug(), html::escape(kind.title()));
            let status = kind.status().as_u16();
            format!("<li>{status} <a href=\"/docs/problems/{slug}\">{title}</a></li>")
        })
        .collect();
    let body = format!(
        "<h1>postcall API</h1><p>{}</p><p>Machine-readable: <a href=\"/openapi.json\">\
         <code>/openapi.json</code></a> (OpenAPI 3.1). How to receive events: \
         <a href=\"/docs/webhooks\">Webhooks</a>.</p>\
         <h2>Routes</h2><table>{routes}</table><h2>Problems</h2><ul>{problems}</ul>",
        html::escape(document["info"]["description"].as_str().unwrap_or_default())
    );
    page("API", &body)
}

/// A row for each method of a path.
fn rows(path: &str, item: &Value) -> String {
    let nothing = Map::new();
    let methods = item.as_object().unwrap_or(&nothing).iter();
    let operations = methods.filter(|(_, operation)| operation.get("responses").is_some());
    operations
        .map(|(method, operation)| {
            format!(
                "<tr><td><code>{} {}</code></td><td>{}</td></tr>",
                method.to_uppercase(),
                html::escape(path),
                html::escape(operation["summary"].as_str().unwrap_or_default())
            )
        })
        .collect()
}
