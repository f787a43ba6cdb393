//! What a scripted server says, also what no honest one would.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use super::Seen;

/// First byte of a client that believes it speaks TLS.
const TLS_HANDSHAKE: u8 = 22;
/// Between two bytes of a drip.
const DRIP: Duration = Duration::from_millis(20);

/// One scripted answer. Every answer but [`Reply::Kept`] closes its connection.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status and JSON body.
    Json(u16, String),
    /// Status, extra header lines (each ending in CRLF) and body.
    With(u16, String, Vec<u8>),
    /// 200 with this body to every request, on a connection that stays.
    Kept(String),
    /// 302 to a location.
    Redirect(String),
    /// Exactly these bytes.
    Raw(Vec<u8>),
    /// Headers that promise 1,000 bytes, then `body`, then the end.
    Short(Vec<u8>),
    /// The same, but the end never comes.
    Stall(Vec<u8>),
    /// 200 with a body that never ends.
    Endless,
    /// The first bytes, and then the second again and again.
    Flood(Vec<u8>, Vec<u8>),
    /// The first bytes, and then the second byte by byte, again and again, with pauses.
    Drip(Vec<u8>, Vec<u8>),
    /// Takes the request and never answers.
    Hang,
    /// Takes the request and closes the connection.
    Cut,
    /// Takes the request and resets the connection.
    Reset,
    /// Says these bytes before it has read anything, and reads no answer out of what comes.
    First(Vec<u8>),
    /// Says these bytes when it has read the beginning of a request.
    Early(Vec<u8>),
    /// Accepts the connection and never says anything, not even for TLS.
    Silent,
}

/// Answers one connection.
pub(super) async fn answer(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    reply: Reply,
    seen: &Arc<Seen>,
) -> io::Result<()> {
    if matches!(reply, Reply::Silent) {
        return until_left(stream).await;
    }
    if matches!(reply, Reply::Reset) {
        stream.set_zero_linger()?;
    }
    match tls {
        None => speak(stream, reply, seen).await,
        Some(tls) => speak(tls.accept(stream).await?, reply, seen).await,
    }
}

async fn speak<S>(mut stream: S, reply: Reply, seen: &Seen) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    if let Reply::First(bytes) | Reply::Early(bytes) = &reply {
        if matches!(reply, Reply::Early(_)) {
            stream.read_u8().await?;
        }
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        // A close with bytes unread would be a reset, which may overtake what was said.
        return until_left(stream).await;
    }
    seen.request(read_request(&mut stream).await?);
    match reply {
        Reply::Json(status, body) => {
            write(&mut stream, status, "content-type: application/json\r\n", body.as_bytes()).await
        }
        Reply::With(status, headers, body) => write(&mut stream, status, &headers, &body).await,
        Reply::Kept(body) => loop {
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            seen.request(read_request(&mut stream).await?);
        },
        Reply::Redirect(to) => {
            write(&mut stream, 302, &format!("location: {to}\r\n"), b"moved").await
        }
        Reply::Raw(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Reply::Short(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
        Reply::Stall(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
            stream.write_all(&body).await?;
            until_left(stream).await
        }
        Reply::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            flood(&mut stream, head, &[b'x'; 4096], seen).await
        }
        Reply::Flood(first, again) => flood(&mut stream, &first, &again, seen).await,
        Reply::Drip(first, again) => drip(&mut stream, &first, &again).await,
        Reply::Hang => until_left(stream).await,
        Reply::Cut | Reply::Reset => Ok(()),
        Reply::First(_) | Reply::Early(_) | Reply::Silent => unreachable!("answered before"),
    }
}

async fn flood<S>(stream: &mut S, first: &[u8], again: &[u8], seen: &Seen) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(first).await?;
    let piece = again.repeat(4096_usize.div_ceil(again.len()));
    loop {
        stream.write_all(&piece).await?;
        seen.count(&seen.sent, piece.len());
    }
}

async fn drip<S>(stream: &mut S, first: &[u8], again: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(first).await?;
    loop {
        for byte in again {
            stream.write_u8(*byte).await?;
            stream.flush().await?;
            tokio::time::sleep(DRIP).await;
        }
    }
}

/// Reads and forgets until the client goes.
async fn until_left(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    status: u16,
    headers: &str,
    body: &[u8],
) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

async fn read_request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes[0] == TLS_HANDSHAKE {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
            return Err(io::ErrorKind::InvalidData.into());
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
