//! An answer with what its headers say.

use std::fmt;

use reqwest::header::{ETAG, HeaderMap};

/// An answer. Most callers need its value only, which awaiting a request gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer<T> {
    /// What was answered.
    pub value: T,
    /// HTTP status: 202 is work that goes on.
    pub status: u16,
    /// The version, for `if_match` of a later change.
    pub etag: Option<ETag>,
    /// Id of the request: tell it to whoever runs the API.
    pub request_id: Option<String>,
    /// Whether the request was done before, under the same `Idempotency-Key`.
    pub is_replayed: bool,
}

/// A version of something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(String);

impl ETag {
    /// As in the header, with its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Of the `version` that things have.
impl From<i64> for ETag {
    fn from(version: i64) -> Self {
        Self(format!("\"{version}\""))
    }
}

impl From<&ETag> for ETag {
    fn from(etag: &ETag) -> Self {
        etag.clone()
    }
}

impl<T> Answer<T> {
    pub(crate) fn new(value: T, status: u16, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        Self {
            value,
            status,
            etag: text(ETAG.as_str()).map(ETag),
            request_id: text("x-request-id"),
            is_replayed: text("idempotent-replayed").is_some_and(|word| word == "true"),
        }
    }
}
