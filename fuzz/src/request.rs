//! A webhook as HTTP carries it, and what its receiver knows of the sender.

use chrono::{DateTime, Utc};
use contract::call::Provider;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::received_at;

/// Most header lines read; a signature check looks at three.
const MAX_HEADERS: usize = 64;
/// Instants from 1973 to 2096, in milliseconds: providers write seconds or milliseconds, and only
/// since 1973 do the two not overlap.
const BELIEVABLE: std::ops::Range<i64> = 100_000_000_001..4_000_000_000_000;

/// A request and its surroundings, written as
///
/// ```text
/// 2https://example.com/path        0 Vapi, 1 Retell, 2 Twilio; plan as JSON, nothing, URL
/// token previous-token             secrets between spaces
/// 1795186930123                    now, in milliseconds
/// x-twilio-signature: c2ln         headers, up to an empty line
///
/// CallSid=CA1                      body
/// ```
#[derive(Debug)]
pub struct Request<'a> {
    /// Who is said to have sent it.
    pub provider: Provider,
    /// Vapi: an HMAC plan as JSON. Twilio: the URL that it was sent to.
    pub setting: String,
    /// What the organization shares with the provider.
    pub secrets: Vec<SecretString>,
    /// When it is checked.
    pub now: DateTime<Utc>,
    /// Its headers; lines that are none are left out.
    pub headers: HeaderMap,
    /// Its raw body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Nothing where an input has no first byte.
    pub fn of(input: &'a [u8]) -> Option<Self> {
        let (choice, mut rest) = input.split_first()?;
        let mut line = || {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after.get(1..).unwrap_or_default();
            line
        };
        let setting = String::from_utf8_lossy(line()).into_owned();
        let secrets = String::from_utf8_lossy(line());
        let secrets = secrets.split(' ').map(SecretString::from).collect();
        let now = instant(line()).unwrap_or(received_at());
        let mut headers = HeaderMap::new();
        let lines = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty()));
        for (name, value) in lines.take(MAX_HEADERS).filter_map(header) {
            headers.append(name, value);
        }
        let provider = Provider::ALL[usize::from(*choice) % Provider::ALL.len()];
        Some(Self { provider, setting, secrets, now, headers, body: rest })
    }
}

fn instant(line: &[u8]) -> Option<DateTime<Utc>> {
    let millis = std::str::from_utf8(line).ok()?.parse().ok()?;
    BELIEVABLE.contains(&millis).then(|| DateTime::from_timestamp_millis(millis))?
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let name = HeaderName::from_bytes(name).ok()?;
    Some((name, HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?))
}
