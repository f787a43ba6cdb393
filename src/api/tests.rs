//! The router as a whole, without a database: what must be refused before anything is read.
#![expect(clippy::unwrap_used, reason = "a failed test")]

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, Response, StatusCode, header},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use store::{Database, Role, counters::Counters, objects::Objects, signals};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{access::AccessSetup, rate_limits::LimitSettings, *};

/// Nothing listens there.
const NOWHERE: &str = "postgres://127.0.0.1:1/none";

fn api() -> Router {
    let url = SecretString::from(NOWHERE);
    let db = Database::connect(&url, Role::Api, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let storage = url::Url::from_directory_path(folder.path()).unwrap();
    let objects = Objects::new(&storage, HashMap::new()).unwrap();
    let listener = signals::Listener::new(&url, signals::EVENTS, Duration::from_secs(1));
    let live = Live::start(listener, CancellationToken::new());
    let counters = Counters::new(&SecretString::from("redis://127.0.0.1:1")).unwrap();
    let health = Health::new(db.clone(), counters.clone());
    let (sealer, egress) = (Sealer::new([7; 32]), Egress::new(false));
    let many = NonZeroU32::MAX;
    let limits = LimitSettings {
        key_per_hour: many,
        organization_per_hour: many,
        address_per_minute: many,
        trusted_proxies: 0,
    };
    let setup = AccessSetup {
        db: db.clone(),
        redis: counters.clone(),
        sealer: sealer.clone(),
        tokens: None,
        limits,
    };
    let access = Access::new(setup);
    let cache = Cache::new(counters);
    let setup = ApiSetup { db, cache, objects, live, health, sealer, egress, access };
    router(ApiState::new(setup), Router::new())
}

async fn ask(request: Request<Body>) -> Response<Body> {
    api().oneshot(request).await.unwrap()
}

async fn get(path: &str) -> Response<Body> {
    ask(Request::get(path).body(Body::empty()).unwrap()).await
}

async fn json(response: Response<Body>) -> Value {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_with_the_request_id() {
    let request = Request::get("/v1/nothing").header("x-request-id", "r-1");
    let response = ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["x-request-id"], "r-1");
    assert_eq!(response.headers()[header::CONTENT_TYPE], problem::MEDIA_TYPE);
    let body = json(response).await;
    assert_eq!(body["type"], "/docs/problems/not-found");
    assert_eq!(body["instance"], "r-1");

    let request = Request::builder().method(Method::DELETE).uri("/v1/calls");
    let response = ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(json(response).await["instance"], id);
}

#[tokio::test]
async fn request_ids_that_would_need_quoting_are_replaced() {
    let request = Request::get("/healthz").header("x-request-id", "a \"b\"");
    let response = ask(request.body(Body::empty()).unwrap()).await;
    let id = response.headers()["x-request-id"].to_str().unwrap();
    assert_eq!(id.len(), 36, "{id}");
}

#[tokio::test]
async fn malformed_keys_are_refused_without_a_query() {
    // A query would end in 503, for there is no database.
    for key in ["", "vx_", "vx_0000000000000000000000000000000000000000000000"] {
        let request = Request::get("/v1/calls").header("x-api-key", key);
        let response = ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{key}");
    }
}

#[tokio::test]
async fn a_database_that_is_down_is_not_the_clients_fault() {
    let key = store::keys::generate().unwrap();
    let bearer = format!("Bearer {}", key.expose_secret());
    let request = Request::get("/v1/calls").header(header::AUTHORIZATION, bearer);
    let response = ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(json(response).await["type"], "/docs/problems/unavailable");
}

#[tokio::test]
async fn a_process_without_a_database_lives_but_is_not_ready() {
    let response = get("/healthz").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(json(response).await["status"], "ok");
    let response = get("/readyz").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = json(response).await;
    assert_eq!(body["checks"]["postgres"], "unreachable");
    assert_eq!(body["checks"]["redis"], "unreachable");
}

#[tokio::test]
async fn every_kind_of_problem_has_its_page() {
    for kind in Kind::ALL {
        let response = get(&format!("/docs/problems/{}", kind.slug())).await;
        assert_eq!(response.status(), StatusCode::OK, "{kind:?}");
    }
    assert_eq!(get("/docs/problems/none").await.status(), StatusCode::NOT_FOUND);
    let bytes = to_bytes(get("/docs").await.into_body(), 1 << 20).await.unwrap();
    let page = String::from_utf8_lossy(&bytes);
    assert!(page.contains("GET /v1/calls/{id}/recording"));
    assert!(page.contains("href=\"/docs/webhooks\""));
}

#[tokio::test]
async fn receivers_have_a_page_and_its_text() {
    for (path, kind, part) in [
        ("/docs/webhooks", "text/html; charset=utf-8", "<h2>Verify before you believe</h2>"),
        ("/docs/webhooks.md", "text/markdown; charset=utf-8", "\n## Verify before you believe\n"),
    ] {
        let response = get(path).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(part), "{path}");
    }
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_every_route_of_a_tenant_needs_a_key() {
    let document = json(get("/openapi.json").await).await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "00000000-0000-0000-0000-000000000000");
        let path = path.replace("{provider}", "vapi").replace("{type}", "call.completed");
        let path = path.replace("{slug}", "front-desk");
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            if !path.starts_with("/v1/") {
                continue;
            }
            assert_eq!(operation["security"][0]["bearer"], serde_json::json!([]), "{path}");
            assert!(operation["responses"]["401"].is_object(), "{method} {path}");
            // Undocumented routes would be 404, and routes without a caller something else.
            let request = Request::builder().method(&*method.to_uppercase()).uri(&path);
            let response = ask(request.body(Body::empty()).unwrap()).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(openapi()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}
