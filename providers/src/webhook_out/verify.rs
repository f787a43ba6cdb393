//! What a receiver does with a message of ours (Standard Webhooks 1.0.0).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::Mac;
use secrecy::SecretString;

use super::sign::{Unsignable, macs};

/// Why a message is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// With these secrets or this id no signature could be right.
    #[error(transparent)]
    Unsignable(#[from] Unsignable),
    /// `webhook-timestamp` is not a whole number of seconds since 1970.
    #[error("webhook-timestamp is not a whole number of seconds since 1970")]
    Timestamp,
    /// Sent longer ago than is tolerated: perhaps a replay, or a clock is wrong.
    #[error("the message is too old: sent {0} s ago by its webhook-timestamp")]
    TooOld(u64),
    /// Sent later than now by more than is tolerated: a clock is wrong.
    #[error("the message is from the future: sent in {0} s by its webhook-timestamp")]
    TooNew(u64),
    /// None of the signatures is one of version `v1`.
    #[error("webhook-signature holds no signature of the form v1,<base64>")]
    NoSignature,
    /// Another secret, or one of id, timestamp and body is not what was signed.
    #[error("no signature fits this id, timestamp, body and secret")]
    Mismatch,
}

/// Whether one of `signatures` (the value of `webhook-signature`) was made with one of `secrets`.
///
/// `timestamp` is the value of `webhook-timestamp`, and `body` the bytes as they were received.
/// Signatures of other versions (`v1a`) are skipped. Takes the same time whichever signature is
/// wrong, and wherever.
///
/// # Errors
/// When the message is not to be believed, in the order of [`Unverified`].
pub fn verify(
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    secrets: &[SecretString],
    now: DateTime<Utc>,
    tolerance: Duration,
) -> Result<(), Unverified> {
    let seconds: Result<i64, _> = timestamp.trim().parse();
    let expected = macs(id, *seconds.as_ref().unwrap_or(&0), body, secrets)?;
    let seconds = seconds.map_err(|_| Unverified::Timestamp)?;
    let age = i128::from(now.timestamp()) - i128::from(seconds);
    let away = u64::try_from(age.unsigned_abs()).unwrap_or(u64::MAX);
    if away > tolerance.as_secs() {
        return Err(if age > 0 { Unverified::TooOld(away) } else { Unverified::TooNew(away) });
    }
    let given: Vec<Vec<u8>> = signatures
        .split_ascii_whitespace()
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .collect();
    if given.is_empty() {
        return Err(Unverified::NoSignature);
    }
    let mut fits = false;
    for mac in expected {
        for signature in &given {
            fits |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if fits { Ok(()) } else { Err(Unverified::Mismatch) }
}
