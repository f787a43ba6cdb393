use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::Semaphore;

use super::{BRIEF, PATIENCE, SECRET, development, end, once, secrets, send};
use crate::{
    canned::{
        Reply,
        names::{Answer, Names},
        serve,
        tls::NAME,
    },
    egress::Egress,
    webhook_out::{KEPT_RESPONSE_BYTES, Message, WebhookSender},
};

/// More than a system's buffers hold, less than the gigabyte that was promised.
const MOST_SENT: usize = 64 * 1024 * 1024;
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn raw(text: &str) -> Reply {
    Reply::Raw(text.as_bytes().to_vec())
}

fn flood(first: impl AsRef<[u8]>, again: &str) -> Reply {
    Reply::Flood(first.as_ref().to_vec(), again.as_bytes().to_vec())
}

#[tokio::test]
async fn ends_have_their_codes_and_nothing_is_sent_twice() {
    for (reply, status, code) in [
        (Reply::Json(500, "{}".into()), Some(500), Some("status")),
        (Reply::Json(410, "{}".into()), Some(410), Some("status")),
        (Reply::Cut, None, Some("connect")),
        (Reply::Reset, None, Some("connect")),
        (Reply::Short(b"part".to_vec()), Some(200), Some("connect")),
        // Versions.
        (raw("HTTP/1.0 200 OK\r\n\r\nfine"), Some(200), None),
        (raw("HTTP/1.0 503 No\r\n\r\n"), Some(503), Some("status")),
        (raw("fine\n"), None, Some("connect")),
        (raw("<html>fine</html>\r\n\r\n"), None, Some("connect")),
        (raw("HTTP/2.0 200 OK\r\n\r\n"), None, Some("connect")),
        (raw("HTTP/1.1 000 OK\r\n\r\n"), None, Some("connect")),
        (raw("HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n"), Some(999), Some("status")),
        (raw("\x15\x03\x01\x00\x02\x02\x16"), None, Some("connect")),
        // Answers before the answer.
        (raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n"), Some(204), None),
        (raw("HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n"), Some(204), None),
        (
            raw("HTTP/1.1 101 Other\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nxyz"),
            Some(101),
            Some("status"),
        ),
        // Lengths that contradict each other.
        (
            raw("HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nfine"),
            None,
            Some("connect"),
        ),
        (raw("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), None, Some("connect")),
        (
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            Some(200),
            Some("connect"),
        ),
        (raw("HTTP/1.1 200 OK\r\nbad header\r\n\r\n"), None, Some("connect")),
    ] {
        let text = format!("{reply:?}");
        let server = serve([reply]).await;
        let result = send(&development(), &server.url, PATIENCE).await;
        assert_eq!(end(&result), (status, code), "{text}");
        once(&server);
        server.ended(1).await;
    }
}

#[tokio::test]
async fn redirects_are_never_followed() {
    let elsewhere = serve([Reply::Json(200, "{}".into())]).await;
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        for to in [elsewhere.url.as_str(), "http://169.254.169.254/latest/meta-data/", "//[::1]/"] {
            let headers = format!("location: {to}\r\nrefresh: 0; url={to}\r\n");
            let server = serve([Reply::With(status, headers, Vec::new())]).await;
            let result = send(&development(), &server.url, PATIENCE).await;
            assert_eq!(end(&result), (Some(status), Some("redirect")));
            assert!(result.response_headers.contains(&("location".into(), to.into())));
            once(&server);
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn floods_are_left_at_their_bounds() {
    let gigabyte = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let extension = format!("1;ext={}\r\nx\r\n", "y".repeat(50));
    for (what, reply, status, code) in [
        ("body without a length", Reply::Endless, Some(200), "too-large"),
        ("gigabyte", flood(gigabyte, "x"), Some(200), "too-large"),
        ("headers", flood("HTTP/1.1 200 OK\r\n", "a: b\r\n"), None, "too-large"),
        ("one header", flood("HTTP/1.1 200 OK\r\nx: ", "y"), None, "too-large"),
        ("reason", flood("HTTP/1.1 200 ", "OK"), None, "too-large"),
        ("100", flood("", "HTTP/1.1 100 Continue\r\n\r\n"), None, "too-large"),
        ("103", flood("", hints), None, "too-large"),
        ("empty lines", flood("", "\r\n"), None, "too-large"),
        ("chunks", flood(CHUNKED, "1\r\nx\r\n"), Some(200), "too-large"),
        // hyper takes 16 KiB of these and calls more of them bad chunks.
        ("extended chunks", flood(CHUNKED, &extension), Some(200), "connect"),
        ("extension", flood([CHUNKED, b"1;"].concat(), "e"), Some(200), "connect"),
        ("trailers", flood([CHUNKED, b"0\r\n"].concat(), "a: b\r\n"), Some(200), "connect"),
    ] {
        let server = serve([reply]).await;
        let result = send(&development(), &server.url, PATIENCE).await;
        assert_eq!(end(&result), (status, Some(code)), "{what}");
        assert!(result.response_body.len() <= KEPT_RESPONSE_BYTES, "{what}");
        once(&server);
        server.ended(1).await;
        assert!(server.sent() < MOST_SENT, "{what}: {}", server.sent());
    }
}

#[tokio::test]
async fn an_endless_refusal_is_a_refusal() {
    let server = serve([flood("HTTP/1.1 500 No\r\n\r\n", "no ")]).await;
    let result = send(&development(), &server.url, PATIENCE).await;
    assert_eq!(end(&result), (Some(500), Some("status")));
    assert!(result.response_body.starts_with("no no "));
    server.ended(1).await;
    assert!(server.sent() < MOST_SENT);
}

#[tokio::test]
async fn drips_and_silence_end_with_the_time_of_the_attempt() {
    let drip = |first: &[u8], again: &str| Reply::Drip(first.to_vec(), again.as_bytes().to_vec());
    let long = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let sender = development();
    let cases = [
        (Reply::Hang, None, ""),
        (Reply::Silent, None, ""),
        (Reply::Stall(b"part".to_vec()), Some(200), "part"),
        (drip(long, "x"), Some(200), "x"),
        (drip(b"", "HTTP/1.1 200 OK\r\n"), None, ""),
        (drip(b"HTTP/1.1 200 OK\r\n", "a: b\r\n"), None, ""),
        (drip(b"", "HTTP/1.1 100 Continue\r\n\r\n"), None, ""),
        (drip(CHUNKED, "1\r\nx\r\n"), Some(200), "x"),
    ];
    // Side by side, because each takes its time.
    join_all(cases.map(async |(reply, status, body)| {
        let text = format!("{reply:?}");
        let is_silent = matches!(reply, Reply::Silent);
        let server = serve([reply]).await;
        let result = send(&sender, &server.url, BRIEF).await;
        assert_eq!(end(&result), (status, Some("timeout")), "{text}");
        assert!(result.response_body.starts_with(body), "{text}");
        assert!(result.latency >= BRIEF);
        server.ended(1).await;
        assert_eq!((server.connections(), server.requests().len()), (1, usize::from(!is_silent)));
    }))
    .await;
}

#[tokio::test]
async fn a_name_server_that_hangs_ends_with_the_time_for_connections() {
    let never = Arc::new(Semaphore::new(0));
    let names = Names::new([(NAME, vec![&["127.0.0.1"] as Answer])]).behind(&never);
    let egress = Egress::asking(true, &Arc::new(names)).within(Duration::from_millis(100));
    let sender = WebhookSender::new(&egress).expect("client");
    let result = send(&sender, &format!("https://{NAME}/"), PATIENCE).await;
    assert_eq!(end(&result), (None, Some("timeout")));
    assert!(!result.request_headers.is_empty(), "what would have been sent");
}

#[tokio::test]
async fn names_and_ports_that_lead_nowhere_have_their_codes() {
    let names = Names::new([(NAME, vec![&[] as Answer])]);
    let sender = WebhookSender::new(&Egress::asking(true, &Arc::new(names))).expect("client");
    for (url, code) in [
        (format!("https://{NAME}/"), "dns"),
        ("https://unknown.test/".to_owned(), "dns"),
        ("http://127.0.0.1:1/".to_owned(), "connect"),
        ("https://127.0.0.1:1/".to_owned(), "connect"),
        ("https://10.0.0.1/".to_owned(), "blocked"),
    ] {
        let result = send(&sender, &url, PATIENCE).await;
        assert_eq!(end(&result), (None, Some(code)), "{url}");
    }
}

/// An answer that comes before its question, as of a server that speaks another language.
#[tokio::test]
async fn a_banner_is_no_answer() {
    let server = serve([Reply::First(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())]).await;
    let result = send(&development(), &server.url, PATIENCE).await;
    assert_eq!(end(&result), (None, Some("connect")));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_answer_before_the_whole_request_was_read_counts() {
    let answer = b"HTTP/1.1 413 Too much\r\ncontent-length: 2\r\n\r\nno".to_vec();
    let server = serve([Reply::Early(answer)]).await;
    let secrets = secrets(&[SECRET]);
    let body = Bytes::from(vec![b' '; 4 * 1024 * 1024]);
    let message = Message { url: &server.url, id: "m", body, secrets: &secrets, headers: &[] };
    let result = development().attempt(&message, PATIENCE).await;
    assert_eq!(end(&result), (Some(413), Some("status")));
    assert_eq!((result.response_body.as_str(), server.connections()), ("no", 1));
}

/// The second answer on a connection must not be taken for that of the next message.
#[tokio::test]
async fn one_answer_too_many_answers_nothing() {
    let twice = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".repeat(2);
    let refusal = Reply::With(503, String::new(), Vec::new());
    let server = serve([Reply::Raw(twice.into_bytes()), refusal]).await;
    let sender = development();
    assert_eq!(end(&send(&sender, &server.url, PATIENCE).await), (Some(200), None));
    server.ended(1).await;
    assert_eq!(end(&send(&sender, &server.url, PATIENCE).await), (Some(503), Some("status")));
    assert_eq!((server.connections(), server.requests().len()), (2, 2));
}
