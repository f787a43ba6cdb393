use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method};
use url::Url;

use super::{client, post};
use crate::{
    canned::{
        Reply,
        names::{Answer, Names},
        serve, serve_tls,
        tls::{self, NAME},
    },
    egress::{Client, Code, Egress},
};

fn development() -> Client {
    client(&Egress::asking(true, &Arc::new(Names::default())))
}

/// One exchange to its end.
async fn whole(client: &Client, url: &str) -> Bytes {
    let url = Url::parse(url).expect("a URL");
    let sent = client.send(Method::POST, &url, HeaderMap::new(), Bytes::from_static(b"{}")).await;
    sent.expect("an answer").into_body().collect().await.expect("a body").to_bytes()
}

#[tokio::test]
async fn a_connection_is_kept_and_a_few_of_many() {
    let server = serve([Reply::Kept("fine".into())]).await;
    let client = development();
    for _ in 0..10 {
        assert_eq!(whole(&client, &server.url).await, "fine");
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 10));
    join_all((0..30).map(|_| whole(&client, &server.url))).await;
    assert_eq!(server.requests().len(), 40);
    // All but four are closed.
    server.ended(server.connections().saturating_sub(4)).await;
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_replaced() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine".to_vec();
    let server = serve([Reply::Raw(answer), Reply::Kept("again".into())]).await;
    let client = development();
    assert_eq!(whole(&client, &server.url).await, "fine");
    server.ended(1).await;
    // Who sends before it has heard of the end gets no answer: nothing is sent twice in hiding.
    while client.unused() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(whole(&client, &server.url).await, "again");
    assert_eq!((server.connections(), server.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_connection_that_is_old_is_not_used_again_and_the_name_is_judged_anew() {
    let server = serve_tls(tls::good(), [Reply::Kept("fine".into())]).await;
    let answers: Vec<Answer> = vec![&["127.0.0.1"], &["127.0.0.1"], &["10.0.0.1"]];
    let names = Arc::new(Names::new([(NAME, answers)]));
    let client = client(&Egress::asking(true, &names).keeping(Duration::ZERO));
    let url = format!("https://{NAME}:{}/", server.port);
    assert_eq!(whole(&client, &url).await, "fine");
    assert_eq!(whole(&client, &url).await, "fine");
    assert_eq!((server.connections(), names.asked().len()), (2, 2));
    assert_eq!(post(&client, &url).await, Err(Code::Blocked));
    assert_eq!((server.connections(), server.requests().len()), (2, 2));
}

#[tokio::test]
async fn connections_that_lie_unused_are_counted() {
    let server = serve([Reply::Kept("fine".into())]).await;
    let client = development();
    assert!(!client.is_crowded());
    let crowd = client.crowd();
    assert!(client.is_crowded());
    let busy = client.busy();
    assert!(!client.is_crowded(), "one of them is at work");
    drop(busy);
    assert!(client.is_crowded());
    drop(crowd);
    assert!(!client.is_crowded());
    whole(&client, &server.url).await;
    assert_eq!(client.unused(), 1);
    drop(client);
    server.ended(1).await;
}
