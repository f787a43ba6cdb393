//! A real HTTP server on a free port that answers from a script, for the tests of the clients.

pub(crate) mod names;
pub(crate) mod proxy;
mod reply;
pub(crate) mod tls;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpListener, sync::Notify};
use tokio_rustls::TlsAcceptor;

pub(crate) use reply::Reply;

/// For what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running server; stops with the test's runtime.
pub(crate) struct Canned {
    /// `http://127.0.0.1:<port>`; `https:` with TLS.
    pub(crate) url: String,
    /// Where it listens.
    pub(crate) port: u16,
    seen: Arc<Seen>,
}

/// What the server saw, whoever asks.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    ended: AtomicUsize,
    sent: AtomicUsize,
    changed: Notify,
}

impl Seen {
    fn count(&self, counter: &AtomicUsize, more: usize) {
        counter.fetch_add(more, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    fn request(&self, text: String) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

impl fmt::Debug for Canned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canned").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Canned {
    /// Every request so far: head and body as text.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections accepted so far, whatever came on them.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Bytes of endless answers that the system took, its buffers included.
    pub(crate) fn sent(&self) -> usize {
        self.seen.sent.load(Ordering::SeqCst)
    }

    /// Waits until that many connections have come to their end, from whichever side.
    pub(crate) async fn ended(&self, count: usize) {
        let all = async {
            loop {
                let changed = self.seen.changed.notified();
                if self.seen.ended.load(Ordering::SeqCst) >= count {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("connections that end");
    }
}

/// Answers the n-th connection with the n-th reply, later ones with the last.
pub(crate) async fn serve(replies: impl IntoIterator<Item = Reply>) -> Canned {
    listen(replies, None).await
}

/// The same within TLS.
pub(crate) async fn serve_tls(
    tls: TlsAcceptor,
    replies: impl IntoIterator<Item = Reply>,
) -> Canned {
    listen(replies, Some(tls)).await
}

async fn listen(replies: impl IntoIterator<Item = Reply>, tls: Option<TlsAcceptor>) -> Canned {
    let replies: Vec<Reply> = replies.into_iter().collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let seen = Arc::new(Seen::default());
    let canned = Canned { url: format!("{scheme}://127.0.0.1:{port}"), port, seen };
    let seen = Arc::clone(&canned.seen);
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            seen.count(&seen.connections, 1);
            let reply = replies[turn.min(replies.len() - 1)].clone();
            let (seen, tls) = (Arc::clone(&seen), tls.clone());
            tokio::spawn(async move {
                // The client may leave at any moment; that is what some tests are about.
                let _ = reply::answer(stream, tls, reply, &seen).await;
                seen.count(&seen.ended, 1);
            });
        }
    });
    canned
}
