//! `X-Twilio-Signature`: forms signed by the real signer and by the shared key's scheme.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::Hmac;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use providers::twilio::auth::{self, Keys};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use url::form_urlencoded;

use crate::{Attempt, hmac};

const SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");
const SETTINGS: HeaderName = HeaderName::from_static("x-twilio-webhooks-signature-settings");
const SHARED_KEY: &str = "WK1";
const SHARED: HeaderValue = HeaderValue::from_static("key=WK1,algorithm=HMAC_SHA256");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// Most parameters of a form whose signature is checked.
const MAX_PARAMETERS: usize = 1000;

/// The last secret is also that of the shared key.
pub(crate) fn passes(
    headers: &HeaderMap,
    url: &str,
    body: &[u8],
    secrets: &[SecretString],
) -> bool {
    let shared_key = secrets.last().map(|secret| (SHARED_KEY, secret));
    auth::verify(headers, url, body, &Keys { auth_tokens: secrets, shared_key }).is_ok()
}

pub(crate) fn try_all(attempt: &Attempt<'_>) {
    let Attempt { request, secret, unknown, changed } = attempt;
    let (url, body) = (request.setting.as_str(), request.body);
    let Some(text) = parameters(body) else { return };
    // A signature ends at the fragment. Without a path the port, which may be left out, would run
    // into the parameters; Twilio's URLs have one.
    let path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if !path || url.contains('#') {
        return;
    }
    let both = [(*unknown).clone(), (*secret).clone()];
    let known = &both[1..];
    let by_token = signed(&auth::sign(url, body, secret));
    let by_key = hmac::<Hmac<Sha256>>(
        secret.expose_secret().as_bytes(),
        (url.to_owned() + &text).as_bytes(),
    );
    let mut by_key = signed(&STANDARD.encode(by_key));
    by_key.insert(SETTINGS, SHARED);
    // Names and values are signed without what separates them, so that not every change shows.
    let still_signed = parameters(changed).is_some_and(|after| after == text);
    for headers in [&by_token, &by_key] {
        assert!(passes(headers, url, body, &both), "as the previous token, or the shared key");
        assert!(!passes(headers, url, body, &both[..1]), "another token or key");
        assert_eq!(passes(headers, url, changed, known), still_signed, "a changed body");
        assert!(!passes(headers, &format!("{url}x"), body, known), "another URL");
    }
    let mut mixed = by_token.clone();
    mixed.insert(SETTINGS, SHARED);
    assert!(!passes(&mixed, url, body, known), "a token in the place of a shared key");
    by_key.remove(SETTINGS);
    assert!(!passes(&by_key, url, body, known), "a shared key in the place of a token");
}

fn signed(signature: &str) -> HeaderMap {
    let signature = HeaderValue::from_str(signature).expect("base64");
    HeaderMap::from_iter([(SIGNATURE, signature), (CONTENT_TYPE, FORM)])
}

/// What is signed of a form: each distinct pair, sorted. None of one with too many.
fn parameters(body: &[u8]) -> Option<String> {
    let pairs = || form_urlencoded::parse(body);
    let distinct: BTreeSet<_> = pairs().collect();
    let few = pairs().count() <= MAX_PARAMETERS;
    few.then(|| distinct.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]).collect())
}
