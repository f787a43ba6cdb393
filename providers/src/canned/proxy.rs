//! A small real proxy: `CONNECT`, whoever asked for which address, to one place.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// The running proxy; stops with the test's runtime.
pub(crate) struct CannedProxy {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl CannedProxy {
    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Their first lines.
    pub(crate) fn targets(&self) -> Vec<String> {
        let first = |head: &String| head.lines().next().unwrap_or_default().to_owned();
        self.heads().iter().map(first).collect()
    }
}

/// Answers the n-th connection with the n-th answer, later ones with the last; after one that
/// begins with `HTTP/1.1 200` it leads to `port` on this machine.
pub(crate) async fn run(tls: Option<TlsAcceptor>, answers: &[&str], port: u16) -> CannedProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let proxy =
        CannedProxy { port: listener.local_addr().expect("bound").port(), heads: Arc::default() };
    let heads = Arc::clone(&proxy.heads);
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (tls, heads) = (tls.clone(), Arc::clone(&heads));
            let answer = answers[turn.min(answers.len() - 1)].clone();
            tokio::spawn(async move {
                // Either side may leave at any moment.
                let _ = match tls {
                    None => tunnel(stream, &answer, port, &heads).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => tunnel(stream, &answer, port, &heads).await,
                        Err(error) => Err(error),
                    },
                };
            });
        }
    });
    proxy
}

async fn tunnel(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &str,
    port: u16,
    heads: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    if answer.starts_with("HTTP/1.1 200") {
        let mut target = TcpStream::connect(("127.0.0.1", port)).await?;
        copy_bidirectional(&mut stream, &mut target).await?;
    }
    Ok(())
}
