//! A receiver that answers by the byte, also within TLS: what no server of ours would say.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// The running receiver; ends with its test's runtime.
pub(super) struct Receiver {
    /// Where it listens, on 127.0.0.1.
    pub(super) port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Receiver {
    /// Answers the n-th request with the n-th answer, later ones with the last.
    pub(super) async fn plain(answers: &'static [&'static str]) -> Self {
        Self::start(None, answers).await
    }

    /// The same within TLS.
    pub(super) async fn within(tls: TlsAcceptor, answers: &'static [&'static str]) -> Self {
        Self::start(Some(tls), answers).await
    }

    /// Connections so far, whatever came on them.
    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    async fn start(tls: Option<TlsAcceptor>, answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Seen::default());
        let receiver = Self { port, seen: seen.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (tls, seen) = (tls.clone(), seen.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, answers, &seen).await,
                        Some(tls) => answer(tls.accept(stream).await?, answers, &seen).await,
                    }
                });
            }
        });
        receiver
    }
}

/// Answers one request and closes the connection.
async fn answer<S>(mut stream: S, answers: &[&str], seen: &Seen) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A body is an object, and nothing else of a request ends like one.
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let turn = seen.requests.fetch_add(1, Ordering::SeqCst);
    stream.write_all(answers[turn.min(answers.len() - 1)].as_bytes()).await?;
    stream.shutdown().await
}
