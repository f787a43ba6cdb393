//! Headers that a customer adds to his endpoint's messages, such as `authorization`.

use std::collections::HashSet;

use hyper::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// Most headers of one endpoint.
pub const MAX_HEADERS: usize = 20;
/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 100;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1000;

/// What HTTP or we set ourselves. The headers of one hop (RFC 9110, 7.6.1) would change how the
/// message is framed or what becomes of the connection.
const RESERVED: [&str; 13] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "http2-settings",
];
/// Signatures and what else only we may say; what is meant for proxies.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "postcall-", "proxy-"];

/// Why the headers of an endpoint are not accepted. No text repeats a value, nor a name that may be
/// one in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// More than [`MAX_HEADERS`].
    #[error("{0} headers are too many: at most {MAX_HEADERS} are allowed")]
    TooMany(usize),
    /// The name of this one, counted from 1, is empty, too long or has other characters than names
    /// may have.
    #[error(
        "the name of header {0} must be 1 to {MAX_NAME_BYTES} letters, digits or any of !#$%&'*+-.^_`|~"
    )]
    Name(usize),
    /// The header is set by postcall or by HTTP.
    #[error("the header {0} cannot be set: postcall or HTTP itself does")]
    Reserved(String),
    /// The name is there before; case makes no difference.
    #[error("the header {0} is there twice")]
    Twice(String),
    /// The value is empty, too long or has other characters than visible ASCII and inner spaces.
    #[error(
        "the value of header {0} must be 1 to {MAX_VALUE_BYTES} visible ASCII characters, with spaces only between them"
    )]
    Value(String),
}

/// Checks all headers of an endpoint: `(name, value)`.
///
/// # Errors
/// About the first that is not allowed, in words for the customer.
pub fn check_headers(headers: &[(String, SecretString)]) -> Result<(), BadHeader> {
    if headers.len() > MAX_HEADERS {
        return Err(BadHeader::TooMany(headers.len()));
    }
    let mut seen = HashSet::new();
    for (index, (name, value)) in headers.iter().enumerate() {
        let name = parse_name(name).ok_or(BadHeader::Name(index + 1))?;
        let text = || name.as_str().to_owned();
        if is_reserved(&name) {
            return Err(BadHeader::Reserved(text()));
        }
        parse_value(value).ok_or_else(|| BadHeader::Value(text()))?;
        if !seen.insert(name.clone()) {
            return Err(BadHeader::Twice(text()));
        }
    }
    Ok(())
}

/// The header as it is sent, if it may be.
pub(super) fn parse(name: &str, value: &SecretString) -> Option<(HeaderName, HeaderValue)> {
    let name = parse_name(name).filter(|name| !is_reserved(name))?;
    Some((name, parse_value(value)?))
}

fn parse_name(name: &str) -> Option<HeaderName> {
    if name.len() > MAX_NAME_BYTES { None } else { HeaderName::from_bytes(name.as_bytes()).ok() }
}

/// Sensitive, which keeps it out of logs.
fn parse_value(value: &SecretString) -> Option<HeaderValue> {
    let text = value.expose_secret();
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let is_trimmed = !text.starts_with(' ') && !text.ends_with(' ');
    if text.is_empty() || text.len() > MAX_VALUE_BYTES || !is_visible || !is_trimmed {
        return None;
    }
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
