//! The operator's proxy between us and the world.

use std::{fmt, net::SocketAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::ClientConfig;

use super::{
    Code, Failure,
    connect::{secure, to_trusted},
    stream::Io,
};
use crate::http::{self, CONNECT_TIMEOUT, SetupError};

/// Largest head of a proxy's answer, in bytes.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Where the proxy is and how it knows us.
pub(super) struct Proxy {
    is_tls: bool,
    host: String,
    port: u16,
    /// `user:password` in base64.
    credentials: Option<SecretString>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

/// The proxy answered, but not by a tunnel.
#[derive(Debug, thiserror::Error)]
enum NoTunnel {
    #[error("the proxy answered {0}")]
    Status(u16),
    #[error("the proxy's answer is not HTTP")]
    NotHttp,
}

impl Proxy {
    pub(super) fn new(url: &str) -> Result<Self, SetupError> {
        const WHAT: &str = "the egress proxy";
        let url = http::base_url(WHAT, url)?;
        let is_tls = url.scheme() == "https";
        let host = url.host_str().ok_or(SetupError::BaseUrl(WHAT))?.to_owned();
        let port = url.port_or_known_default().ok_or(SetupError::BaseUrl(WHAT))?;
        let user = decoded(url.username());
        let password = decoded(url.password().unwrap_or_default());
        let is_known = !user.is_empty() || !password.is_empty();
        let credentials = is_known
            .then(|| SecretString::from(STANDARD.encode([&user[..], b":", &password].concat())));
        Ok(Self { is_tls, host, port, credentials })
    }

    /// A tunnel to the first address to which the proxy can connect.
    pub(super) async fn connect(
        &self,
        addresses: &[SocketAddr],
        tls: &Arc<ClientConfig>,
    ) -> Result<Box<dyn Io>, Failure> {
        let mut failure = Failure::new(Code::Dns, "no address to connect to");
        for address in addresses {
            let stream = to_trusted(&self.host, self.port, CONNECT_TIMEOUT).await?;
            let mut io: Box<dyn Io> = Box::new(stream);
            if self.is_tls {
                let name = self.host.trim_matches(['[', ']']);
                // Our own trouble, not that of the receiver's TLS.
                let secured = secure(name, io, tls).await;
                io = secured.map_err(|failure| Failure::new(Code::Connect, failure))?;
            }
            match self.tunnel(&mut io, *address).await {
                Ok(200..=299) => return Ok(io),
                // Its rules, or its opinion of us, which will be the same of the next address.
                Ok(403) => return Err(Failure::new(Code::Blocked, NoTunnel::Status(403))),
                Ok(status @ 400..=499) => {
                    return Err(Failure::new(Code::Connect, NoTunnel::Status(status)));
                }
                Ok(status) => failure = Failure::new(Code::Connect, NoTunnel::Status(status)),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Asks for a tunnel; gives back the status of the answer.
    async fn tunnel(&self, io: &mut Box<dyn Io>, address: SocketAddr) -> Result<u16, Failure> {
        let mut request = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n");
        if let Some(credentials) = &self.credentials {
            let credentials = credentials.expose_secret();
            request.push_str(&format!("proxy-authorization: Basic {credentials}\r\n"));
        }
        request.push_str("\r\n");
        io.write_all(request.as_bytes()).await.map_err(Failure::of)?;
        io.flush().await.map_err(Failure::of)?;
        let mut head = Vec::with_capacity(512);
        let not_http = || Failure::new(Code::Connect, NoTunnel::NotHttp);
        while !head.ends_with(b"\r\n\r\n") {
            // Byte by byte: what follows the head is the receiver's. A head has a hundred bytes.
            head.push(io.read_u8().await.map_err(Failure::of)?);
            if head.len() > MAX_HEAD_BYTES {
                return Err(not_http());
            }
        }
        status(&head).ok_or_else(not_http)
    }
}

/// Of `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> Option<u16> {
    let head = String::from_utf8_lossy(head);
    let mut words = head.lines().next()?.splitn(3, ' ');
    words.next().filter(|version| matches!(*version, "HTTP/1.1" | "HTTP/1.0"))?;
    let status = words.next().filter(|digits| digits.len() == 3)?.parse().ok()?;
    (100..=599).contains(&status).then_some(status)
}

/// Percent-decoded, as user and password stand in a URL.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let mut byte = [0];
        let digits = after.get(..2).filter(|_| *first == b'%');
        if digits.is_some_and(|digits| hex::decode_to_slice(digits, &mut byte).is_ok()) {
            bytes.push(byte[0]);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}
