//! What a request brings to prove who sends it.

use axum::http::{HeaderMap, header};

use crate::api::access::Token;

/// A key or a token, as it is written.
#[derive(Clone, Copy)]
pub(super) enum Presented<'a> {
    Key(&'a str),
    Token(Token<'a>),
}

/// `Authorization: Bearer {key or token}` or, without that header, `X-API-Key: {key}`.
///
/// A token has two dots, and no key has one.
pub(super) fn presented(headers: &HeaderMap) -> Option<Presented<'_>> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return headers.get("x-api-key")?.to_str().ok().map(Presented::Key);
    };
    let (scheme, text) = authorization.to_str().ok()?.split_once(' ')?;
    let text = scheme.eq_ignore_ascii_case("bearer").then_some(text.trim_ascii())?;
    let is_token = text.bytes().filter(|byte| *byte == b'.').count() == 2;
    Some(if is_token { Presented::Token(Token(text)) } else { Presented::Key(text) })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_key_comes_in_either_header_and_a_token_in_one() {
        let read = |name: HeaderName, value: &'static str| {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            presented(&headers).map(|presented| match presented {
                Presented::Key(text) => format!("key {text}"),
                Presented::Token(Token(text)) => format!("token {text}"),
            })
        };
        let bearer = |value| read(header::AUTHORIZATION, value);
        assert_eq!(bearer("Bearer vx_1").as_deref(), Some("key vx_1"));
        assert_eq!(bearer("bearer  vx_1").as_deref(), Some("key vx_1"));
        assert_eq!(bearer("Bearer a.b.c").as_deref(), Some("token a.b.c"));
        assert_eq!(bearer("Bearer a.b").as_deref(), Some("key a.b"));
        assert_eq!(bearer("Basic vx_1"), None);
        let header = HeaderName::from_static("x-api-key");
        assert_eq!(read(header.clone(), "vx_1").as_deref(), Some("key vx_1"));
        assert_eq!(read(header, "a.b.c").as_deref(), Some("key a.b.c"));
        assert!(presented(&HeaderMap::new()).is_none());
    }
}
