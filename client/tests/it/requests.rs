//! What is sent, and what is made of what is answered.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect},
};
use chrono::DateTime;
use postcall_client::{
    Client, Error, Patch, ProblemKind, Retries,
    models::{CallStatus, CreateAssistant, ListCallsQuery, Provider, RotateSecret, UpdateWebhook},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::server::{Server, json, problem};

const ID: Uuid = Uuid::from_u128(7);

fn assistant() -> Value {
    json!({
        "id": ID, "name": "Front desk", "provider": "vapi", "configuration": {}, "is_active": true,
        "version": 3, "created_at": "2026-01-31T09:30:00.000Z", "updated_at": "2026-01-31T09:30:00.000Z",
    })
}

#[tokio::test]
async fn a_list_is_asked_for_by_what_its_query_says() {
    let server = Server::start(|_, _| json(200, &json!({ "data": [], "next_cursor": null }))).await;
    let from = DateTime::parse_from_rfc3339("2026-01-31T10:30:00+01:00").unwrap().to_utc();
    let query = ListCallsQuery::new().status(CallStatus::NoAnswer).from(from).limit(2);
    let page = server.client().list_calls(query).await.unwrap();
    assert!(page.data.is_empty() && page.next_cursor.is_none());
    let asked = &server.asked()[0];
    let uri = "/v1/calls?status=no-answer&from=2026-01-31T09%3A30%3A00Z&limit=2";
    assert_eq!((asked.method.as_str(), asked.uri.as_str()), ("GET", uri));
    assert_eq!(asked.header("authorization"), Some("Bearer vx_key"));
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert_eq!(asked.header("idempotency-key"), None);
    assert!(asked.header("user-agent").unwrap().starts_with("postcall-client/"));
}

#[tokio::test]
async fn an_answer_is_typed_and_takes_words_of_later() {
    let server = Server::start(|_, _| {
        let mut told = assistant();
        told["provider"] = json!("newcomer");
        told["of_later"] = json!([1]);
        let mut response = json(200, &told);
        let headers = response.headers_mut();
        headers.insert(header::ETAG, HeaderValue::from_static("\"3\""));
        headers.insert("x-request-id", HeaderValue::from_static("r-7"));
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        response
    })
    .await;
    let answer = server.client().get_assistant(ID).answer().await.unwrap();
    assert_eq!(answer.value.provider, Provider::Unknown("newcomer".to_owned()));
    assert_eq!(answer.value.template, None);
    assert_eq!(answer.etag.unwrap().as_str(), "\"3\"");
    assert_eq!((answer.status, answer.request_id.as_deref()), (200, Some("r-7")));
    assert!(answer.is_replayed);
}

#[tokio::test]
async fn a_post_sends_what_was_given_under_a_key() {
    let server = Server::start(|_, _| json(201, &assistant())).await;
    let client = server.client();
    let new = CreateAssistant::new(Provider::Vapi).name("Front desk");
    client.create_assistant(&new).await.unwrap();
    client.create_assistant(&new).idempotency_key("mine").organization(ID).await.unwrap();
    client.rotate_webhook_secret(ID, None::<&RotateSecret>).await.unwrap_err();
    let asked = server.asked();
    assert_eq!(asked[0].json(), json!({ "provider": "vapi", "name": "Front desk" }));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert!(asked[0].header("idempotency-key").unwrap().parse::<Uuid>().is_ok());
    assert_eq!(asked[0].header("x-organization-id"), None);
    assert_eq!(asked[1].header("idempotency-key"), Some("mine"));
    assert_eq!(asked[1].header("x-organization-id"), Some(ID.to_string().as_str()));
    assert_eq!((asked[2].body.len(), asked[2].header("content-type")), (0, None));
}

#[tokio::test]
async fn a_change_keeps_clears_and_sets() {
    let server = Server::start(|_, _| problem(412, "precondition-failed", None)).await;
    let mut change = UpdateWebhook::new().enabled(false).schedule([5, 60]).clear_description();
    change.rate_limit = Patch::from(None);
    let error = server.client().update_webhook(ID, &change).if_match(3).await.unwrap_err();
    assert_eq!(error.kind(), Some(&ProblemKind::PreconditionFailed));
    assert_eq!((error.status(), error.can_retry()), (Some(412), false));
    let text = "PATCH /v1/webhooks/{id}: 412 precondition-failed (request r-1)";
    assert_eq!(error.to_string(), text);
    let asked = &server.asked()[0];
    let body =
        json!({ "enabled": false, "schedule": [5, 60], "description": null, "rate_limit": null });
    assert_eq!(asked.json(), body);
    assert_eq!(asked.header("if-match"), Some("\"3\""));
}

#[tokio::test]
async fn nothing_is_an_answer_too() {
    let server = Server::start(|_, _| StatusCode::NO_CONTENT.into_response()).await;
    server.client().delete_assistant(ID).if_match(3).await.unwrap();
    assert_eq!(server.asked()[0].uri, format!("/v1/assistants/{ID}"));
}

#[tokio::test]
async fn health_is_asked_for_without_a_key_and_also_told_by_503() {
    let server = Server::start(|_, _| {
        json(503, &json!({ "status": "unavailable", "checks": { "redis": "failed" } }))
    })
    .await;
    let answer = server.client().readyz().answer().await.unwrap();
    assert_eq!((answer.status, answer.value.checks["redis"].as_str()), (503, "failed"));
    assert_eq!(server.asked()[0].header("authorization"), None);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_problem_is_told_by_its_status() {
    let server = Server::start(|_, _| (StatusCode::IM_A_TEAPOT, "short and stout").into_response());
    let server = server.await;
    let error = server.client().get_dashboard().await.unwrap_err();
    let Error::Status { status: 418, excerpt, .. } = &error else { panic!("{error:?}") };
    assert_eq!(excerpt, "short and stout");
}

#[tokio::test]
async fn what_is_not_of_the_documented_form_says_where() {
    let server = Server::start(|_, _| json(200, &json!({ "id": ID }))).await;
    let error = server.client().get_assistant(ID).await.unwrap_err();
    let Error::Decode { operation, source } = &error else { panic!("{error:?}") };
    assert_eq!(*operation, "GET /v1/assistants/{id}");
    assert!(source.to_string().starts_with("missing field `name`"), "{source}");
}

#[tokio::test]
async fn nobody_else_is_sent_the_key() {
    let other = Server::start(|_, _| json(200, &assistant())).await;
    let url = other.url().to_owned();
    let server = Server::start(move |_, _| Redirect::temporary(&url).into_response()).await;
    let error = server.client().get_assistant(ID).await.unwrap_err();
    assert_eq!(error.status(), Some(307));
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_not_waited_for() {
    let server = Server::start(|_, _| {
        let body = axum::body::Body::from_stream(async_stream::stream! {
            sleep(Duration::from_secs(60)).await;
            yield std::io::Result::Ok("{}");
        });
        body.into_response()
    })
    .await;
    let client = Client::builder(server.url(), "k").retries(Retries::none()).build().unwrap();
    let begin = Instant::now();
    let request = client.get_dashboard().timeout(Duration::from_millis(100));
    let error = request.await.unwrap_err();
    assert!(matches!(&error, Error::Transport { source, .. } if source.is_timeout()), "{error:?}");
    assert!(error.can_retry() && begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_client_is_not_made_of_what_it_cannot_use() {
    for (url, key) in [
        ("api.example.com", "k"),
        ("ftp://api.example.com", "k"),
        ("https://user:password@api.example.com", "k"),
        ("https://api.example.com?x=1", "k"),
        ("https://api.example.com", ""),
        ("https://api.example.com", "two\nlines"),
    ] {
        let error = Client::new(url, key).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{url}: {error:?}");
        assert!(!error.to_string().contains("password@"), "{error}");
    }
}
