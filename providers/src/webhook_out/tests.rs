mod headers;
mod hostile;
mod log;
mod signatures;
mod tls;
mod verification;

use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;

use super::{AttemptResult, Message, WebhookSender, sign};
use crate::{
    canned::{Canned, Reply, serve},
    egress::Egress,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// For what ends by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// For what does not, but begins.
const BRIEF: Duration = Duration::from_secs(2);

fn secrets(texts: &[&str]) -> Vec<SecretString> {
    texts.iter().map(|text| SecretString::from(*text)).collect()
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/vectors.json")).expect("vectors")
}

fn development() -> WebhookSender {
    WebhookSender::new(&Egress::new(true)).expect("client")
}

/// Sends a message of the usual kind.
async fn send(sender: &WebhookSender, url: &str, timeout: Duration) -> AttemptResult {
    let secrets = secrets(&[SECRET]);
    let body = Bytes::from_static(b"{\"type\":\"call.completed\"}");
    let message = Message { url, id: "msg_1", body, secrets: &secrets, headers: &[] };
    sender.attempt(&message, timeout).await
}

fn end(result: &AttemptResult) -> (Option<u16>, Option<&'static str>) {
    (result.status, result.error_code)
}

#[tokio::test]
async fn a_2xx_is_success_and_the_request_is_signed() {
    let server = serve([Reply::With(204, String::new(), Vec::new())]).await;
    let result = send(&development(), &format!("{}/hook?x=1", server.url), PATIENCE).await;
    assert_eq!((end(&result), result.is_success()), ((Some(204), None), true));
    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{request}");
    let header = |name: &str| sent_header(&request, name);
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("postcall/"));
    let timestamp = header("webhook-timestamp").parse().expect("seconds");
    let body = request.split_once("\r\n\r\n").expect("a body").1;
    let expected = sign(&header("webhook-id"), timestamp, body.as_bytes(), &secrets(&[SECRET]));
    assert_eq!(Ok(header("webhook-signature")), expected);
}

/// The value of a header of a request as it came.
fn sent_header(request: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    let line = request.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("no {name} in {request}")).to_owned()
}

#[tokio::test]
async fn refusals_keep_the_beginning_of_the_answer() {
    let headers = "retry-after: 7\r\n".to_owned();
    let mut body = b"no\0pe \xFF".to_vec();
    body.extend(vec![b'x'; 20_000]);
    let server = serve([Reply::With(429, headers, body)]).await;
    let result = send(&development(), &server.url, PATIENCE).await;
    assert_eq!(end(&result), (Some(429), Some("status")));
    assert_eq!(result.retry_after, Some(Duration::from_secs(7)));
    assert!(result.response_body.starts_with("nope \u{FFFD}xx"));
    assert!(result.response_body.len() <= super::KEPT_RESPONSE_BYTES + 2);
}

#[tokio::test]
async fn what_must_not_leave_stays() {
    let server = serve([Reply::Json(200, "{}".into())]).await;
    let strict = WebhookSender::new(&Egress::new(false)).expect("client");
    let local = server.url.replace("127.0.0.1", "localhost").replace("http:", "https:");
    for url in ["nonsense", &server.url, &local, "https://10.0.0.1/", "https://u:p@example.com/"] {
        let result = send(&strict, url, PATIENCE).await;
        assert_eq!(end(&result), (None, Some("blocked")), "{url}");
        assert_eq!(result.request_headers, [], "{url}");
    }
    let sender = development();
    for (id, texts) in [("m", &[][..]), ("m", &[SECRET, "whsec_"]), ("m.1", &[SECRET])] {
        let secrets = secrets(texts);
        let url = server.url.as_str();
        let message = Message { url, id, body: Bytes::new(), secrets: &secrets, headers: &[] };
        let result = sender.attempt(&message, PATIENCE).await;
        assert_eq!(end(&result), (None, Some("unsigned")), "{texts:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn attempts_share_a_kept_connection_unless_too_many_lie_unused() {
    let server = serve([Reply::Kept("fine".into())]).await;
    let sender = development();
    for _ in 0..10 {
        assert_eq!(end(&send(&sender.clone(), &server.url, PATIENCE).await), (Some(200), None));
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 10));
    let crowd = sender.crowd();
    let result = send(&sender, &server.url, PATIENCE).await;
    assert_eq!(end(&result), (Some(200), None));
    assert!(result.request_headers.contains(&("connection".into(), "close".into())));
    server.ended(1).await;
    drop(crowd);
    let result = send(&sender, &server.url, PATIENCE).await;
    assert!(result.request_headers.iter().all(|(name, _)| name != "connection"));
    assert_eq!((server.connections(), server.requests().len()), (2, 12));
}

/// A server that was seen to get one request on one connection.
fn once(server: &Canned) {
    assert_eq!((server.connections(), server.requests().len()), (1, 1), "sent once");
}
