use chrono::TimeZone;

use super::*;
use crate::canned::{Canned, Reply, serve};

const CALL: &str = "call_a4441234567890777c4a4a123e6";
const ANALYZED: &str = include_str!("../../../../tests/fixtures/retell/call_analyzed.json");
const NO_ANSWER: &str =
    include_str!("../../../../tests/fixtures/retell/call_ended_dial_no_answer.json");
const STARTED: &str = include_str!("../../../../tests/fixtures/retell/call_started.json");
const REGISTERED: &str =
    include_str!("../../../../tests/fixtures/retell/create_phone_call_201.json");

macro_rules! error_body {
    ($status:literal) => {
        include_str!(concat!("../../../../tests/fixtures/retell/error_", $status, ".json"))
            .to_owned()
    };
}

fn client(server: &Canned) -> RetellCalls {
    let timeout = Duration::from_millis(500);
    RetellCalls::with_timeout(&server.url, SecretString::from("key_1"), timeout).expect("client")
}

fn since() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 15, 0, 0).single().expect("exists")
}

async fn page_of(
    replies: impl IntoIterator<Item = Reply>,
    cursor: Option<&str>,
) -> (Result<CallsPage, ProviderError>, Vec<String>) {
    let server = serve(replies).await;
    let until = since() + TimeDelta::minutes(10);
    let page = client(&server).page(since(), until, cursor).await;
    (page, server.requests())
}

fn list(items: &[Value], pagination_key: Option<&str>) -> Reply {
    let mut list = json!({"items": items, "has_more": pagination_key.is_some()});
    if let Some(key) = pagination_key {
        list["pagination_key"] = json!(key);
    }
    Reply::Json(200, list.to_string())
}

fn asked(request: &str) -> Value {
    let (_, body) = request.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

/// The call object of a webhook.
fn call_object(webhook: &str) -> Value {
    let mut root: Value = serde_json::from_str(webhook).expect("a fixture");
    root["call"].take()
}

fn named(id: &str, mut call: Value) -> Value {
    call["call_id"] = json!(id);
    call
}

#[tokio::test]
async fn changes_are_listed_by_two_queries_over_pages() {
    let one = |id| vec![named(id, call_object(STARTED))];
    let ended = |id| vec![named(id, call_object(ANALYZED))];
    let server = serve([
        list(&one("a"), Some("k1")),
        list(&one("b"), None),
        list(&ended("c"), Some("k:2")),
        list(&ended("d"), None),
    ])
    .await;
    let (client, until) = (client(&server), since() + TimeDelta::minutes(10));
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.page(since(), until, cursor.as_deref()).await.expect("a page");
        ids.extend(page.calls.into_iter().map(|call| call.provider_call_id));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(ids, ["a", "b", "c", "d"]);

    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert!(request.starts_with("POST /v3/list-calls HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nauthorization: Bearer key_1\r\n"), "{request}");
    }
    // 14:00, an hour before `since`, to 15:10.
    let range = json!({"type": "range", "op": "bt",
        "value": [1_795_183_200_000_i64, 1_795_187_400_000_i64]});
    let begun = json!({"start_timestamp": range, "call_status": {"type": "enum", "op": "in",
        "value": ["ongoing", "not_connected", "error"]}});
    let ended = json!({"end_timestamp": range});
    for (request, filter, key) in [
        (&requests[0], &begun, None),
        (&requests[1], &begun, Some("k1")),
        (&requests[2], &ended, None),
        (&requests[3], &ended, Some("k:2")),
    ] {
        let mut expected =
            json!({"filter_criteria": filter, "sort_order": "ascending", "limit": 100});
        if let Some(key) = key {
            expected["pagination_key"] = json!(key);
        }
        assert_eq!(asked(request), expected);
    }
}

#[tokio::test]
async fn a_page_tells_what_is_over_and_passes_over_what_has_no_id() {
    let registered: Value = serde_json::from_str(REGISTERED).expect("a fixture");
    let items = [
        named("analyzed", call_object(ANALYZED)),
        named("no-answer", call_object(NO_ANSWER)),
        named("started", call_object(STARTED)),
        named("registered", registered),
        json!({"call_id": "failed", "call_status": "error",
            "disconnection_reason": "no_valid_payment"}),
        json!({"call_id": "odd", "call_status": 7, "disconnection_reason": []}),
        json!({"call_id": "x".repeat(201)}),
        json!({"call_id": ""}),
        json!({"call_id": 5}),
        json!({}),
    ];
    let (page, _) = page_of([list(&items, None)], Some("ended:")).await;
    let page = page.expect("a page");
    assert_eq!(page.next, None);
    let found: Vec<(&str, bool)> =
        page.calls.iter().map(|call| (call.provider_call_id.as_str(), call.has_ended)).collect();
    assert_eq!(
        found,
        [
            ("analyzed", true),
            ("no-answer", true),
            ("started", false),
            ("registered", false),
            ("failed", true),
            ("odd", false),
        ]
    );
}

#[tokio::test]
async fn the_first_query_leaves_what_has_an_end_to_the_second() {
    let failed = json!({"call_id": "failed", "call_status": "error"});
    let items = [call_object(NO_ANSWER), failed, call_object(STARTED)];
    let (page, _) = page_of([list(&items, None)], None).await;
    let page = page.expect("a page");
    let ids: Vec<&str> = page.calls.iter().map(|call| call.provider_call_id.as_str()).collect();
    assert_eq!(ids, ["failed", CALL]);
    assert_eq!(page.next.as_deref(), Some("ended:"), "also where nothing begun is listed");
}

#[tokio::test]
async fn a_list_that_does_not_go_on_as_it_says_is_malformed() {
    let endless = Reply::Json(200, json!({"items": [], "has_more": true}).to_string());
    for reply in [
        list(&[], Some("k1")),
        list(&[], Some("")),
        list(&[], Some(&"k".repeat(MAX_CURSOR_BYTES + 1))),
        endless,
        Reply::Json(200, "{}".into()),
        Reply::Json(200, "[]".into()),
        Reply::Json(200, "<html>".into()),
        Reply::Endless,
        Reply::Short(b"{".to_vec()),
    ] {
        let (page, requests) = page_of([reply], Some("begun:k1")).await;
        let error = page.expect_err("malformed");
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.can_retry());
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn a_cursor_of_someone_else_is_refused_without_a_request() {
    for cursor in ["", "begun", "other:k", "Ended:"] {
        let (page, requests) = page_of([list(&[], None)], Some(cursor)).await;
        let error = page.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::Rejected { code: "cursor".to_owned() });
        assert!(requests.is_empty());
    }
}

#[tokio::test]
async fn refusals_are_classified_alike_for_both_operations() {
    let rejected = |code: &str| ErrorKind::Rejected { code: code.to_owned() };
    let waits = |seconds| ErrorKind::Unavailable {
        status: Some(429),
        retry_after: Some(Duration::from_secs(seconds)),
    };
    let ambiguous = |status| ErrorKind::Ambiguous { status: Some(status), repeatable: true };
    let unanswered = ErrorKind::Unavailable { status: None, retry_after: None };
    let limited =
        Reply::With(429, "retry-after: 7\r\n".to_owned(), error_body!("429").into_bytes());
    for (reply, kind, can_retry) in [
        (Reply::Json(401, error_body!("401")), rejected("http-401"), false),
        (Reply::Json(402, error_body!("402")), rejected("http-402"), false),
        (limited, waits(7), true),
        (Reply::Json(500, "<html>".into()), ambiguous(500), true),
        (Reply::Json(503, String::new()), ambiguous(503), true),
        (Reply::Redirect("http://127.0.0.1:1/".into()), rejected("http-302"), false),
        (Reply::Hang, unanswered.clone(), true),
        (Reply::Cut, unanswered, true),
    ] {
        let (page, requests) = page_of([reply.clone()], None).await;
        let error = page.expect_err("refused");
        assert_eq!((&error.kind, error.can_retry()), (&kind, can_retry), "{error}");
        assert_eq!(requests.len(), 1, "{error}: sent once");
        let server = serve([reply]).await;
        let error = client(&server).call(CALL).await.expect_err("refused");
        assert_eq!((&error.kind, error.can_retry()), (&kind, can_retry), "{error}");
        let chain = format!("{error} {error:?}");
        assert!(!chain.contains("127.0.0.1") && !chain.contains("key_1"), "{chain}");
        assert!(!chain.contains(CALL), "{chain}");
    }
}

#[tokio::test]
async fn a_call_is_fetched_as_it_is() {
    let body = call_object(ANALYZED).to_string();
    let server = serve([Reply::Json(200, body.clone())]).await;
    let found = client(&server).call(CALL).await.expect("an answer");
    assert_eq!(found.as_deref(), Some(body.as_bytes()));
    let requests = server.requests();
    assert!(requests[0].starts_with(&format!("GET /v2/get-call/{CALL} HTTP/1.1\r\n")));
    assert!(requests[0].contains("\r\nauthorization: Bearer key_1\r\n"));
}

#[tokio::test]
async fn a_long_call_is_larger_than_other_answers() {
    let mut call = call_object(ANALYZED);
    call["transcript"] = json!("word ".repeat(2 * http::MAX_ANSWER_BYTES / 5));
    let server = serve([Reply::Json(200, call.to_string())]).await;
    let patient = RetellCalls::new(&server.url, SecretString::from("key_1")).expect("client");
    let found = patient.call(CALL).await.expect("an answer").expect("a call");
    assert!(found.len() > http::MAX_ANSWER_BYTES);
}

#[tokio::test]
async fn an_unknown_call_is_none_and_another_one_is_an_error() {
    for reply in [Reply::Json(422, error_body!("422")), Reply::Json(404, String::new())] {
        let server = serve([reply]).await;
        assert_eq!(client(&server).call("call_unknown").await.expect("an answer"), None);
    }
    let server = serve([Reply::Cut]).await;
    for no_id in ["", ".", ".."] {
        assert_eq!(client(&server).call(no_id).await.expect("an answer"), None);
    }
    assert!(server.requests().is_empty());
    for body in ["<html>", "{}", "[]", r#"{"call_id":"call_other"}"#] {
        let server = serve([Reply::Json(200, body.into())]).await;
        let error = client(&server).call(CALL).await.expect_err("not this call");
        assert_eq!(error.kind, ErrorKind::Malformed, "{body}");
    }
    let server = serve([Reply::Endless]).await;
    let error = client(&server).call(CALL).await.expect_err("endless");
    assert!(error.can_retry());
}

#[test]
fn a_client_needs_a_base_url_and_shows_no_key() {
    let key = || SecretString::from("key_1");
    assert!(RetellCalls::new("api.retellai.com", key()).is_err());
    let client = RetellCalls::new("https://api.retellai.com", key()).expect("client");
    assert!(!format!("{client:?}").contains("key_1"));
}
