//! A request as a fake sees it, and as the effect log keeps it.

use std::collections::BTreeMap;

use axum::{
    body,
    extract::Request,
    http::{HeaderMap, Method},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::Provider;

/// The largest body that a fake takes, in bytes (1 MiB); more is answered with 413.
const LARGEST_BODY: usize = 1024 * 1024;

/// Headers whose values are secrets and are logged as `***`.
const SECRET_HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "apikey", "x-api-key", "cookie"];

/// One request, read to its end.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) provider: Provider,
    pub(super) method: Method,
    /// The whole path, prefix included.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// JSON as it is, a form as an object of texts (or lists of texts), else a text; null if empty.
    pub(super) body: Value,
    query_text: String,
    query: Vec<(String, String)>,
    bytes: Bytes,
}

/// The body was larger than a fake takes, or the caller went away while sending it.
#[derive(Debug)]
pub(super) struct NotRead;

impl Asked {
    /// Reads the request; with [`NotRead`] the request comes back without its body.
    pub(super) async fn read(provider: Provider, request: Request) -> (Self, Result<(), NotRead>) {
        let (parts, body) = request.into_parts();
        let (bytes, read) = match body::to_bytes(body, LARGEST_BODY).await {
            Ok(bytes) => (bytes, Ok(())),
            Err(_) => (Bytes::new(), Err(NotRead)),
        };
        let query_text = parts.uri.query().unwrap_or_default().to_owned();
        let asked = Self {
            provider,
            method: parts.method,
            path: parts.uri.path().to_owned(),
            body: parse(&parts.headers, &bytes),
            headers: parts.headers,
            query: form_urlencoded::parse(query_text.as_bytes()).into_owned().collect(),
            query_text,
            bytes,
        };
        (asked, read)
    }

    /// The path's segments after the provider's prefix.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).skip(1).collect()
    }

    /// A header's text, if it is there and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A number of the query, within bounds; `default` if it is absent or no number.
    pub(super) fn query_number(&self, name: &str, default: usize, largest: usize) -> usize {
        self.query(name).and_then(|text| text.parse().ok()).unwrap_or(default).min(largest)
    }

    /// This path and query, but for the page (Twilio: `next_page_uri`).
    pub(super) fn next_page(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.query.iter().filter(|(name, _)| name != "Page"));
        query.append_pair("Page", &page.to_string());
        format!("{}?{}", self.path, query.finish())
    }

    /// A text of the body, form or JSON, that is not empty; the first of a repeated form field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let value = self.body.get(name)?;
        let text = value.as_str().or_else(|| value.get(0).and_then(Value::as_str));
        text.filter(|text| !text.is_empty())
    }

    /// The token of `Authorization: Bearer …`, if one is there.
    pub(super) fn bearer(&self) -> Option<&str> {
        let token = self.header("authorization")?.strip_prefix("Bearer ")?.trim();
        Some(token).filter(|token| !token.is_empty())
    }

    /// The user name of HTTP Basic authentication, if name and password are there.
    pub(super) fn basic_user(&self) -> Option<String> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        (!user.is_empty() && !password.is_empty()).then(|| user.to_owned())
    }

    /// Equal for requests that ask the same: path and parsed body.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(&self.path, &self.body)
    }

    /// The request as the log keeps it; `raw` keeps the exact text of the body, for signatures.
    pub(super) fn seen(&self, raw: bool) -> RequestSeen {
        let text = raw.then(|| String::from_utf8(self.bytes.to_vec()).ok());
        RequestSeen {
            method: self.method.to_string(),
            path: self.path.clone(),
            query: self.query_text.clone(),
            headers: logged(&self.headers),
            body: self.body.clone(),
            body_bytes: self.bytes.len(),
            body_sha256: hex::encode(Sha256::digest(&self.bytes)),
            raw: text.flatten(),
        }
    }
}

/// A request in the effect log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestSeen {
    /// The method, in capitals.
    pub method: String,
    /// The path with the provider's prefix, without the query.
    pub path: String,
    /// The query as it was sent, without the question mark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Headers by lower-case name; those that hold secrets are `***`.
    pub headers: BTreeMap<String, String>,
    /// JSON as it is, a form as an object, else a text; null for no body.
    pub body: Value,
    /// Size of the body in bytes.
    #[serde(default)]
    pub body_bytes: usize,
    /// SHA-256 of the body's bytes, lower-case hex.
    #[serde(default)]
    pub body_sha256: String,
    /// The body's exact text, for webhooks only: signatures are over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

impl RequestSeen {
    /// As [`Asked::fingerprint`], from the log.
    pub(super) fn fingerprint(&self) -> String {
        fingerprint(&self.path, &self.body)
    }
}

fn fingerprint(path: &str, body: &Value) -> String {
    hex::encode(Sha256::digest(format!("{path}\n{body}")))
}

fn logged(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut logged: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        if SECRET_HEADERS.contains(&name.as_str()) {
            logged.insert(name.to_string(), "***".to_owned());
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        let known = logged.entry(name.to_string()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(&value);
    }
    logged
}

fn parse(headers: &HeaderMap, bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded")) {
        return form(bytes);
    }
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

fn form(bytes: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(bytes).into_owned() {
        let value = Value::String(value);
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(fields)
}
