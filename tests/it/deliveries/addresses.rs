//! URLs that lead to this machine or to the network behind it: refused, in the log, and never connected.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::net::TcpListener;
use uuid::Uuid;

use super::made::PATIENCE;
use crate::harness::{Options, World, wait::until};

/// A server at every address of this machine, and how many connections it has seen.
struct Everywhere {
    port: u16,
    connected: Arc<AtomicUsize>,
}

impl Everywhere {
    async fn start() -> Self {
        let four = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = four.local_addr().unwrap().port();
        let connected = Arc::new(AtomicUsize::new(0));
        // Not every machine has the newer protocol.
        let six = socket_of_six(port);
        for listener in [Some(four), six].into_iter().flatten() {
            let connected = connected.clone();
            tokio::spawn(async move {
                while let Ok(_connection) = listener.accept().await {
                    connected.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { port, connected }
    }

    fn seen(&self) -> usize {
        self.connected.load(Ordering::SeqCst)
    }
}

fn socket_of_six(port: u16) -> Option<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v6().ok()?;
    socket.bind(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))).ok()?;
    socket.listen(16).ok()
}

/// The address that this machine has in its own network; a socket without traffic tells it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|own| !own.is_loopback())
}

/// How the log calls what came of the first attempt at an endpoint.
async fn error(world: &World, endpoint: Uuid) -> Option<String> {
    let sql = "select error from webhook_logs where webhook_id = $1 and attempt_number = 1";
    until("the attempt is in the log", PATIENCE, || async {
        Some(world.db.query_opt(sql, &[&endpoint]).await.unwrap()?.get(0))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_an_address_of_this_machine_is_connected() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let server = Everywhere::start().await;
    let mut hosts: Vec<String> = [
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "a.localhost",
        "ip6-localhost",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fc00::1]",
        "[2001:db8::1]",
        "[ff02::1]",
    ]
    .map(str::to_owned)
    .to_vec();
    hosts.extend(own_address().map(|own| own.to_string()));
    let mut endpoints = Vec::new();
    for scheme in ["https", "http"] {
        for host in &hosts {
            let url = format!("{scheme}://{host}:{}/", server.port);
            let endpoint = world.open_endpoint("any", &format!("url = '{url}'")).await;
            world.enqueue(endpoint, None, 1).await;
            endpoints.push((endpoint, url));
        }
    }
    world.start_worker(&[("POSTCALL_ALLOW_LOOPBACK", "0".to_owned())]).await;
    for (endpoint, url) in &endpoints {
        let error = error(&world, *endpoint).await;
        // A name that nobody has is no address either.
        let refused = ["blocked", "dns"].contains(&error.as_deref().unwrap_or("delivered"));
        assert!(refused, "{url}: {error:?}");
    }
    assert_eq!(server.seen(), 0, "somebody connected");

    // The same server is reached where that is allowed: its silence above means something.
    world.kill_worker().await;
    world.start_worker(&[]).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let allowed = world.open_endpoint("allowed", &format!("url = '{url}'")).await;
    world.enqueue(allowed, None, 1).await;
    assert_ne!(error(&world, allowed).await.as_deref(), Some("blocked"));
    assert!(server.seen() > 0);
}
