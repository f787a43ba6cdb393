//! Vapi's three ways, the HMAC by any plan that the settings accept.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use contract::call::Provider;
use fuzz::request::Request;
use hmac::Hmac;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use providers::{
    settings,
    vapi::auth::{self, Forged, HmacAlgorithm, HmacPlan, SignatureEncoding},
};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::{Attempt, hmac};

const TOKEN: HeaderName = HeaderName::from_static("x-vapi-secret");
const MESSAGE_ID: &str = "msg_1";

/// The request's plan, else Vapi's default.
pub(crate) fn plan(request: &Request<'_>) -> HmacPlan {
    serde_json::from_str(&request.setting).unwrap_or_default()
}

pub(crate) fn verify(
    plan: &HmacPlan,
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[SecretString],
    now: DateTime<Utc>,
) -> Result<(), Forged> {
    auth::verify(headers, body, secrets, plan, now)
}

pub(crate) fn try_all(attempt: &Attempt<'_>) {
    let request = attempt.request;
    let plan = plan(request);
    token_is_enough(attempt, &plan);
    let setting = serde_json::to_value(&plan).expect("a plan is JSON");
    if settings::check(Provider::Vapi, &setting).is_err() {
        return;
    }
    let checked = verify(&plan, &request.headers, request.body, &request.secrets, request.now);
    assert_ne!(checked, Err(Forged::Plan), "the settings accepted what cannot be checked");
    hmac_is_enough(attempt, &plan);
}

fn token_is_enough(attempt: &Attempt<'_>, plan: &HmacPlan) {
    let Attempt { request, secret, unknown, .. } = attempt;
    let exposed = secret.expose_secret();
    // Other characters are not in a header's text.
    if !exposed.bytes().all(|byte| byte.is_ascii_graphic()) {
        return;
    }
    let bearer = format!("bearer {exposed}");
    for (name, value) in [(TOKEN, exposed), (AUTHORIZATION, bearer.as_str())] {
        let passes = |value: &str, secret: &SecretString| {
            let value = HeaderValue::from_str(value).expect("graphic characters");
            let headers = HeaderMap::from_iter([(name.clone(), value)]);
            let secrets = [SecretString::default(), secret.clone()];
            verify(plan, &headers, request.body, &secrets, request.now).is_ok()
        };
        assert!(passes(value, secret), "the secret itself");
        assert!(!passes(value, unknown), "another secret");
        assert!(!passes(&format!("{value}x"), secret), "more than the secret");
    }
}

fn hmac_is_enough(attempt: &Attempt<'_>, plan: &HmacPlan) {
    let Attempt { request, secret, unknown, changed } = attempt;
    let (body, now) = (request.body, request.now);
    let millis = now.timestamp_millis();
    // The unit is by chance, as Vapi does not document it.
    let digits = if millis % 2 == 0 { millis } else { millis / 1000 }.to_string();
    let Some(headers) = signed(plan, body, secret, &digits) else { return };
    let both = [(*unknown).clone(), (*secret).clone()];
    let passes = |body: &[u8], secrets: &[SecretString], at| {
        verify(plan, &headers, body, secrets, at).is_ok()
    };
    assert!(passes(body, &both, now), "as the previous secret");
    assert!(!passes(body, &both[..1], now), "another secret");
    assert!(!passes(changed, &both, now), "a changed body");
    let timed = plan.include_timestamp || plan.payload_format.contains("{timestamp}");
    for off in [TimeDelta::seconds(302), TimeDelta::seconds(-302)] {
        assert_eq!(passes(body, &both, now + off), !timed, "off by {off}");
    }
}

/// The headers that Vapi would send, where this plan can be sent at all.
fn signed(plan: &HmacPlan, body: &[u8], secret: &SecretString, digits: &str) -> Option<HeaderMap> {
    let secret = secret.expose_secret();
    let key = match plan.secret_is_base64 {
        true => STANDARD.decode(secret).ok().filter(|key| !key.is_empty())?,
        false => secret.as_bytes().to_vec(),
    };
    let signature = signature(plan, &key, &payload(plan, body, digits));
    let message_id = plan.message_id_header.as_deref().map(|name| (name, MESSAGE_ID));
    let fields = [(&*plan.signature_header, &*signature), (&*plan.timestamp_header, digits)];
    let mut headers = HeaderMap::new();
    for (name, value) in fields.into_iter().chain(message_id) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("checked by the settings");
        let value = HeaderValue::from_str(value).expect("checked by the settings");
        assert!(headers.insert(name, value).is_none(), "the settings keep the names apart");
    }
    Some(headers)
}

fn payload(plan: &HmacPlan, body: &[u8], digits: &str) -> Vec<u8> {
    let fill = |text: &str| {
        let text = text.replace("{timestamp}", digits).replace("{method}", "POST");
        text.replace("{svix-id}", MESSAGE_ID)
    };
    let (before, after) = plan.payload_format.split_once("{body}").expect("checked");
    [fill(before).as_bytes(), body, fill(after).as_bytes()].concat()
}

fn signature(plan: &HmacPlan, key: &[u8], payload: &[u8]) -> String {
    let digest = match plan.algorithm {
        HmacAlgorithm::Sha256 => hmac::<Hmac<Sha256>>(key, payload),
        HmacAlgorithm::Sha512 => hmac::<Hmac<Sha512>>(key, payload),
        HmacAlgorithm::Sha1 => hmac::<Hmac<Sha1>>(key, payload),
    };
    let written = match plan.signature_encoding {
        SignatureEncoding::Hex => hex::encode(digest),
        SignatureEncoding::Base64 => STANDARD.encode(digest),
    };
    format!("{}{written}", plan.signature_prefix.as_deref().unwrap_or_default())
}
