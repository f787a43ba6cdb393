use std::{sync::Arc, time::Duration};

use hyper::StatusCode;

use super::{client, post};
use crate::{
    canned::{
        Canned, Reply,
        names::{Answer, Names},
        proxy::{self, CannedProxy},
        serve, serve_tls,
        tls::{self, NAME},
    },
    egress::{Code, Egress},
};

const TUNNEL: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

async fn receiver() -> Canned {
    serve_tls(tls::good(), [Reply::Kept("{}".into())]).await
}

/// Strict, so that whatever reaches the receiver on this machine went through the proxy.
fn through(proxy: &CannedProxy, answers: &[Answer]) -> (Egress, Arc<Names>) {
    let names = Arc::new(Names::new([(NAME, answers.to_vec())]));
    let url = format!("http://127.0.0.1:{}", proxy.port);
    (Egress::asking(false, &names).with_proxy(&url).expect("a proxy"), names)
}

#[tokio::test]
async fn the_proxy_is_told_the_checked_address_and_the_receiver_the_name() {
    let receiver = receiver().await;
    let proxy = proxy::run(None, &[TUNNEL], receiver.port).await;
    let (egress, names) = through(&proxy, &[&["8.8.8.8"]]);
    let client = client(&egress);
    let url = format!("https://{NAME}/hook");
    for _ in 0..3 {
        assert_eq!(post(&client, &url).await, Ok(StatusCode::OK));
    }
    assert_eq!(proxy.targets(), ["CONNECT 8.8.8.8:443 HTTP/1.1"], "one kept connection");
    assert_eq!(names.asked(), [NAME]);
    assert_eq!(receiver.requests().len(), 3);
    let request = receiver.requests().remove(0);
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: receiver.test\r\n"), "{request}");
    assert!(!request.contains("8.8.8.8"), "{request}");
}

#[tokio::test]
async fn names_and_numbers_that_are_not_public_never_reach_the_proxy() {
    let receiver = receiver().await;
    let proxy = proxy::run(None, &[TUNNEL], receiver.port).await;
    let (egress, _) = through(&proxy, &[&["8.8.8.8", "10.0.0.1"], &["169.254.169.254"]]);
    let client = client(&egress);
    for url in [
        "https://receiver.test/",
        "https://receiver.test/",
        "https://169.254.169.254/",
        "https://[::ffff:127.0.0.1]/",
        "http://receiver.test/",
    ] {
        assert_eq!(post(&client, url).await, Err(Code::Blocked), "{url}");
    }
    assert_eq!(proxy.heads(), Vec::<String>::new());
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_is_seen_at_the_next_connection() {
    let reply = Reply::With(200, String::new(), Vec::new());
    let receiver = serve_tls(tls::good(), [reply]).await;
    let proxy = proxy::run(None, &[TUNNEL], receiver.port).await;
    let (egress, names) = through(&proxy, &[&["8.8.8.8"], &["127.0.0.1"]]);
    let client = client(&egress);
    let url = format!("https://{NAME}:8443/");
    assert_eq!(post(&client, &url).await, Ok(StatusCode::OK));
    assert_eq!(names.asked().len(), 1, "no look-up between check and connection");
    assert_eq!(post(&client, &url).await, Err(Code::Blocked));
    assert_eq!(proxy.targets(), ["CONNECT 8.8.8.8:8443 HTTP/1.1"]);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn v6_addresses_stand_in_brackets_and_the_next_address_is_tried() {
    let receiver = receiver().await;
    let answers = &["HTTP/1.1 502 Bad gateway\r\ncontent-length: 0\r\n\r\n", TUNNEL];
    let proxy = proxy::run(None, answers, receiver.port).await;
    let (egress, _) = through(&proxy, &[&["2606:4700::1111", "8.8.8.8"]]);
    assert_eq!(post(&client(&egress), &format!("https://{NAME}/")).await, Ok(StatusCode::OK));
    let expected = ["CONNECT [2606:4700::1111]:443 HTTP/1.1", "CONNECT 8.8.8.8:443 HTTP/1.1"];
    assert_eq!(proxy.targets(), expected);
}

#[tokio::test]
async fn refusals_of_the_proxy_have_their_codes() {
    let endless = format!("HTTP/1.1 204 OK\r\nx: {}", "y".repeat(10_000));
    let many: Answer = &["8.8.8.8"; 12];
    for (answer, code, connections) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Code::Blocked, 1),
        ("HTTP/1.1 407 Who are you\r\n\r\n", Code::Connect, 1),
        ("HTTP/1.1 503 Not now\r\n\r\n", Code::Connect, 8),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\n\r\n", Code::Connect, 8),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", Code::Connect, 8),
        ("HTTP/2 200\r\n\r\n", Code::Connect, 8),
        ("HTTP/1.1 99999 OK\r\n\r\n", Code::Connect, 8),
        (endless.as_str(), Code::Connect, 8),
        ("", Code::Connect, 8),
    ] {
        let receiver = receiver().await;
        let proxy = proxy::run(None, &[answer], receiver.port).await;
        let (egress, _) = through(&proxy, &[many]);
        let result = post(&client(&egress), &format!("https://{NAME}/")).await;
        assert_eq!(result, Err(code), "{answer}");
        assert_eq!(proxy.heads().len(), connections, "{answer}");
        assert_eq!(receiver.connections(), 0);
    }
}

#[tokio::test]
async fn a_proxy_that_is_silent_or_away_is_no_connection() {
    let silent = serve([Reply::Silent]).await;
    let names = Arc::new(Names::new([(NAME, vec![&["8.8.8.8"] as Answer])]));
    let egress = Egress::asking(false, &names).within(Duration::from_millis(200));
    let url = format!("https://{NAME}/");
    let waiting = egress.clone().with_proxy(&silent.url).expect("a proxy");
    assert_eq!(post(&client(&waiting), &url).await, Err(Code::Timeout));
    assert_eq!(silent.connections(), 1);
    let away = egress.with_proxy("http://127.0.0.1:1").expect("a proxy");
    assert_eq!(post(&client(&away), &url).await, Err(Code::Connect));
}

#[tokio::test]
async fn the_proxy_may_speak_tls_and_know_us() {
    let receiver = receiver().await;
    let proxy = proxy::run(Some(tls::good()), &[TUNNEL], receiver.port).await;
    let names = Arc::new(Names::new([(NAME, vec![&["8.8.8.8"] as Answer])]));
    let url = format!("https://post%40call:a%3Ab%25@127.0.0.1:{}", proxy.port);
    let egress = Egress::asking(false, &names).with_proxy(&url).expect("a proxy");
    assert_eq!(post(&client(&egress), &format!("https://{NAME}/")).await, Ok(StatusCode::OK));
    let head = proxy.heads().remove(0);
    // printf 'post@call:a:b%%' | base64
    assert!(head.contains("\r\nproxy-authorization: Basic cG9zdEBjYWxsOmE6YiU=\r\n"), "{head}");
    assert!(!receiver.requests().remove(0).contains("proxy-authorization"));
    assert!(!format!("{egress:?}").contains("a:b%"), "the password is in no log");
    let untrusted = proxy::run(Some(tls::expired()), &[TUNNEL], receiver.port).await;
    let url = format!("https://127.0.0.1:{}", untrusted.port);
    let egress = Egress::asking(false, &names).with_proxy(&url).expect("a proxy");
    let failed = post(&client(&egress), &format!("https://{NAME}/")).await;
    assert_eq!(failed, Err(Code::Connect), "the receiver's TLS is not to blame");
    assert_eq!((untrusted.heads().len(), receiver.connections()), (0, 1));
}

/// Whatever the proxy does, it cannot be the receiver.
#[tokio::test]
async fn a_proxy_that_leads_elsewhere_is_found_out_by_tls() {
    let receiver = receiver().await;
    let proxy = proxy::run(None, &[TUNNEL], receiver.port).await;
    let names = Arc::new(Names::new([("other.test", vec![&["8.8.8.8"] as Answer])]));
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let egress = Egress::asking(false, &names).with_proxy(&url).expect("a proxy");
    assert_eq!(post(&client(&egress), "https://other.test/").await, Err(Code::Tls));
    assert_eq!(receiver.requests(), Vec::<String>::new());
}

#[test]
fn only_http_urls_are_proxies_and_their_text_is_not_repeated() {
    for url in ["", "proxy.example:3128", "socks5://user:hush@proxy.example", "ftp://proxy.example"]
    {
        let error = Egress::new(false).with_proxy(url).expect_err("no proxy").to_string();
        assert!(error.contains("the egress proxy") && !error.contains("hush"), "{error}");
    }
}
