use chrono::TimeZone;

use super::*;
use crate::{
    canned::{Canned, Reply, serve},
    error::ErrorKind,
};

const CALL_ID: &str = "CA1234567890abcdef1234567890abcdef";
const CREATED: &str = include_str!("../../../../tests/fixtures/twilio/calls_create_201.json");
const NEXT: &str = "/2010-04-01/Accounts/AC1/Calls.json?StartTime%3E=2026-11-19&Page=1";

fn at(hour: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, hour, 0, 0).single().expect("exists")
}

fn client(url: &str) -> TwilioCalls {
    TwilioCalls::new(url, "AC1", SecretString::from("token")).expect("client")
}

fn listed(calls: &[Value], next: Option<&str>) -> Reply {
    Reply::Json(200, json!({ "calls": calls, "next_page_uri": next }).to_string())
}

fn entry(sid: &str, status: &str, end_time: Option<&str>) -> Value {
    json!({"sid": sid, "status": status, "end_time": end_time, "date_updated": end_time})
}

async fn page(
    reply: Reply,
    cursor: Option<&str>,
) -> (Result<CallsPage, ProviderError>, Vec<String>) {
    let server = serve([reply]).await;
    let page = client(&server.url).page(at(14), at(16), cursor).await;
    (page, server.requests())
}

#[tokio::test]
async fn both_lists_are_read_page_by_page() {
    let running = entry("CA1", "in-progress", None);
    let ended = entry("CA2", "completed", Some("Fri, 20 Nov 2026 15:02:14 +0000"));
    let server = serve([
        listed(&[running], Some(NEXT)),
        listed(&[ended], None),
        listed(&[], Some("/2010-04-01/Accounts/AC1/Calls.json?Status=queued&Page=1")),
        listed(&[entry("CA3", "queued", None)], None),
    ])
    .await;
    let api = client(&server.url);
    let (mut calls, mut cursor) = (Vec::new(), None);
    loop {
        let page = api.page(at(0), at(16), cursor.as_deref()).await.expect("a page");
        calls.extend(page.calls);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let call = |id: &str, over| ListedCall {
        provider_call_id: id.to_owned(),
        has_ended: over,
        ..ListedCall::default()
    };
    let running = ListedCall { is_answered: true, ..call("CA1", false) };
    assert_eq!(calls, [running, call("CA2", true), call("CA3", false)]);
    let requests = server.requests();
    let starts: Vec<&str> = requests.iter().filter_map(|text| text.split(" HTTP").next()).collect();
    assert_eq!(
        starts,
        [
            "GET /2010-04-01/Accounts/AC1/Calls.json\
             ?StartTime%3E=2026-11-18&StartTime%3C=2026-11-21&PageSize=250",
            &format!("GET {NEXT}"),
            "GET /2010-04-01/Accounts/AC1/Calls.json?Status=queued&PageSize=250",
            "GET /2010-04-01/Accounts/AC1/Calls.json?Status=queued&Page=1",
        ]
    );
    assert!(requests.iter().all(|text| text.contains("authorization: Basic QUMxOnRva2Vu")));
}

#[tokio::test]
async fn calls_that_changed_in_the_range_or_go_on_are_kept() {
    let before = Some("Fri, 20 Nov 2026 13:59:59 +0000");
    let first = Some("Fri, 20 Nov 2026 14:00:00 +0000");
    let after = Some("Fri, 20 Nov 2026 16:00:00 +0000");
    let mut priced = entry("priced", "completed", before);
    priced["date_updated"] = json!(first);
    let calls = [
        entry("before", "completed", before),
        entry("first", "busy", first),
        entry("after", "completed", after),
        priced,
        entry("ringing", "ringing", None),
        entry("undated", "failed", Some("soon")),
        json!({"sid": "bare"}),
    ];
    let (page, _) = page(listed(&calls, None), Some(QUEUED)).await;
    let page = page.expect("a page");
    let kept: Vec<(&str, bool)> =
        page.calls.iter().map(|call| (call.provider_call_id.as_str(), call.has_ended)).collect();
    assert_eq!(
        kept,
        [("first", true), ("priced", true), ("ringing", false), ("undated", true), ("bare", false)]
    );
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn credentials_go_to_the_configured_place_only() {
    let (refused, _) = page(listed(&[], Some("//evil.example/x")), None).await;
    assert_eq!(refused.expect_err("elsewhere").kind, ErrorKind::Malformed);
    for cursor in ["started://evil.example/x", "queued:http://evil.example/", "", "/x", "x:/x"] {
        let (refused, requests) = page(listed(&[], None), Some(cursor)).await;
        let rejected = ErrorKind::Rejected { code: "invalid-cursor".to_owned() };
        assert_eq!(refused.expect_err("refused").kind, rejected, "{cursor}");
        assert!(requests.is_empty(), "{cursor}");
    }
}

#[tokio::test]
async fn refusals_of_the_list_are_classified() {
    let error = include_str!("../../../../tests/fixtures/twilio/error_20429_429.json");
    for (reply, kind) in [
        (Reply::Json(200, "<html>".into()), ErrorKind::Malformed),
        (Reply::Json(200, "{}".into()), ErrorKind::Malformed),
        (Reply::Endless, ErrorKind::Malformed),
        (
            Reply::Json(429, error.into()),
            ErrorKind::Unavailable { status: Some(429), retry_after: None },
        ),
        (
            Reply::Json(401, r#"{"code":20003}"#.into()),
            ErrorKind::Rejected { code: "20003".into() },
        ),
        (Reply::Json(404, String::new()), ErrorKind::Rejected { code: "http-404".into() }),
        (Reply::Cut, ErrorKind::Ambiguous { status: None, repeatable: true }),
    ] {
        let (refused, _) = page(reply, None).await;
        let error = refused.expect_err("refused");
        assert_eq!(error.kind, kind);
        let chain = format!("{error} {error:?}");
        assert!(!chain.contains("AC1") && !chain.contains("token"), "{chain}");
    }
}

async fn fetch(replies: Vec<Reply>, id: &str) -> (Result<Option<Bytes>, ProviderError>, Canned) {
    let server = serve(replies).await;
    (client(&server.url).call(id).await, server)
}

#[tokio::test]
async fn a_call_comes_with_its_recordings() {
    let recordings = r#"{"recordings":[{"sid":"RE1"}],"page":0}"#;
    let replies = vec![Reply::Json(200, CREATED.into()), Reply::Json(200, recordings.into())];
    let (body, server) = fetch(replies, CALL_ID).await;
    let body: Value =
        serde_json::from_slice(&body.expect("answered").expect("known")).expect("JSON");
    let call: Value = serde_json::from_str(CREATED).expect("a fixture");
    assert_eq!(body, json!({"call": call, "recordings": [{"sid": "RE1"}]}));
    let requests = server.requests();
    let path = format!("GET /2010-04-01/Accounts/AC1/Calls/{CALL_ID}");
    assert!(requests[0].starts_with(&format!("{path}.json HTTP")), "{}", requests[0]);
    assert!(requests[1].starts_with(&format!("{path}/Recordings.json?PageSize=50 HTTP")));
}

#[tokio::test]
async fn an_unknown_call_is_none_and_everything_else_an_error() {
    let call = || Reply::Json(200, CREATED.to_owned());
    let gone = || Reply::Json(404, r#"{"code":20404}"#.to_owned());
    let (none, server) = fetch(vec![gone()], CALL_ID).await;
    assert_eq!((none.expect("answered"), server.requests().len()), (None, 1));
    for id in ["../Messages", "CA1/Recordings", "CA1?x", "CA 1"] {
        let (none, server) = fetch(vec![call()], id).await;
        assert_eq!((none.expect("not asked"), server.requests().len()), (None, 0), "{id}");
    }
    let (bare, _) = fetch(vec![call(), gone()], CALL_ID).await;
    let bare: Value =
        serde_json::from_slice(&bare.expect("answered").expect("known")).expect("JSON");
    assert_eq!(bare["recordings"], json!([]));
    for replies in [
        vec![Reply::Json(500, String::new())],
        vec![Reply::Json(200, "[]".to_owned())],
        vec![call(), Reply::Json(503, String::new())],
        vec![call(), Reply::Json(200, "{}".to_owned())],
    ] {
        let (refused, _) = fetch(replies, CALL_ID).await;
        assert!(refused.expect_err("refused").can_retry());
    }
}
