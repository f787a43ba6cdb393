//! One attempt at one delivery.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Response,
    body::Incoming,
    header::{
        ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
    },
};
use secrecy::SecretString;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    headers::{self, MAX_HEADERS},
    sign::sign,
};
use crate::{
    egress::{Client, Code, Egress, Failure},
    http::{self, SetupError},
};

/// Largest response read, in bytes; nobody needs more to say that a message arrived.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// How much of a response is kept for the customer to look at, in bytes.
pub const KEPT_RESPONSE_BYTES: usize = 8 * 1024;
/// How much of a response's headers is kept, names and values together, in bytes.
pub const KEPT_HEADER_BYTES: usize = 8 * 1024;
/// What is logged in place of the values of an endpoint's own headers.
pub const MASK: &str = "***";
/// All that a receiver may send for one message, in bytes: head, body, and room for what surrounds
/// them, such as 1xx answers or the sizes of chunks.
const MAX_ANSWER_BYTES: usize = 2 * MAX_RESPONSE_BYTES;

/// What is to be delivered.
#[derive(Clone)]
pub struct Message<'a> {
    /// The endpoint.
    pub url: &'a str,
    /// `webhook-id`: the same for every attempt.
    pub id: &'a str,
    /// JSON, the same bytes for every attempt.
    pub body: Bytes,
    /// The current secret and, for a while, the one before; each signs.
    pub secrets: &'a [SecretString],
    /// The endpoint's own headers. What [`super::check_headers`] refuses is left out.
    pub headers: &'a [(String, SecretString)],
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptResult {
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Nothing for success (2xx, read whole), else one of
    ///
    /// - `blocked`: the guard, or the operator's proxy, refuses the URL or an address of its name;
    /// - `unsigned`: there is no usable secret or id, and nothing was sent;
    /// - `dns`: the name has no address, or no name server answered;
    /// - `connect`: no connection, a broken one, or an answer that is not HTTP/1 (also chunks with
    ///   more than 16 KiB of extensions or trailers);
    /// - `tls`: no TLS on the connection, or a certificate that is not trusted;
    /// - `timeout`: no connection in 5 s, look-up and TLS included, or no whole answer in the time of
    ///   the attempt;
    /// - `redirect`: 3xx, which is not followed;
    /// - `status`: any other status than 2xx;
    /// - `too-large`: a head above 32 KiB or of more than 100 headers, a body above
    ///   [`MAX_RESPONSE_BYTES`], or twice that with all around it, such as 1xx answers without end.
    ///
    /// Of several the first that shows: a refused status stays `status`, however long its body.
    pub error_code: Option<&'static str>,
    /// Headers as sent, or as they would have been had there been a connection; values of the
    /// endpoint's own as [`MASK`]. Empty if the message was refused before.
    pub request_headers: Vec<(String, String)>,
    /// Headers as received, at most [`KEPT_HEADER_BYTES`] bytes, without NUL; what is not UTF-8 is
    /// replaced.
    pub response_headers: Vec<(String, String)>,
    /// Beginning of the answer, at most [`KEPT_RESPONSE_BYTES`] bytes before replacement of what is
    /// not UTF-8, without NUL.
    pub response_body: String,
    /// From the first look at the name to the end of the answer.
    pub latency: Duration,
    /// How long the endpoint asks to wait, at most an hour.
    pub retry_after: Option<Duration>,
}

impl AttemptResult {
    /// Whether the message was taken.
    pub fn is_success(&self) -> bool {
        self.error_code.is_none()
    }

    /// Nothing came, or what came is put in by the caller.
    fn empty(error_code: Option<&'static str>) -> Self {
        Self {
            status: None,
            error_code,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            response_body: String::new(),
            latency: Duration::ZERO,
            retry_after: None,
        }
    }

    fn failed(error_code: &'static str) -> Self {
        Self::empty(Some(error_code))
    }
}

/// Sends webhooks to addresses that customers chose.
#[derive(Debug, Clone)]
pub struct WebhookSender {
    client: Client,
}

impl WebhookSender {
    /// A sender that reaches what `egress` allows. Clones share its connections.
    ///
    /// # Errors
    /// When the machine's TLS set-up does not allow a client.
    pub fn new(egress: &Egress) -> Result<Self, SetupError> {
        Ok(Self { client: egress.client(Some(MAX_ANSWER_BYTES))? })
    }

    /// Sends once, signed with the time of this attempt. `timeout` covers everything.
    pub async fn attempt(&self, message: &Message<'_>, timeout: Duration) -> AttemptResult {
        let begun = Instant::now();
        let result = self.send(message, begun + timeout).await;
        AttemptResult { latency: begun.elapsed(), ..result }
    }

    /// See [`Client::crowd`].
    #[cfg(test)]
    pub(super) fn crowd(&self) -> Vec<crate::egress::Counted> {
        self.client.crowd()
    }

    async fn send(&self, message: &Message<'_>, deadline: Instant) -> AttemptResult {
        let url = Url::parse(message.url).ok().filter(|url| self.client.check_url(url).is_ok());
        let Some(url) = url else { return AttemptResult::failed(Code::Blocked.as_str()) };
        let now = Utc::now().timestamp();
        let Some(headers) = request_headers(message, &url, now, self.client.is_crowded()) else {
            return AttemptResult::failed("unsigned");
        };
        let request_headers = logged(&headers);
        let _busy = self.client.busy();
        let sent = self.client.send(Method::POST, &url, headers, message.body.clone());
        let result = match timeout_at(deadline, sent).await {
            Ok(Ok(response)) => read(response, deadline).await,
            Ok(Err(failure)) => AttemptResult::failed(failure.code().as_str()),
            Err(_elapsed) => AttemptResult::failed(Code::Timeout.as_str()),
        };
        AttemptResult { request_headers, ..result }
    }
}

/// All headers of the request; nothing if it cannot be signed.
fn request_headers(message: &Message<'_>, url: &Url, now: i64, closes: bool) -> Option<HeaderMap> {
    const ID: HeaderName = HeaderName::from_static("webhook-id");
    const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
    const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
    let signature = sign(message.id, now, &message.body, message.secrets).ok()?;
    let host = url.host_str()?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut headers = HeaderMap::with_capacity(10 + message.headers.len());
    headers.insert(HOST, HeaderValue::try_from(host).ok()?);
    headers.insert(USER_AGENT, HeaderValue::from_static(http::USER_AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(message.body.len()));
    headers.insert(ID, HeaderValue::from_str(message.id).ok()?);
    headers.insert(TIMESTAMP, HeaderValue::from(now));
    headers.insert(SIGNATURE, HeaderValue::try_from(signature).ok()?);
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in
        message.headers.iter().take(MAX_HEADERS).filter_map(|(n, v)| headers::parse(n, v))
    {
        headers.insert(name, value);
    }
    Some(headers)
}

fn logged(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| {
        if value.is_sensitive() { MASK.to_owned() } else { printable(value.as_bytes()) }
    };
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// Without NUL, which Postgres does not take.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "")
}

/// As many headers as there is room for; of the last the beginning.
fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut room = KEPT_HEADER_BYTES;
    let mut kept = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let Some(left) = room.checked_sub(name.as_str().len()) else { break };
        let mut text = printable(value.as_bytes());
        text.truncate(text.floor_char_boundary(left));
        room = left - text.len();
        kept.push((name.as_str().to_owned(), text));
    }
    kept
}

async fn read(response: Response<Incoming>, deadline: Instant) -> AttemptResult {
    let (head, mut body) = response.into_parts();
    let mut beginning = Vec::new();
    let read = timeout_at(deadline, read_keeping(&mut body, &mut beginning)).await;
    let error_code = match (head.status, read) {
        (status, _) if status.is_redirection() => Some("redirect"),
        (status, _) if !status.is_success() => Some("status"),
        (_, Ok(Ok(()))) => None,
        (_, Ok(Err(code))) => Some(code.as_str()),
        (_, Err(_elapsed)) => Some(Code::Timeout.as_str()),
    };
    AttemptResult {
        status: Some(head.status.as_u16()),
        response_headers: kept(&head.headers),
        response_body: printable(&beginning),
        retry_after: http::retry_after(&head.headers, Utc::now()),
        ..AttemptResult::empty(error_code)
    }
}

/// Reads to the end or to the limit; what was read of a broken answer is kept too.
async fn read_keeping(body: &mut Incoming, beginning: &mut Vec<u8>) -> Result<(), Code> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::of(error).code())?;
        let Some(chunk) = frame.data_ref() else { continue };
        let room = KEPT_RESPONSE_BYTES - beginning.len();
        beginning.extend_from_slice(&chunk[..chunk.len().min(room)]);
        length += chunk.len();
        if length > MAX_RESPONSE_BYTES {
            return Err(Code::TooLarge);
        }
    }
    Ok(())
}
