//! `x-retell-signature`, made by the real signer.

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue};
use providers::retell::auth;
use secrecy::SecretString;

use crate::Attempt;

const SIGNATURE: &str = "x-retell-signature";

pub(crate) fn passes(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[SecretString],
    now: DateTime<Utc>,
) -> bool {
    auth::verify(headers, body, secrets, now).is_ok()
}

pub(crate) fn try_all(attempt: &Attempt<'_>) {
    let Attempt { request, secret, unknown, changed } = attempt;
    let (body, now) = (request.body, request.now);
    let written = auth::sign(body, secret, now);
    let signed = with(&written);
    let both = [(*unknown).clone(), (*secret).clone()];
    let known = &both[1..];
    assert!(passes(&signed, body, &both, now), "as the previous secret");
    assert!(!passes(&signed, body, &both[..1], now), "another secret");
    assert!(!passes(&signed, changed, known, now), "a changed body");
    for (off, good) in [(300_000, true), (300_001, false)] {
        let off = TimeDelta::milliseconds(off);
        assert_eq!(passes(&signed, body, known, now + off), good, "late by {off}");
        assert_eq!(passes(&signed, body, known, now - off), good, "early by {off}");
    }
    let mut twice = signed.clone();
    twice.append(SIGNATURE, HeaderValue::from_static("v=1,d=00"));
    assert!(!passes(&twice, body, known, now), "two signatures");
    header_is_covered(attempt, &written);
}

/// Every changed character counts, but for the case of the hexadecimal digits.
fn header_is_covered(attempt: &Attempt<'_>, written: &str) {
    let Attempt { request, secret, changed, .. } = attempt;
    let place = changed.iter().fold(0_usize, |sum, byte| sum.wrapping_add(usize::from(*byte)));
    let mut bytes = written.as_bytes().to_vec();
    let length = bytes.len();
    bytes[place % length] ^= 1 << (place / length % 7);
    let Ok(value) = HeaderValue::from_bytes(&bytes) else { return };
    if bytes.eq_ignore_ascii_case(written.as_bytes()) {
        return;
    }
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static(SIGNATURE), value)]);
    assert!(!passes(&headers, request.body, &[(*secret).clone()], request.now), "another header");
}

fn with(signature: &str) -> HeaderMap {
    let value = HeaderValue::from_str(signature).expect("digits and letters");
    HeaderMap::from_iter([(http::HeaderName::from_static(SIGNATURE), value)])
}
