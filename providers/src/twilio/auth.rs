//! `X-Twilio-Signature` (twilio.com/docs/usage/webhooks/webhooks-security), as the official SDKs
//! check it.
//!
//! Signed is the URL followed by every distinct pair of name and value, sorted. A body that is no
//! form is named by its hash in the URL (`bodySHA256`), and then the URL is all that is signed.
//! Nothing in it tells the time, so a repeated message is found by its event key only.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use url::form_urlencoded;

use super::form::MAX_PARAMETERS;
use crate::http::sole_header;

const SIGNATURE: &str = "x-twilio-signature";
/// `key=<id>,algorithm=HMAC_SHA256`: the message is signed by a shared key, not the auth token.
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// What a callback is checked against.
#[derive(Debug, Clone)]
pub struct Keys<'a> {
    /// Auth tokens: the current one, then the previous one.
    pub auth_tokens: &'a [SecretString],
    /// Id and secret of a shared key, where the organization uses one.
    pub shared_key: Option<(&'a str, &'a SecretString)>,
}

/// A request that does not prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is not signed by a known key")]
pub struct Forged;

type Signer = fn(&[u8], &str, &str) -> Option<String>;

/// Checks a callback that was sent to `url`, the exact public URL with its query.
///
/// `body` is the raw body of a `POST`. Empty secrets match nothing. A message that names a shared
/// key is checked against that key only.
///
/// # Errors
/// When no configured key made the signature.
pub fn verify(headers: &HeaderMap, url: &str, body: &[u8], keys: &Keys<'_>) -> Result<(), Forged> {
    let signature = sole_header(headers, SIGNATURE).ok_or(Forged)?;
    let (secrets, signer): (Vec<&str>, Signer) = if headers.contains_key(SETTINGS) {
        (vec![shared_secret(headers, keys).ok_or(Forged)?], hmac_sha256)
    } else {
        (keys.auth_tokens.iter().map(ExposeSecret::expose_secret).collect(), hmac_sha1)
    };
    let url = url.split('#').next().unwrap_or_default();
    let urls = spellings(url);
    let mut known = Choice::from(0);
    for parameters in signed_parameters(headers, url, body) {
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            for url in &urls {
                let expected = signer(secret.as_bytes(), url, &parameters).ok_or(Forged)?;
                known |= signature.as_bytes().ct_eq(expected.as_bytes());
            }
        }
    }
    if bool::from(known) { Ok(()) } else { Err(Forged) }
}

/// The header with which Twilio would send this form to `url`.
pub fn sign(url: &str, form: &[u8], auth_token: &SecretString) -> String {
    let parameters = sorted_parameters(form).unwrap_or_default();
    hmac_sha1(auth_token.expose_secret().as_bytes(), url, &parameters).unwrap_or_default()
}

/// The secret of the shared key that the message names, if it is the configured one.
fn shared_secret<'a>(headers: &HeaderMap, keys: &Keys<'a>) -> Option<&'a str> {
    let (mut key, mut algorithm) = (None, None);
    for part in sole_header(headers, SETTINGS)?.split(',') {
        let (name, value) = part.split_once('=')?;
        let known = match name.trim() {
            "key" => &mut key,
            "algorithm" => &mut algorithm,
            _ => continue,
        };
        if known.replace(value.trim()).is_some() {
            return None;
        }
    }
    let (id, secret) = keys.shared_key?;
    let is_ours = key == Some(id) && !id.is_empty();
    // An auth token's algorithm under the name of a shared key would be a downgrade.
    (is_ours && algorithm == Some("HMAC_SHA256")).then(|| secret.expose_secret())
}

/// What follows the URL in the signed text, one entry for each way in which the body is covered:
/// by its parameters, by its hash. None where a signature would say nothing of the body.
fn signed_parameters(headers: &HeaderMap, url: &str, body: &[u8]) -> Vec<String> {
    let by_parameters = is_form(headers, body).then(|| sorted_parameters(body)).flatten();
    let by_hash = names_body(url, body).then(String::new);
    by_parameters.into_iter().chain(by_hash).collect()
}

fn is_form(headers: &HeaderMap, body: &[u8]) -> bool {
    let written = sole_header(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = written.split(';').next().unwrap_or_default().trim();
    body.is_empty() || essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Names and values without separators; empty values count, repeated pairs count once.
fn sorted_parameters(body: &[u8]) -> Option<String> {
    let mut pairs: Vec<_> = form_urlencoded::parse(body).take(MAX_PARAMETERS + 1).collect();
    if pairs.len() > MAX_PARAMETERS {
        return None;
    }
    pairs.sort();
    pairs.dedup();
    Some(pairs.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]).collect())
}

/// Whether the query's one `bodySHA256` is the hash of the body.
fn names_body(url: &str, body: &[u8]) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut named =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "bodySHA256");
    let (Some((_, hash)), None) = (named.next(), named.next()) else { return false };
    let Ok(hash) = hex::decode(hash.as_bytes()) else { return false };
    hash.ct_eq(Sha256::digest(body).as_slice()).into()
}

/// The URL as it is, and with its port left out or the default one written: Twilio's own servers
/// are not of one mind, so its SDKs try both.
fn spellings(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return spellings };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    spellings.push(match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => format!("{scheme}://{host}{path}"),
        _ => {
            let port = if scheme == "https" { 443 } else { 80 };
            format!("{scheme}://{authority}:{port}{path}")
        }
    });
    spellings
}

fn hmac_sha1(key: &[u8], url: &str, parameters: &str) -> Option<String> {
    let mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    Some(STANDARD.encode(mac.chain_update(url).chain_update(parameters).finalize().into_bytes()))
}

fn hmac_sha256(key: &[u8], url: &str, parameters: &str) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    Some(STANDARD.encode(mac.chain_update(url).chain_update(parameters).finalize().into_bytes()))
}

#[cfg(test)]
mod tests;
