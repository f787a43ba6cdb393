use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::canned::{Canned, Reply, serve};
use crate::error::ErrorKind;

fn client(base_url: &str) -> VapiCalls {
    VapiCalls::new(base_url, SecretString::from("key-1")).expect("client")
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_186_800_000 + millis).expect("in range")
}

async fn page(replies: Vec<Reply>) -> (Result<CallsPage, ProviderError>, Canned) {
    let server = serve(replies).await;
    let result = client(&server.url).page(at(0), at(60_000), None).await;
    (result, server)
}

fn listed(calls: Value) -> Reply {
    Reply::Json(200, calls.to_string())
}

fn call(id: usize, updated_at: DateTime<Utc>) -> Value {
    json!({ "id": format!("call-{id}"), "updatedAt": updated_at, "status": "ended" })
}

#[tokio::test]
async fn a_page_asks_for_a_span_and_tells_what_is_over() {
    let (result, server) = page(vec![listed(json!([
        { "id": "a", "status": "ended", "artifact": { "transcript": "x" }, "updatedAt": at(5) },
        { "id": "b", "status": "ended", "endedReason": null },
        { "id": "c", "status": "in-progress", "cost": 0, "endedAt": null },
        { "id": "d", "status": "deletion-failed", "endedAt": at(1) },
        { "id": "e" },
    ]))])
    .await;
    let page = result.expect("a page");
    let seen: Vec<(&str, bool)> =
        page.calls.iter().map(|call| (call.provider_call_id.as_str(), call.has_ended)).collect();
    let expected = [("a", true), ("b", true), ("c", false), ("d", true), ("e", false)];
    assert_eq!(seen, expected);
    assert_eq!(page.next, None);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let asked = "GET /call?updatedAtGe=2026-11-20T15%3A00%3A00.000Z\
                 &updatedAtLt=2026-11-20T15%3A01%3A00.000Z&limit=100 HTTP/1.1";
    assert!(requests[0].starts_with(asked), "{}", requests[0]);
    assert!(requests[0].contains("authorization: Bearer key-1"));
}

/// Vapi's list over fixed calls: filtered, in the order of `calls`, at most `limit`.
async fn fake_list(calls: Vec<(usize, DateTime<Utc>)>) -> (String, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut bytes).await.expect("a request") == 0 {
                    break;
                }
            }
            *count.lock().expect("not poisoned") += 1;
            let text = String::from_utf8(bytes).expect("ascii");
            let body = select(&calls, text.split(' ').nth(1).expect("a path")).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.expect("a reader");
        }
    });
    (url, asked)
}

fn select(calls: &[(usize, DateTime<Utc>)], path: &str) -> Value {
    let url = Url::parse("http://x").and_then(|base| base.join(path)).expect("a path");
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let bound = |name: &str| query[name].parse::<DateTime<Utc>>().expect("a time");
    let (from, to) = (bound("updatedAtGe"), bound("updatedAtLt"));
    let limit: usize = query["limit"].parse().expect("a number");
    let inside = calls.iter().filter(|(_, at)| (from..to).contains(at));
    inside.take(limit).map(|(id, at)| call(*id, *at)).collect()
}

/// Every call exactly once, over all pages.
async fn read_all(url: &str) -> BTreeSet<String> {
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), None::<String>, 0);
    loop {
        let page = client(url).page(at(0), at(60_000), cursor.as_deref()).await.expect("a page");
        for call in page.calls {
            let id = call.provider_call_id;
            assert!(seen.insert(id.clone()), "{id} twice");
        }
        pages += 1;
        assert!(pages < 100, "it goes on and on");
        match page.next {
            Some(next) => cursor = Some(next),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn nothing_is_missed_whatever_the_order_and_however_many_share_a_time() {
    // A crowd in one millisecond, its neighbours, one crowd at the lower bound, and single calls.
    let mut calls: Vec<(usize, DateTime<Utc>)> = (0..300).map(|id| (id, at(30_000))).collect();
    calls.extend((300..520).map(|id| (id, at(29_900 + id as i64 % 200))));
    calls.extend((520..620).map(|id| (id, at(0))));
    calls.extend((620..700).map(|id| (id, at((id as i64 - 620) * 750))));
    calls.extend([(700, at(59_999)), (901, at(60_000)), (902, at(-1))]);
    let expected: BTreeSet<String> = (0..=700).map(|id| format!("call-{id}")).collect();
    let mut newest_first = calls.clone();
    newest_first.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    let mut by_chance = calls.clone();
    by_chance.sort_by_key(|(id, _)| id.wrapping_mul(7919) % 1009);
    for order in [calls, newest_first, by_chance] {
        let (url, asked) = fake_list(order).await;
        assert_eq!(read_all(&url).await, expected);
        let asked = *asked.lock().expect("not poisoned");
        assert!(asked < 80, "{asked} requests");
    }
}

#[tokio::test]
async fn a_list_that_is_too_large_is_read_in_parts() {
    let large = Reply::With(200, String::new(), vec![b' '; MAX_LIST_BYTES + 1]);
    let one = listed(json!([call(1, at(40_000))]));
    let (result, server) = page(vec![large, one]).await;
    let page = result.expect("a page");
    assert_eq!((page.calls.len(), page.next.is_some()), (1, true));
    assert!(server.requests()[1].contains("updatedAtGe=2026-11-20T15%3A00%3A30.000Z&"));
}

#[tokio::test]
async fn what_cannot_be_read_whole_is_an_error_and_no_loop() {
    let elsewhere = |count: usize| -> Value { (0..count).map(|id| call(id, at(-5))).collect() };
    let (result, server) = page(vec![listed(elsewhere(100))]).await;
    assert_eq!(result.expect_err("bounds not heeded").kind, ErrorKind::Malformed);
    assert_eq!(server.requests().len(), 1);

    let crowd: Value = (0..1000).map(|id| call(id, at(0))).collect();
    let server = serve([listed(crowd)]).await;
    let error = client(&server.url).page(at(0), at(1), None).await.expect_err("a crowd");
    assert_eq!(error.kind, ErrorKind::Rejected { code: "too-many-calls".to_owned() });
    assert!(server.requests()[0].contains("&limit=1000 "));

    let error = client(&server.url).page(at(0), at(1), Some("x")).await.expect_err("no cursor");
    assert_eq!(error.kind, ErrorKind::Rejected { code: "bad-cursor".to_owned() });
    let empty = client(&server.url).page(at(1), at(1), None).await.expect("an empty span");
    assert_eq!(empty, CallsPage::default());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn refusals_are_classified() {
    let unavailable = |seconds| ErrorKind::Unavailable {
        status: Some(429),
        retry_after: Some(Duration::from_secs(seconds)),
    };
    let ambiguous = |status| ErrorKind::Ambiguous { status, repeatable: true };
    let rejected = |code: &str| ErrorKind::Rejected { code: code.to_owned() };
    let unauthorized =
        include_str!("../../../../tests/fixtures/vapi/create_call_error_401.json").to_owned();
    for (reply, kind) in [
        (Reply::With(429, "retry-after: 7\r\n".into(), b"{}".to_vec()), unavailable(7)),
        (Reply::Json(401, unauthorized), rejected("http-401")),
        (Reply::Json(400, String::new()), rejected("http-400")),
        (Reply::Json(503, "<html>".into()), ambiguous(Some(503))),
        (Reply::Redirect("http://127.0.0.1:1/".into()), rejected("http-302")),
        (Reply::Cut, ambiguous(None)),
    ] {
        let server = serve([reply]).await;
        let client = client(&server.url);
        let list = client.page(at(0), at(60_000), None).await.expect_err("refused");
        let one = client.call("a").await.expect_err("refused");
        assert_eq!((&list.kind, &one.kind), (&kind, &kind));
        assert_eq!(list.can_retry(), !matches!(kind, ErrorKind::Rejected { .. }));
        assert_eq!(server.requests().len(), 2);
        assert!(!format!("{list:?} {one:?} {client:?}").contains("key-1"));
    }
    for reply in [Reply::Json(200, "<html>".into()), listed(json!({ "results": [] }))] {
        let (result, _) = page(vec![reply]).await;
        assert_eq!(result.expect_err("no list").kind, ErrorKind::Malformed);
    }
    let nobody = client("http://127.0.0.1:1").call("a").await.expect_err("closed");
    assert_eq!(nobody.kind, ErrorKind::Unavailable { status: None, retry_after: None });
}

#[tokio::test]
async fn one_call_comes_with_its_exact_bytes_or_not_at_all() {
    let body = "{ \"id\" : \"a/b\",\n \"cost\": 0.10 }";
    let server = serve([Reply::Json(200, body.into()), Reply::Json(404, "{}".into())]).await;
    let client = client(&server.url);
    assert_eq!(client.call("a/b").await.expect("known").as_deref(), Some(body.as_bytes()));
    assert_eq!(client.call("a").await.expect("unknown"), None);
    for none in ["", ".", ".."] {
        assert_eq!(client.call(none).await.expect("unknown"), None);
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].starts_with("GET /call/a%2Fb HTTP/1.1"));
    let large = Reply::With(200, String::new(), vec![b' '; MAX_CALL_BYTES + 1]);
    let server = serve([large]).await;
    let error = self::client(&server.url).call("a").await.expect_err("too large");
    assert_eq!(error.kind, ErrorKind::Malformed);
}
