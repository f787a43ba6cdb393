//! A line that can be slow, between `serve` and a server.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// The running proxy; ends with its test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct TcpProxy {
    address: SocketAddr,
    line: Arc<Line>,
}

#[derive(Debug, Default)]
struct Line {
    target: Mutex<String>,
    /// Milliseconds that each piece of an answer takes.
    delay: AtomicU64,
    /// Pieces of answers that came late.
    delayed: AtomicU64,
}

impl TcpProxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let line = Arc::new(Line::default());
        let accepting = line.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, accepting.clone()));
            }
        });
        Self { address, line }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn lead_to(&self, target: String) {
        *self.line.target.lock().expect("not poisoned") = target;
    }

    /// From now on each piece of an answer takes so long.
    pub(crate) fn delay(&self, delay: Duration) {
        let milliseconds = delay.as_millis().try_into().expect("a short time");
        self.line.delay.store(milliseconds, Ordering::SeqCst);
    }

    /// How many pieces of answers came late so far.
    pub(crate) fn delayed(&self) -> u64 {
        self.line.delayed.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, line: Arc<Line>) -> io::Result<()> {
    let target = line.target.lock().expect("not poisoned").clone();
    let server = TcpStream::connect(target).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let back = async {
        let mut piece = vec![0; 16 * 1024];
        loop {
            let length = from_server.read(&mut piece).await?;
            if length == 0 {
                return to_client.shutdown().await;
            }
            let delay = line.delay.load(Ordering::SeqCst);
            if delay > 0 {
                sleep(Duration::from_millis(delay)).await;
                line.delayed.fetch_add(1, Ordering::SeqCst);
            }
            to_client.write_all(&piece[..length]).await?;
        }
    };
    tokio::try_join!(there, back).map(drop)
}
