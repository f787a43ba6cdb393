use std::time::Duration;

use chrono::DateTime;
use contract::ids::OrganizationId;
use secrecy::SecretString;
use serde_json::json;
use url::form_urlencoded;

use super::{super::*, fixture};
use crate::{
    canned::{Reply, serve},
    error::{ErrorKind, ProviderError},
};

const IDENTIFIER: &str = "usage_0b7e2c8a-1c5e-4f7c-9f6e-2f4a8c1d3e5b";
const ORGANIZATION: &str = "6f6b2d0e-2c2f-4a2b-9d0f-3a0c5a6b7c8d";

fn client(url: &str) -> StripeClient {
    StripeClient::with_timeout(url, "sk_test_planted".into(), Duration::from_millis(500))
        .expect("a client")
}

fn event() -> MeterEvent {
    MeterEvent {
        event_name: "voice_minutes".into(),
        customer: "cus_NciAYcXfLnqBoz".into(),
        quantity: 3,
        identifier: IDENTIFIER.into(),
        at: DateTime::from_timestamp(1_795_186_800, 0).expect("in range"),
    }
}

async fn post(reply: Reply) -> (Result<(), MeterEventError>, Vec<String>) {
    let server = serve([reply]).await;
    let result = client(&server.url).meter_event(&event(), "key-1").await;
    (result, server.requests())
}

fn json(status: u16, name: &str) -> Reply {
    Reply::Json(status, fixture(name).to_owned())
}

fn with(status: u16, headers: &str, name: &str) -> Reply {
    Reply::With(status, headers.to_owned(), fixture(name).as_bytes().to_vec())
}

fn rejected(code: &str) -> ErrorKind {
    ErrorKind::Rejected { code: code.to_owned() }
}

fn unavailable(status: u16, seconds: Option<u64>) -> ErrorKind {
    ErrorKind::Unavailable { status: Some(status), retry_after: seconds.map(Duration::from_secs) }
}

fn ambiguous(status: Option<u16>) -> ErrorKind {
    ErrorKind::Ambiguous { status, repeatable: true }
}

fn duplicate(identifier: &str) -> Reply {
    let message = format!("An event already exists with identifier {identifier}.");
    let error = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    let headers = "stripe-should-retry: false\r\n";
    Reply::With(400, headers.to_owned(), error.to_string().into_bytes())
}

#[tokio::test]
async fn usage_is_sent_as_stripe_documents_it() {
    let (sent, requests) = post(json(200, "meter_event_200.json")).await;
    sent.expect("taken");
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("POST /v1/billing/meter_events HTTP/1.1"));
    for line in [
        "authorization: Bearer sk_test_planted",
        "stripe-version: 2026-10-28.endive",
        "idempotency-key: key-1",
        "content-type: application/x-www-form-urlencoded",
    ] {
        assert!(head.contains(line), "{line}");
    }
    let pairs = |form: &str| {
        let mut pairs: Vec<_> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        pairs.sort();
        pairs
    };
    assert_eq!(pairs(body), pairs(fixture("meter_event_request.form").trim_end()));
}

#[tokio::test]
async fn an_identifier_that_stripe_knows_is_counted() {
    post(duplicate(IDENTIFIER)).await.0.expect("counted before");
    let coded = r#"{"error":{"code":"duplicate_meter_event","type":"invalid_request_error"}}"#;
    post(Reply::Json(400, coded.into())).await.0.expect("counted before");
    for identifier in ["usage_1", "", &format!("{IDENTIFIER}1")] {
        let error = post(duplicate(identifier)).await.0.expect_err("another event");
        assert_eq!(error.error().kind, rejected("invalid_request_error"));
    }
    let message = format!("An event already exists with identifier {IDENTIFIER}.");
    let conflict = json!({ "error": { "message": message } }).to_string();
    assert!(post(Reply::Json(500, conflict)).await.0.is_err(), "only a refusal says so");
}

#[tokio::test]
async fn refusals_and_losses_are_classified() {
    let lock = "error_429_lock_timeout.json";
    for (reply, kind) in [
        (json(400, "error_400_param.json"), rejected("parameter_missing")),
        (json(400, "error_400_idempotency.json"), rejected("idempotency_error")),
        (json(402, "error_400_param.json"), rejected("parameter_missing")),
        (json(404, "error_401.json"), rejected("invalid_request_error")),
        (
            with(400, "stripe-should-retry: true\r\n", "error_400_param.json"),
            unavailable(400, None),
        ),
        (
            Reply::Json(409, r#"{"error":{"code":"idempotency_key_in_use"}}"#.into()),
            unavailable(409, None),
        ),
        (
            Reply::With(409, "stripe-should-retry: false\r\n".into(), Vec::new()),
            rejected("http-409"),
        ),
        (with(429, "retry-after: 2\r\n", lock), unavailable(429, Some(2))),
        (
            with(429, "stripe-should-retry: false\r\n", "error_429_rate_limit.json"),
            unavailable(429, None),
        ),
        (json(500, "error_500_api_error.json"), ambiguous(Some(500))),
        (Reply::Json(503, "<html>".into()), ambiguous(Some(503))),
        (Reply::Json(424, "{}".into()), ambiguous(Some(424))),
        (Reply::Redirect("http://127.0.0.1:9/".into()), rejected("http-302")),
        (
            Reply::Json(400, r#"{"error":{"code":"owner@example.com"}}"#.into()),
            rejected("http-400"),
        ),
        (Reply::Json(200, "<html>".into()), ErrorKind::Malformed),
        (Reply::Json(200, r#"{"object":"charge"}"#.into()), ErrorKind::Malformed),
        (Reply::Endless, ErrorKind::Malformed),
        (Reply::Short(b"{".to_vec()), ambiguous(Some(200))),
        (Reply::Hang, ambiguous(None)),
        (Reply::Cut, ambiguous(None)),
    ] {
        let (result, requests) = post(reply.clone()).await;
        let error = result.expect_err("not taken");
        assert!(matches!(error, MeterEventError::Failed(_)), "{error:?}");
        assert_eq!(error.error().kind, kind, "{reply:?}");
        assert_eq!(requests.len(), 1, "{error}: sent once");
        assert!(!format!("{error} {error:?}").contains("example.com"));
    }
    let nobody = client("http://127.0.0.1:9").meter_event(&event(), "key-1").await;
    let kind = ErrorKind::Unavailable { status: None, retry_after: None };
    assert_eq!(nobody.expect_err("nobody listens").error().kind, kind);
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_told_from_usage_that_is_not() {
    let expired = r#"{"error":{"code":"api_key_expired","type":"invalid_request_error"}}"#;
    for (reply, code) in [
        (json(401, "error_401.json"), "http-401"),
        (Reply::Json(401, expired.into()), "api_key_expired"),
        (Reply::Json(403, "{}".into()), "http-403"),
    ] {
        let error = post(reply).await.0.expect_err("not taken");
        assert!(matches!(error, MeterEventError::Unauthorized(_)), "{error:?}");
        assert_eq!(ProviderError::from(error).kind, rejected(code));
    }
}

#[tokio::test]
async fn what_stripe_keeps_under_the_key_is_told_from_what_it_may_yet_answer() {
    let replayed = "idempotent-replayed: true\r\n";
    let last = "stripe-should-retry: false\r\n";
    for (reply, is_stored) in [
        (with(500, replayed, "error_500_api_error.json"), true),
        (with(500, last, "error_500_api_error.json"), true),
        (with(429, replayed, "error_429_rate_limit.json"), true),
        (json(500, "error_500_api_error.json"), false),
        (with(500, "stripe-should-retry: true\r\n", "error_500_api_error.json"), false),
        (with(500, "idempotent-replayed: false\r\n", "error_500_api_error.json"), false),
        (with(400, replayed, "error_400_param.json"), false),
    ] {
        let error = post(reply.clone()).await.0.expect_err("not taken");
        assert_eq!(matches!(error, MeterEventError::Stored(_)), is_stored, "{reply:?}");
        assert_eq!(error.error().can_retry(), !matches!(reply, Reply::With(400, ..)));
    }
    let replayed = with(200, replayed, "meter_event_200.json");
    post(replayed).await.0.expect("what was taken is taken");
}

fn meters(names: &[&str], has_more: bool) -> Reply {
    let data: Vec<_> = names
        .iter()
        .map(|name| json!({ "id": format!("mtr_{name}"), "event_name": name, "status": "active" }))
        .collect();
    Reply::Json(200, json!({ "object": "list", "data": data, "has_more": has_more }).to_string())
}

fn summaries(values: &[f64], has_more: bool) -> Reply {
    let data: Vec<_> = values
        .iter()
        .map(|value| json!({ "id": format!("mtrusg_{value}"), "aggregated_value": value }))
        .collect();
    Reply::Json(200, json!({ "data": data, "has_more": has_more }).to_string())
}

async fn counted(
    replies: impl IntoIterator<Item = Reply>,
) -> (Result<Option<u64>, ProviderError>, Vec<String>) {
    let server = serve(replies).await;
    let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("in range");
    let (from, until) = (at(1_792_594_859), at(1_795_186_879));
    let client = client(&server.url);
    let counted =
        async { client.meters().await?.counted("voice_minutes", "cus_1", from, until).await }.await;
    let line = |request: String| request.lines().next().unwrap_or_default().to_owned();
    (counted, server.requests().into_iter().map(line).collect())
}

#[tokio::test]
async fn what_was_counted_is_summed_over_all_pages() {
    let replies = [
        meters(&["a", "b"], true),
        meters(&["voice_minutes"], false),
        summaries(&[10.0, 2.0], true),
        summaries(&[200.0], false),
    ];
    let (counted, requests) = counted(replies).await;
    assert_eq!(counted.expect("counted"), Some(212));
    let window = "event_summaries?customer=cus_1&start_time=1792594800&end_time=1795186860";
    assert_eq!(
        requests,
        [
            "GET /v1/billing/meters?status=active&limit=100 HTTP/1.1".to_owned(),
            "GET /v1/billing/meters?status=active&limit=100&starting_after=mtr_b HTTP/1.1".into(),
            format!("GET /v1/billing/meters/mtr_voice_minutes/{window}&limit=100 HTTP/1.1"),
            format!(
                "GET /v1/billing/meters/mtr_voice_minutes/{window}&limit=100\
                 &starting_after=mtrusg_2 HTTP/1.1"
            ),
        ]
    );
}

#[tokio::test]
async fn meters_are_read_once_for_many_questions() {
    let counts = [3.0, 4.0].map(|count| summaries(&[count], false));
    let replies = [meters(&["a", "voice_minutes"], false)].into_iter().chain(counts);
    let server = serve(replies).await;
    let client = client(&server.url);
    let meters = client.meters().await.expect("meters");
    let at = DateTime::from_timestamp(1_795_186_800, 0).expect("in range");
    let counted = |customer| meters.counted("voice_minutes", customer, at, at);
    assert_eq!(counted("cus_1").await.expect("counted"), Some(3));
    assert_eq!((meters.has("voice_minutes"), meters.has("b")), (true, false));
    assert_eq!(meters.counted("b", "cus_1", at, at).await.expect("none"), None);
    assert_eq!(counted("cus_2").await.expect("counted"), Some(4));
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[2].contains("meters/mtr_voice_minutes/event_summaries?customer=cus_2&"));
}

#[tokio::test]
async fn nothing_counted_is_not_the_same_as_nowhere_to_look() {
    let none = counted([meters(&["a"], false)]).await;
    assert_eq!((none.0.expect("counted"), none.1.len()), (None, 1));
    let zero = counted([meters(&["voice_minutes"], false), summaries(&[], false)]).await;
    assert_eq!(zero.0.expect("counted"), Some(0));
    let endless = meters(&["a"], true);
    let (result, requests) = counted([endless]).await;
    assert_eq!((result.expect_err("no end").kind, requests.len()), (ErrorKind::Malformed, 100));
    for (reply, kind) in [
        (summaries(&[3.0, -4.0], false), ErrorKind::Malformed),
        (Reply::Json(200, "{}".into()), ErrorKind::Malformed),
        (json(404, "error_401.json"), rejected("invalid_request_error")),
        (json(429, "error_429_rate_limit.json"), unavailable(429, None)),
        (json(500, "error_500_api_error.json"), ambiguous(Some(500))),
    ] {
        let result = counted([meters(&["voice_minutes"], false), reply]).await.0;
        assert_eq!(result.expect_err("not counted").kind, kind);
    }
}

fn organization() -> OrganizationId {
    ORGANIZATION.parse().expect("an id")
}

#[tokio::test]
async fn a_customer_carries_its_organization() {
    let server = serve([Reply::Json(200, r#"{"id":"cus_1","object":"customer"}"#.into())]).await;
    let customer = NewCustomer {
        organization_id: organization(),
        name: "Bob & Co".into(),
        email: Some(SecretString::from("billing@example.com")),
    };
    assert!(!format!("{customer:?}").contains("example.com"));
    let made = client(&server.url).create_customer(&customer).await;
    assert_eq!(made.expect("made"), "cus_1");
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("POST /v1/customers HTTP/1.1"));
    assert!(head.contains(&format!("idempotency-key: customer-{ORGANIZATION}")));
    let pairs: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let expected = [
        ("name", "Bob & Co"),
        ("metadata[organization_id]", ORGANIZATION),
        ("email", "billing@example.com"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);

    let server = serve([json(400, "error_400_idempotency.json")]).await;
    let nameless = NewCustomer { email: None, ..customer };
    let error = client(&server.url).create_customer(&nameless).await.expect_err("refused");
    assert_eq!(error.kind, rejected("idempotency_error"));
    assert!(!server.requests()[0].contains("email"));
}

#[tokio::test]
async fn the_first_customer_of_an_organization_is_found() {
    let found = json!({ "object": "search_result", "has_more": false, "data": [
        { "id": "cus_2", "created": 20 }, { "id": "cus_1", "created": 10 },
    ] });
    let server = serve([Reply::Json(200, found.to_string())]).await;
    let customer = client(&server.url).find_customer(organization()).await;
    assert_eq!(customer.expect("an answer").as_deref(), Some("cus_1"));
    let request = server.requests().remove(0);
    let target = request.split(' ').nth(1).expect("a target");
    let query = target.strip_prefix("/v1/customers/search?").expect("a search");
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(pairs[0].1, format!("metadata['organization_id']:'{ORGANIZATION}'"));

    let server = serve([Reply::Json(200, r#"{"data":[]}"#.into())]).await;
    assert_eq!(client(&server.url).find_customer(organization()).await.expect("an answer"), None);
    let server = serve([json(500, "error_500_api_error.json")]).await;
    let error = client(&server.url).find_customer(organization()).await.expect_err("lost");
    assert_eq!(error.kind, ambiguous(Some(500)));
}

#[tokio::test]
async fn an_error_report_says_which_usage_was_not_billed() {
    let full = fixture("v1.billing.meter.error_report_triggered.full_from_v2_core_events.json");
    let server = serve([Reply::Json(200, full.to_owned())]).await;
    let report = client(&server.url).meter_error_report("evt_test/65").await;
    let code = "meter_event_customer_not_found".to_owned();
    let samples = vec![(code, Some("call_0b7e2c8a".to_owned()))];
    assert_eq!(report.expect("an answer"), Some(MeterErrorReport { errors: 1, samples }));
    assert!(server.requests()[0].starts_with("GET /v2/core/events/evt_test%2F65 HTTP/1.1"));

    let many = json!({ "data": { "reason": { "error_types": [
        { "code": "no_meter", "error_count": 7 },
        { "code": "sent to owner@example.com", "error_count": 2, "sample_errors": [
            { "request": { "identifier": "x".repeat(101) } }, {},
        ] },
    ] } } });
    let server = serve([Reply::Json(200, many.to_string())]).await;
    let report = client(&server.url).meter_error_report("evt_1").await.expect("an answer");
    let samples = ["no_meter", "unknown", "unknown"].map(|code| (code.to_owned(), None)).to_vec();
    assert_eq!(report, Some(MeterErrorReport { errors: 9, samples }));

    let server = serve([Reply::Json(404, r#"{"error":{"code":"not_found"}}"#.into())]).await;
    assert_eq!(client(&server.url).meter_error_report("evt_1").await.expect("an answer"), None);
    let server = serve([Reply::Json(200, r#"{"id":"evt_1"}"#.into())]).await;
    let error = client(&server.url).meter_error_report("evt_1").await.expect_err("no report");
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[test]
fn nothing_shows_the_key() {
    assert!(!format!("{:?}", client("https://api.stripe.com")).contains("planted"));
    assert!(StripeClient::new("ftp://api.stripe.com", "sk".into()).is_err());
}
