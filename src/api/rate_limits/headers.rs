//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): lists of structured
//! fields, an item for each limit. `q` and `w` are the limit and its window; `r` is what is left of it,
//! and `t` when some of it comes back, in seconds.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::Told;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Tells of all limits; nothing where none was looked at.
pub(super) fn write(headers: &mut HeaderMap, told: &[Told]) {
    if told.is_empty() {
        return;
    }
    let policy =
        told.iter().map(|it| format!("\"{}\";q={};w={}", it.name, it.most, it.window.as_secs()));
    let state =
        told.iter().map(|it| format!("\"{}\";r={};t={}", it.name, it.left, seconds(it.back_in)));
    let list = |items: Vec<String>| HeaderValue::try_from(items.join(", "));
    if let (Ok(policy), Ok(state)) = (list(policy.collect()), list(state.collect())) {
        headers.insert(POLICY, policy);
        headers.insert(STATE, state);
    }
}

/// Whole seconds, not too few.
pub(super) fn seconds(time: Duration) -> u32 {
    let up = u64::from(time.subsec_nanos() > 0);
    u32::try_from(time.as_secs() + up).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_told_of() {
        let told = |name, left| Told {
            name,
            most: 100,
            window: Duration::from_secs(3600),
            left,
            back_in: Duration::from_millis(1500),
        };
        let mut headers = HeaderMap::new();
        write(&mut headers, &[told("key", 7), told("organization", 0)]);
        assert_eq!(headers[POLICY], r#""key";q=100;w=3600, "organization";q=100;w=3600"#);
        assert_eq!(headers[STATE], r#""key";r=7;t=2, "organization";r=0;t=2"#);
        let mut none = HeaderMap::new();
        write(&mut none, &[]);
        assert!(none.is_empty());
    }
}
