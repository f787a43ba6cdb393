//! What customers' addresses are reached through, where the operator has a proxy.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use postcall::dev::fakes::{Filter, Kind};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::made::PATIENCE;
use crate::harness::{
    Options, World,
    calls::{fresh_id, report_with, step},
    wait::until,
};

/// A proxy that knows `CONNECT` and nothing else; ends with its test's runtime.
struct Proxy {
    address: SocketAddr,
    room: Arc<Room>,
}

#[derive(Default)]
struct Room {
    /// The heads of all requests.
    heads: Mutex<Vec<String>>,
    /// The first line of what went through each tunnel.
    lines: Mutex<Vec<String>>,
    refuses: AtomicBool,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let room = Arc::new(Room::default());
        let accepting = room.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(tunnel(client, accepting.clone()));
            }
        });
        Self { address, room }
    }

    /// From now on it opens no tunnel.
    fn refuse(&self) {
        self.room.refuses.store(true, Ordering::SeqCst);
    }

    fn heads(&self) -> Vec<String> {
        self.room.heads.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.room.lines.lock().unwrap().clone()
    }
}

async fn tunnel(mut client: TcpStream, room: Arc<Room>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    room.heads.lock().unwrap().push(head.clone());
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(target) = target.filter(|_| !room.refuses.load(Ordering::SeqCst)) else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    };
    let Ok(mut server) = TcpStream::connect(target).await else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    };
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(client.read_u8().await?);
    }
    room.lines.lock().unwrap().push(String::from_utf8_lossy(&line).trim_end().to_owned());
    server.write_all(&line).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_and_recordings_go_out_through_the_proxy_and_nothing_else_does() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let proxy = Proxy::start().await;
    let url = format!("http://postcall:hush-0815@{}", proxy.address);
    world.start_worker(&[("POSTCALL_EGRESS_PROXY", url)]).await;
    let id = fresh_id();
    let port = world.fakes.url().rsplit(':').next().unwrap().to_owned();
    // Another name of this machine than the providers' own, which are not reached through it.
    let recording = format!("http://localhost:{port}/retell/{id}.wav");
    let fields = json!({ "artifact": {}, "recordingUrl": recording });
    assert_eq!(world.post(report_with(&id, &fields)).await, 200);
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "recording")["status"], "completed", "{call}");
    let (_, state, attempts) = world.delivery_settles().await;
    assert_eq!((state.as_str(), attempts), ("delivered", 1));

    let mut lines = proxy.lines();
    lines.sort_unstable();
    let expected = [format!("GET /retell/{id}.wav HTTP/1.1"), "POST /hooks/demo HTTP/1.1".into()];
    assert_eq!(lines, expected);
    for head in proxy.heads() {
        // Addresses that were looked up and checked here, never a name.
        let (target, rest) = head.split_once(" HTTP/1.1\r\n").unwrap();
        let target: SocketAddr = target.strip_prefix("CONNECT ").unwrap().parse().unwrap();
        assert!(target.ip().is_loopback() && target.port().to_string() == port, "{head}");
        // printf 'postcall:hush-0815' | base64
        let proof = "proxy-authorization: Basic cG9zdGNhbGw6aHVzaC0wODE1\r\n";
        assert!(rest.contains(proof), "{head}");
    }
    // The proxy is told who we are, and nobody behind it.
    for kind in [Kind::Webhook, Kind::Recording] {
        let filter = Filter { kind: Some(kind), ..Filter::default() };
        let effects = world.fakes.effects().list(&filter);
        assert_eq!(effects.len(), 1, "{kind:?}");
        let request = serde_json::to_value(&effects[0]).unwrap()["request"].clone();
        assert!(request["headers"]["proxy-authorization"].is_null(), "{request}");
    }
    assert!(!world.log("worker").contains("hush-0815"));

    proxy.refuse();
    let asked = proxy.heads().len();
    // Another name than the one to which a tunnel was kept.
    let refused = format!("url = 'http://localhost:{port}/hooks/refused'");
    let refused = world.open_endpoint("refused", &refused).await;
    let private = world.open_endpoint("private", "url = 'https://10.1.2.3/'").await;
    for endpoint in [refused, private] {
        let event = world.enqueue(endpoint, None, 1).await[0];
        let first = until("the attempt is in the log", PATIENCE, || async {
            world.logged(endpoint, event).await.into_iter().next()
        })
        .await;
        assert_eq!(first, (1, Some("blocked".to_owned()), None));
    }
    assert!(world.reached("refused").is_empty(), "there is no way beside the proxy");
    let heads = proxy.heads();
    assert!(heads.len() > asked, "it was asked: {heads:?}");
    assert!(!heads.concat().contains("10.1.2.3"), "and not for what is private: {heads:?}");
}
