//! `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>][,v0=…]`: HMAC-SHA256 over the digits of the time,
//! a full stop and the raw body (docs.stripe.com/webhooks#verify-manually).

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// How far Stripe's clock may be off, in seconds, both ways.
const TOLERANCE_SECONDS: u64 = 300;
/// Most signatures that are compared; Stripe sends one for each secret of an endpoint that is valid.
const MAX_SIGNATURES: usize = 16;

/// Whether `Stripe-Signature` was made with one of the secrets over exactly this body, at most 300 s
/// before or after `now`. The secret is the literal text, `whsec_` included. Empty secrets match
/// nothing.
pub fn is_signed(header: &str, body: &[u8], secrets: &[SecretString], now: DateTime<Utc>) -> bool {
    let Some(Header { digits, signatures }) = parse(header) else { return false };
    let Ok(signed_at) = digits.parse::<i64>() else { return false };
    if now.timestamp().abs_diff(signed_at) > TOLERANCE_SECONDS {
        return false;
    }
    let mut is_known = Choice::from(0);
    for secret in secrets.iter().map(ExposeSecret::expose_secret).filter(|key| !key.is_empty()) {
        let Some(expected) = signature(digits, body, secret) else { return false };
        for given in &signatures {
            is_known |= given.as_bytes().ct_eq(expected.as_bytes());
        }
    }
    is_known.into()
}

/// The header of a body, as Stripe makes it: for the fakes and tests.
pub fn sign(body: &[u8], secret: &SecretString, at: DateTime<Utc>) -> String {
    let digits = at.timestamp().to_string();
    let v1 = signature(&digits, body, secret.expose_secret()).unwrap_or_default();
    format!("t={digits},v1={v1}")
}

struct Header<'a> {
    /// The time as written, because that is what was signed.
    digits: &'a str,
    signatures: Vec<&'a str>,
}

/// One time, and any number of signatures of any scheme.
fn parse(header: &str) -> Option<Header<'_>> {
    let (mut digits, mut signatures) = (None, Vec::new());
    for element in header.split(',') {
        match element.split_once('=')? {
            ("t", _) if digits.is_some() => return None,
            ("t", time) => digits = Some(time),
            ("v1", signature) => signatures.push(signature),
            _ => {}
        }
    }
    // Rust's integers would also take a sign.
    let digits = digits.filter(|time| time.bytes().all(|byte| byte.is_ascii_digit()))?;
    (signatures.len() <= MAX_SIGNATURES).then_some(Header { digits, signatures })
}

/// In lower-case hexadecimal digits.
fn signature(digits: &str, body: &[u8], secret: &str) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    let mac = mac.chain_update(digits).chain_update(".").chain_update(body);
    Some(hex::encode(mac.finalize().into_bytes()))
}
