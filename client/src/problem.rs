//! Why a request was refused: `application/problem+json` (RFC 9457).

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::words::words;

words! {
    /// What went wrong: the last part of a problem's `type`, each with a page under
    /// `/docs/problems/`.
    ProblemKind {
        InvalidRequest = "invalid-request",
        InvalidCursor = "invalid-cursor",
        OrganizationNeeded = "organization-needed",
        Unauthenticated = "unauthenticated",
        KeyDisabled = "key-disabled",
        KeyExpired = "key-expired",
        QuotaExceeded = "quota-exceeded",
        Forbidden = "forbidden",
        NotFound = "not-found",
        MethodNotAllowed = "method-not-allowed",
        Conflict = "conflict",
        IdempotencyConflict = "idempotency-conflict",
        IdempotencyUnderWay = "idempotency-under-way",
        PreconditionFailed = "precondition-failed",
        RateLimited = "rate-limited",
        Internal = "internal",
        Unavailable = "unavailable",
        TooManyStreams = "too-many-streams",
    }
}

/// An error of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What went wrong.
    pub kind: ProblemKind,
    /// The `type`: a page that explains it, relative to the base URL.
    pub type_uri: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: Option<String>,
    /// Id of the request, as in `X-Request-Id`.
    pub instance: Option<String>,
    /// The parts of the request that are wrong.
    pub errors: Vec<FieldError>,
    /// The header `Retry-After`: how long to wait before another try.
    pub retry_after: Option<Duration>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct FieldError {
    /// Which part: `#/query/{name}`, `#/path/{name}` or `#/body/{field}`, escaped as in RFC 6901.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Members that this client does not know are extensions, and no fault (RFC 9457, 3.2).
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type")]
    type_uri: String,
    title: String,
    detail: Option<String>,
    instance: Option<String>,
    #[serde(default)]
    errors: Vec<FieldError>,
}

impl Problem {
    /// The problem that a body tells of; none where it tells of none.
    pub(crate) fn read(status: u16, body: &[u8], retry_after: Option<Duration>) -> Option<Self> {
        let told: Told = serde_json::from_slice(body).ok()?;
        let word = told.type_uri.rsplit('/').next().unwrap_or_default();
        Some(Self {
            kind: ProblemKind::from(word),
            type_uri: told.type_uri,
            title: told.title,
            status,
            detail: told.detail,
            instance: told.instance,
            errors: told.errors,
            retry_after,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        for error in &self.errors {
            write!(f, "; {} {}", error.pointer, error.detail)?;
        }
        match &self.instance {
            Some(instance) => write!(f, " (request {instance})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_in_which_request() {
        let body =
            br##"{"type": "/docs/problems/invalid-request", "title": "The request is not valid",
            "status": 400, "detail": "url is not valid.", "instance": "r-1", "balance": 30,
            "errors": [{"pointer": "#/body/url", "detail": "must be a URL"}]}"##;
        let problem = Problem::read(400, body, None).unwrap();
        assert_eq!(problem.kind, ProblemKind::InvalidRequest);
        let said = "400 The request is not valid: url is not valid.; #/body/url must be a URL (request r-1)";
        assert_eq!(problem.to_string(), said);
    }

    #[test]
    fn a_kind_of_later_is_kept_as_a_word() {
        let body = br#"{"type": "https://example.com/problems/on-fire", "title": "On fire"}"#;
        let problem = Problem::read(500, body, None).unwrap();
        assert_eq!(problem.kind, ProblemKind::Unknown("on-fire".to_owned()));
        assert_eq!(problem.to_string(), "500 On fire");
        assert_eq!(Problem::read(500, b"<html>", None), None);
    }
}
