//! `x-retell-signature: v=<milliseconds>,d=<hex>`: HMAC-SHA256 over the raw body followed by the
//! digits, keyed with the workspace's API key that carries the webhook badge (retell-sdk 5.66.1,
//! `lib/webhook_auth`).

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::http::sole_header;

/// Header of the signature.
const SIGNATURE_HEADER: &str = "x-retell-signature";
/// How far the sender's clock may be off, in milliseconds, both ways.
const TOLERANCE_MILLIS: u64 = 300_000;
/// Length of an SHA-256 digest in bytes; the header has twice as many digits.
const DIGEST_BYTES: usize = 32;

/// A request that does not prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is not signed by a known key")]
pub struct Forged;

/// Checks a webhook against API keys.
///
/// `body` is the raw body, before any parsing. Empty secrets match nothing.
///
/// # Errors
/// When none of `secrets` made the signature, or it is older or newer than 300 s.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[SecretString],
    now: DateTime<Utc>,
) -> Result<(), Forged> {
    let Signature { digits, digest } =
        sole_header(headers, SIGNATURE_HEADER).and_then(parse).ok_or(Forged)?;
    let signed_at: i64 = digits.parse().map_err(|_| Forged)?;
    if now.timestamp_millis().abs_diff(signed_at) > TOLERANCE_MILLIS {
        return Err(Forged);
    }
    let mut known = Choice::from(0);
    for secret in secrets.iter().map(ExposeSecret::expose_secret).filter(|key| !key.is_empty()) {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| Forged)?;
        let expected = mac.chain_update(body).chain_update(digits).finalize().into_bytes();
        known |= digest.ct_eq(expected.as_slice());
    }
    if bool::from(known) { Ok(()) } else { Err(Forged) }
}

/// The header with which Retell would send this body at `now`.
pub fn sign(body: &[u8], api_key: &SecretString, now: DateTime<Utc>) -> String {
    let digits = now.timestamp_millis().to_string();
    let digest = Hmac::<Sha256>::new_from_slice(api_key.expose_secret().as_bytes())
        .map(|mac| mac.chain_update(body).chain_update(&digits).finalize().into_bytes())
        .unwrap_or_default();
    format!("v={digits},d={}", hex::encode(digest))
}

struct Signature<'a> {
    /// The time as written, because that is what was signed.
    digits: &'a str,
    digest: [u8; DIGEST_BYTES],
}

/// `v=`, decimal digits, `,d=`, 64 hexadecimal digits of either case, and nothing else.
fn parse(header: &str) -> Option<Signature<'_>> {
    let (digits, written) = header.strip_prefix("v=")?.split_once(",d=")?;
    // Rust's integers would also take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut digest = [0; DIGEST_BYTES];
    hex::decode_to_slice(written, &mut digest).ok()?;
    Some(Signature { digits, digest })
}

#[cfg(test)]
mod tests;
