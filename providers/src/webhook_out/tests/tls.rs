use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{BRIEF, PATIENCE, end, send};
use crate::{
    canned::{
        Reply,
        names::{Answer, Names},
        serve, serve_tls,
        tls::{self, NAME},
    },
    egress::Egress,
    webhook_out::WebhookSender,
};

const HERE: Answer = &["127.0.0.1"];

fn egress() -> Egress {
    let names = Names::new([(NAME, vec![HERE]), ("other.test", vec![HERE])]);
    Egress::asking(true, &Arc::new(names))
}

fn sender() -> WebhookSender {
    WebhookSender::new(&egress()).expect("client")
}

fn fine() -> Reply {
    Reply::Kept("{}".into())
}

#[tokio::test]
async fn a_trusted_receiver_is_sent_to_on_a_kept_connection() {
    let server = serve_tls(tls::good(), [fine()]).await;
    let sender = sender();
    for _ in 0..3 {
        let result = send(&sender, &format!("https://{NAME}:{}/", server.port), PATIENCE).await;
        assert_eq!(end(&result), (Some(200), None));
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 3));
}

#[tokio::test]
async fn certificates_that_are_not_to_be_trusted_get_nothing() {
    let cases: [(TlsAcceptor, &str, WebhookSender); 3] = [
        (tls::expired(), NAME, sender()),
        (tls::good(), "other.test", sender()),
        // Without the tests' authority.
        (tls::good(), "127.0.0.1", WebhookSender::new(&Egress::new(true)).expect("client")),
    ];
    for (acceptor, host, sender) in cases {
        let server = serve_tls(acceptor, [fine()]).await;
        let result = send(&sender, &format!("https://{host}:{}/", server.port), PATIENCE).await;
        assert_eq!(end(&result), (None, Some("tls")), "{host}");
        assert_eq!((server.connections(), server.requests().len()), (1, 0), "{host}");
    }
}

/// In TLS 1.3 it is after its handshake that the client learns of it.
#[tokio::test]
async fn a_receiver_that_asks_for_our_certificate_is_a_failure_of_tls() {
    let server = serve_tls(tls::asking(), [fine()]).await;
    let result = send(&sender(), &format!("https://{NAME}:{}/", server.port), PATIENCE).await;
    assert_eq!(end(&result), (None, Some("tls")));
    assert_eq!((server.connections(), server.requests().len()), (1, 0));
}

#[tokio::test]
async fn plain_http_on_the_port_is_a_failure_of_tls() {
    let server = serve([fine()]).await;
    let result = send(&sender(), &format!("https://{NAME}:{}/", server.port), PATIENCE).await;
    assert_eq!(end(&result), (None, Some("tls")));
    assert_eq!((server.connections(), server.requests().len()), (1, 0));
}

#[tokio::test]
async fn a_connection_that_ends_within_the_handshake_is_a_failure_of_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let closing = tokio::spawn(async move {
        for reset in [false, true] {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.readable().await.expect("a hello");
            if reset {
                stream.set_zero_linger().expect("a socket");
            }
        }
    });
    let sender = sender();
    for _ in 0..2 {
        let result = send(&sender, &format!("https://{NAME}:{port}/"), PATIENCE).await;
        assert_eq!(end(&result), (None, Some("tls")));
    }
    closing.await.expect("both were seen");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_left_after_the_time_for_connections() {
    let server = serve([Reply::Silent]).await;
    let url = format!("https://{NAME}:{}/", server.port);
    let connects_briefly = egress().within(Duration::from_millis(200));
    let connects_briefly = WebhookSender::new(&connects_briefly).expect("client");
    let result = send(&connects_briefly, &url, PATIENCE).await;
    assert_eq!(end(&result), (None, Some("timeout")));
    assert!(result.latency < PATIENCE, "not after the time for everything");
    let result = send(&sender(), &url, BRIEF).await;
    assert_eq!(end(&result), (None, Some("timeout")));
    server.ended(2).await;
    assert_eq!((server.connections(), server.requests().len()), (2, 0));
}

#[tokio::test]
async fn endless_answers_are_bounded_within_tls_too() {
    let first = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
    let server = serve_tls(tls::good(), [Reply::Flood(first, b"x".to_vec())]).await;
    let result = send(&sender(), &format!("https://{NAME}:{}/", server.port), PATIENCE).await;
    assert_eq!(end(&result), (Some(200), Some("too-large")));
    server.ended(1).await;
    assert!(server.sent() < 64 * 1024 * 1024, "{}", server.sent());
}
