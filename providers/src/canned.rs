//! A real HTTP server on a free port that answers from a script, for the tests of the clients.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// First byte of a client that believes it speaks TLS.
const TLS_HANDSHAKE: u8 = 22;

/// One scripted answer. Every answer closes its connection.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status and JSON body.
    Json(u16, String),
    /// Status, extra header lines (each ending in CRLF) and body.
    With(u16, String, Vec<u8>),
    /// 302 to a location.
    Redirect(String),
    /// Headers that promise 1,000 bytes, then `body`, then the end.
    Short(Vec<u8>),
    /// The same, but the end never comes.
    Stall(Vec<u8>),
    /// 200 with a body that never ends.
    Endless,
    /// Takes the request and never answers.
    Hang,
    /// Takes the request and closes the connection.
    Cut,
}

/// The running server; stops with the test's runtime.
pub(crate) struct Canned {
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// Every request so far: head and body as text.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers the n-th connection with the n-th reply, later ones with the last.
pub(crate) async fn serve(replies: impl IntoIterator<Item = Reply>) -> Canned {
    let replies: Vec<Reply> = replies.into_iter().collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&requests);
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            let reply = replies[turn.min(replies.len() - 1)].clone();
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                // The client may leave at any moment; that is what some tests are about.
                let _ = answer(stream, reply, &log).await;
            });
        }
    });
    Canned { url, requests }
}

async fn answer(
    mut stream: TcpStream,
    reply: Reply,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let request = read_request(&mut stream).await?;
    log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    match reply {
        Reply::Json(status, body) => {
            write(&mut stream, status, "content-type: application/json\r\n", body.as_bytes()).await
        }
        Reply::With(status, headers, body) => write(&mut stream, status, &headers, &body).await,
        Reply::Redirect(to) => {
            write(&mut stream, 302, &format!("location: {to}\r\n"), b"moved").await
        }
        Reply::Short(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
            stream.write_all(&body).await
        }
        Reply::Stall(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
            stream.write_all(&body).await?;
            std::future::pending().await
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
        Reply::Hang => std::future::pending().await,
        Reply::Cut => Ok(()),
    }
}

async fn write(
    stream: &mut TcpStream,
    status: u16,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if bytes[0] == TLS_HANDSHAKE {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().expect("a length"));
        if body.len() >= length {
            return Ok(text.into_owned());
        }
    }
}
