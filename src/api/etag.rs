//! Versions as `ETag`, and what `If-Match` asks for.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::problem::{Kind, Problem};

/// A body with the `ETag` of its version.
pub(super) fn tagged(version: i64, body: impl Serialize) -> Response {
    ([(header::ETAG, etag(version))], Json(body)).into_response()
}

/// It has another version than `If-Match` names.
pub(super) fn stale() -> Problem {
    let detail = "It was changed since: it has another ETag than If-Match names.";
    Problem::with_detail(Kind::PreconditionFailed, detail)
}

/// The `ETag` of a version.
pub(super) fn etag(version: i64) -> HeaderValue {
    let text = format!("\"{version}\"");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// The versions that `If-Match` names; none where any will do. A weak tag, or what is no tag of
/// ours, matches nothing (RFC 9110, 13.1.1).
pub(super) fn expected(headers: &HeaderMap) -> Option<Vec<i64>> {
    let mut given = headers.get_all(header::IF_MATCH).iter().peekable();
    given.peek()?;
    let tags: Vec<&str> = given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let version = |tag: &&str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    if tags.contains(&"*") { None } else { Some(tags.iter().filter_map(version).collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_names_versions_strongly_or_any() {
        let expected = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            expected(&HeaderMap::from_iter([(header::IF_MATCH, value)]))
        };
        assert_eq!(super::expected(&HeaderMap::new()), None);
        assert_eq!(expected("*"), None);
        assert_eq!(expected("\"7\""), Some(vec![7]));
        assert_eq!(expected("\"7\", \"8\""), Some(vec![7, 8]));
        for nothing in ["W/\"7\"", "7", "", "\"x\""] {
            assert_eq!(expected(nothing), Some(vec![]), "{nothing}");
        }
        assert_eq!(etag(7), "\"7\"");
    }
}
