use std::io::Write;

use bytes::Bytes;
use secrecy::SecretString;

use super::{PATIENCE, SECRET, development, once, secrets, send, sent_header};
use crate::{
    canned::{Reply, serve},
    webhook_out::{KEPT_HEADER_BYTES, MASK, Message},
};

#[tokio::test]
async fn request_headers_are_logged_as_sent_and_the_endpoints_own_are_masked() {
    let server = serve([Reply::With(200, String::new(), Vec::new())]).await;
    let own = |name: &str, value: &str| (name.to_owned(), SecretString::from(value));
    let headers = [
        own("Authorization", "Bearer hush"),
        own("x-key", "hush too"),
        // Of a time before the rules, or written past the API.
        own("webhook-signature", "v1,forged"),
        own("Host", "metadata.test"),
        own("content-length", "0"),
        own("x-broken", "a\r\nx-injected: b"),
        own("bad name", "x"),
    ];
    let secrets = secrets(&[SECRET]);
    let body = Bytes::from_static(b"{}");
    let message =
        Message { url: &server.url, id: "msg_1", body, secrets: &secrets, headers: &headers };
    let result = development().attempt(&message, PATIENCE).await;
    assert_eq!(result.error_code, None);
    let request = server.requests().remove(0);
    let on_the_wire: Vec<(String, String)> = request
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_owned(), value.replace("Bearer hush", MASK)))
        .map(|(name, value)| (name, value.replace("hush too", MASK)))
        .collect();
    assert_eq!(result.request_headers, on_the_wire);
    let names: Vec<&str> = on_the_wire.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "host",
        "user-agent",
        "accept",
        "content-type",
        "content-length",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "authorization",
        "x-key",
    ];
    assert_eq!(names, expected);
    assert_eq!(sent_header(&request, "authorization"), "Bearer hush");
    assert!(!request.contains("forged") && !request.contains("injected"), "{request}");
    assert!(!format!("{result:?}").contains("hush"));
}

#[tokio::test]
async fn response_headers_are_kept_within_bounds() {
    let mut headers = "x-first: caf\u{e9}\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n".to_owned();
    headers.push_str(&format!("x-long: {}\r\nx-after: z\r\n", "é".repeat(KEPT_HEADER_BYTES)));
    let server = serve([Reply::With(500, headers, Vec::new())]).await;
    let result = send(&development(), &server.url, PATIENCE).await;
    assert_eq!(result.status, Some(500));
    let kept = &result.response_headers;
    let value = |name: &str| {
        let found = kept.iter().find(|(kept, _)| kept == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("x-first"), Some("café"));
    assert_eq!(kept.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    let long = value("x-long").expect("its beginning");
    assert!(long.len() > KEPT_HEADER_BYTES / 2 && long.chars().all(|one| one == 'é'));
    let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= KEPT_HEADER_BYTES, "{bytes}");
    once(&server);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced_in_headers() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: a\xFFb\r\n\r\n".to_vec();
    let server = serve([Reply::Raw(answer)]).await;
    let result = send(&development(), &server.url, PATIENCE).await;
    assert!(result.response_headers.contains(&("x".into(), "a\u{FFFD}b".into())));
}

#[tokio::test]
async fn nothing_is_unpacked_and_no_cookie_comes_back() {
    let mut bomb = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    bomb.write_all(&[0; 60_000]).expect("in memory");
    let headers = "content-encoding: gzip\r\nset-cookie: session=1\r\n".to_owned();
    let server = serve([Reply::With(200, headers, bomb)]).await;
    let sender = development();
    for _ in 0..2 {
        let result = send(&sender, &server.url, PATIENCE).await;
        assert_eq!(result.error_code, None);
        assert!(result.response_body.starts_with('\u{1F}'), "as it came");
    }
    for request in server.requests() {
        assert!(!request.contains("cookie") && !request.contains("accept-encoding"), "{request}");
    }
}
