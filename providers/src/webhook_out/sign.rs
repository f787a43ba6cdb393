//! Signatures of Standard Webhooks 1.0.0, version `v1`.

use std::ops::RangeInclusive;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Lengths of key that Standard Webhooks allows, in bytes.
const KEY_BYTES: RangeInclusive<usize> = 24..=64;
/// Length of the keys that we make, in bytes: no more than the hash can use.
const NEW_KEY_BYTES: usize = 32;

/// Why a message cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// There is no secret, and an unsigned message must not leave.
    #[error("no secret to sign with")]
    NoSecret,
    /// A secret is not `whsec_` and the base64 of 24 to 64 bytes.
    #[error("a secret is not whsec_ and base64 of 24 to 64 bytes")]
    BadSecret,
    /// The id is empty or holds what would make the signed text ambiguous.
    #[error("the message id is not usable")]
    BadId,
}

/// The value of `webhook-signature`: one `v1,<base64>` per secret, so that rotation loses nothing.
///
/// Each is HMAC-SHA256 over `{id}.{timestamp_seconds}.{body}`.
///
/// # Errors
/// When there is no secret, or one is not of the form that Standard Webhooks asks for.
pub fn sign(
    id: &str,
    timestamp_seconds: i64,
    body: &[u8],
    secrets: &[SecretString],
) -> Result<String, Unsignable> {
    let mut signatures = String::with_capacity(secrets.len() * 48);
    for mac in macs(id, timestamp_seconds, body, secrets)? {
        if !signatures.is_empty() {
            signatures.push(' ');
        }
        signatures.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut signatures);
    }
    Ok(signatures)
}

/// One for each secret, over the signed text.
pub(super) fn macs(
    id: &str,
    timestamp_seconds: i64,
    body: &[u8],
    secrets: &[SecretString],
) -> Result<Vec<Hmac<Sha256>>, Unsignable> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
        return Err(Unsignable::BadId);
    }
    if secrets.is_empty() {
        return Err(Unsignable::NoSecret);
    }
    let head = format!("{id}.{timestamp_seconds}.");
    let mac = |secret| {
        let mac = Hmac::<Sha256>::new_from_slice(&key(secret)?);
        let mac = mac.map_err(|_| Unsignable::BadSecret)?;
        Ok(mac.chain_update(&head).chain_update(body))
    };
    secrets.iter().map(mac).collect()
}

fn key(secret: &SecretString) -> Result<Zeroizing<Vec<u8>>, Unsignable> {
    let encoded = secret.expose_secret().strip_prefix(PREFIX).ok_or(Unsignable::BadSecret)?;
    let key = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| Unsignable::BadSecret)?);
    if KEY_BYTES.contains(&key.len()) { Ok(key) } else { Err(Unsignable::BadSecret) }
}

/// Checks a secret that a customer gave.
///
/// # Errors
/// When it is not of the form that Standard Webhooks asks for.
pub fn check_secret(secret: &SecretString) -> Result<(), Unsignable> {
    key(secret).map(drop)
}

/// A new secret: `whsec_` and the base64 of 32 random bytes.
///
/// # Errors
/// When the system has no randomness to give.
pub fn new_secret() -> Result<SecretString, getrandom::Error> {
    let mut key = Zeroizing::new([0; NEW_KEY_BYTES]);
    getrandom::fill(key.as_mut())?;
    Ok(SecretString::from(format!("{PREFIX}{}", STANDARD.encode(key))))
}
