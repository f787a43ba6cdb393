//! Whether a message comes from someone who knows the organization's Vapi secret.
//!
//! Vapi signs by the customer's choice (docs.vapi.ai/server-url/server-authentication): a shared
//! secret in `X-Vapi-Secret`, the same as a bearer token, or an HMAC of the body by a plan. Each way
//! proves knowledge of the same secret, so any of them is enough.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use crate::http::sole_header;

/// How far the sender's clock may be off, in milliseconds, both ways.
const TOLERANCE_MILLIS: u64 = 300_000;
/// Unix times above this are in milliseconds: in seconds it would be the year 5138.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// The message does not prove that its sender knows a secret. The answer is the same for every
/// reason; which it was is for our logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// No header of any of the three ways.
    #[error("no credential")]
    Missing,
    /// A credential that belongs to none of the secrets.
    #[error("wrong credential")]
    Wrong,
    /// No readable timestamp though the plan wants one, or one off by more than 300 s.
    #[error("timestamp missing or outside 300 s")]
    Stale,
    /// The plan does not sign the body, or needs what we do not know.
    #[error("unusable plan")]
    Plan,
}

/// Vapi's `HmacAuthenticationPlan`, as configured for the organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HmacPlan {
    /// Hash function.
    pub algorithm: HmacAlgorithm,
    /// Header of the signature.
    pub signature_header: String,
    /// Header of the timestamp: Unix time in seconds or milliseconds.
    pub timestamp_header: String,
    /// Text before the signature, as `sha256=`.
    pub signature_prefix: Option<String>,
    /// Whether a timestamp is sent; it must then be within 300 s.
    pub include_timestamp: bool,
    /// What is signed; may name `{body}` (it must), `{timestamp}`, `{method}` and `{svix-id}`.
    pub payload_format: String,
    /// Header of the message id, for `{svix-id}`.
    pub message_id_header: Option<String>,
    /// How the signature is written.
    pub signature_encoding: SignatureEncoding,
    /// Whether the key is the base64 decoding of the secret.
    pub secret_is_base64: bool,
}

/// Hash functions of the plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HmacAlgorithm {
    /// HMAC-SHA256.
    #[default]
    Sha256,
    /// HMAC-SHA512.
    Sha512,
    /// HMAC-SHA1: weak as a hash, but not known to be so as an HMAC (RFC 6194).
    Sha1,
}

/// How a signature is written as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

impl Default for HmacPlan {
    fn default() -> Self {
        Self {
            algorithm: HmacAlgorithm::default(),
            signature_header: "x-signature".to_owned(),
            timestamp_header: "x-timestamp".to_owned(),
            signature_prefix: None,
            include_timestamp: true,
            payload_format: "{timestamp}.{body}".to_owned(),
            message_id_header: None,
            signature_encoding: SignatureEncoding::default(),
            secret_is_base64: false,
        }
    }
}

/// Checks a message against the secrets, the current first and then the previous one.
///
/// `body` is the raw body, before any parsing. Empty secrets match nothing.
///
/// # Errors
/// When no header proves knowledge of a secret.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[SecretString],
    plan: &HmacPlan,
    now: DateTime<Utc>,
) -> Result<(), Forged> {
    let token = sole_header(headers, "x-vapi-secret").map(str::as_bytes);
    let bearer = sole_header(headers, AUTHORIZATION.as_str()).and_then(bearer_token);
    let signature = sole_header(headers, &plan.signature_header);
    if token.is_none() && bearer.is_none() && signature.is_none() {
        return Err(Forged::Missing);
    }
    let mut known = Choice::from(0);
    for given in [token, bearer].into_iter().flatten() {
        for secret in usable(secrets) {
            known |= given.ct_eq(secret.as_bytes());
        }
    }
    if bool::from(known) {
        return Ok(());
    }
    let signature = signature.ok_or(Forged::Wrong)?;
    verify_signature(headers, body, secrets, plan, now, signature)
}

fn verify_signature(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[SecretString],
    plan: &HmacPlan,
    now: DateTime<Utc>,
    signature: &str,
) -> Result<(), Forged> {
    let timestamp = sole_header(headers, &plan.timestamp_header);
    if plan.include_timestamp || plan.payload_format.contains("{timestamp}") {
        fresh(timestamp.ok_or(Forged::Stale)?, now)?;
    }
    let message_id = plan.message_id_header.as_deref().and_then(|name| sole_header(headers, name));
    let payload = payload(&plan.payload_format, body, timestamp, message_id)?;
    let mut known = Choice::from(0);
    for secret in usable(secrets) {
        let key = match plan.secret_is_base64 {
            true => STANDARD.decode(secret).unwrap_or_default(),
            false => secret.as_bytes().to_vec(),
        };
        // A secret that decodes to nothing would be a key that everyone knows.
        if !key.is_empty() {
            let expected = expected_signature(plan, &key, &payload).ok_or(Forged::Plan)?;
            known |= signature.as_bytes().ct_eq(expected.as_bytes());
        }
    }
    if bool::from(known) { Ok(()) } else { Err(Forged::Wrong) }
}

fn bearer_token(value: &str) -> Option<&[u8]> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.as_bytes())
}

fn usable(secrets: &[SecretString]) -> impl Iterator<Item = &str> {
    secrets.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty())
}

/// Vapi does not document the unit of its timestamp, so both are read.
fn fresh(timestamp: &str, now: DateTime<Utc>) -> Result<(), Forged> {
    let value: i64 = timestamp.parse().map_err(|_| Forged::Stale)?;
    let millis = if value > FIRST_MILLIS { value } else { value.saturating_mul(1000) };
    if now.timestamp_millis().abs_diff(millis) > TOLERANCE_MILLIS {
        return Err(Forged::Stale);
    }
    Ok(())
}

/// Fills the format in one pass, so that a placeholder inside the body stays what it is.
fn payload(
    format: &str,
    body: &[u8],
    timestamp: Option<&str>,
    message_id: Option<&str>,
) -> Result<Vec<u8>, Forged> {
    // A signature that does not cover the body would bless any body.
    if !format.contains("{body}") {
        return Err(Forged::Plan);
    }
    let mut payload = Vec::with_capacity(format.len() + body.len());
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('{') {
        payload.extend_from_slice(before.as_bytes());
        let (name, after) = after.split_once('}').ok_or(Forged::Plan)?;
        match name {
            "body" => payload.extend_from_slice(body),
            "timestamp" => payload.extend_from_slice(timestamp.ok_or(Forged::Stale)?.as_bytes()),
            "method" => payload.extend_from_slice(b"POST"),
            "svix-id" => payload.extend_from_slice(message_id.ok_or(Forged::Wrong)?.as_bytes()),
            _ => return Err(Forged::Plan),
        }
        rest = after;
    }
    payload.extend_from_slice(rest.as_bytes());
    Ok(payload)
}

fn expected_signature(plan: &HmacPlan, key: &[u8], payload: &[u8]) -> Option<String> {
    let digest = match plan.algorithm {
        HmacAlgorithm::Sha256 => digest::<Hmac<Sha256>>(key, payload),
        HmacAlgorithm::Sha512 => digest::<Hmac<Sha512>>(key, payload),
        HmacAlgorithm::Sha1 => digest::<Hmac<Sha1>>(key, payload),
    }?;
    let written = match plan.signature_encoding {
        SignatureEncoding::Hex => hex::encode(digest),
        SignatureEncoding::Base64 => STANDARD.encode(digest),
    };
    Some(format!("{}{written}", plan.signature_prefix.as_deref().unwrap_or_default()))
}

fn digest<M: Mac + KeyInit>(key: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mac = <M as KeyInit>::new_from_slice(key).ok()?;
    Some(mac.chain_update(payload).finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests;
