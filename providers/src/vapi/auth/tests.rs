use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!("../../../../tests/fixtures/vectors.json");
const REPORT: &[u8] = include_bytes!("../../../../tests/fixtures/vapi/end_of_call_report.json");

/// A signed message: everything that `verify` looks at.
struct Signed {
    headers: HeaderMap,
    body: Vec<u8>,
    secret: String,
    plan: HmacPlan,
    now: DateTime<Utc>,
}

impl Signed {
    fn verify_with(&self, secrets: &[&str]) -> Result<(), Forged> {
        let secrets: Vec<SecretString> =
            secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        verify(&self.headers, &self.body, &secrets, &self.plan, self.now)
    }

    fn verify(&self) -> Result<(), Forged> {
        self.verify_with(&[&self.secret])
    }

    fn at(&self, millis: i64) -> Result<(), Forged> {
        let now = DateTime::from_timestamp_millis(millis).expect("in range");
        let secret = SecretString::from(self.secret.as_str());
        verify(&self.headers, &self.body, &[secret], &self.plan, now)
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("ascii"))
        })
        .collect()
}

fn vectors() -> Vec<Signed> {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let vectors = vectors["vapi"].as_array().expect("a list").clone();
    vectors.iter().map(signed).collect()
}

fn signed(vector: &Value) -> Signed {
    let text = |name: &str| vector[name].as_str();
    let body_only = text("timestamp").is_none();
    let mut plan = HmacPlan::default();
    if body_only {
        plan.include_timestamp = false;
        plan.payload_format = "{body}".to_owned();
        plan.signature_header = "x-vapi-signature".to_owned();
    }
    let described = text("plan").expect("a plan");
    if described.contains("sha256=") {
        plan.signature_prefix = Some("sha256=".to_owned());
    }
    if described.contains("base64") {
        plan.signature_encoding = SignatureEncoding::Base64;
    }
    let signature = text("x_signature").or(text("x_vapi_signature")).expect("a signature");
    let headers = match text("timestamp") {
        Some(timestamp) => headers(&[("x-signature", signature), ("x-timestamp", timestamp)]),
        None => headers(&[("x-vapi-signature", signature)]),
    };
    Signed {
        headers,
        body: text("payload").map_or(REPORT, str::as_bytes).to_vec(),
        secret: text("secret").expect("a secret").to_owned(),
        plan,
        now: DateTime::from_timestamp_millis(1_795_186_930_123).expect("in range"),
    }
}

#[test]
fn the_vectors_verify() {
    assert_eq!(vectors().len(), 5);
    for message in vectors() {
        assert_eq!(message.verify(), Ok(()), "{:?}", message.plan);
        assert_eq!(message.verify_with(&["other", &message.secret]), Ok(()), "previous secret");
        assert_eq!(message.verify_with(&["other", ""]), Err(Forged::Wrong));
        assert_eq!(message.verify_with(&[]), Err(Forged::Wrong));
    }
}

#[test]
fn every_flipped_byte_fails() {
    for mut message in vectors() {
        // Each byte of the long body costs a whole HMAC, so a prime stride stands for all.
        let stride = if message.body.len() > 1000 { 37 } else { 1 };
        for at in (0..message.body.len()).step_by(stride) {
            message.body[at] ^= 0x20;
            assert_eq!(message.verify(), Err(Forged::Wrong), "body byte {at}");
            message.body[at] ^= 0x20;
        }
        for name in ["x-signature", "x-vapi-signature", "x-timestamp"] {
            let Some(value) = message.headers.get(name).cloned() else { continue };
            for at in 0..value.len() {
                let mut bytes = value.as_bytes().to_vec();
                bytes[at] ^= 1;
                let flipped = HeaderValue::from_bytes(&bytes).expect("still a value");
                message.headers.insert(name, flipped);
                assert!(message.verify().is_err(), "{name} byte {at}");
            }
            message.headers.insert(name, value);
        }
        assert_eq!(message.verify(), Ok(()));
    }
}

#[test]
fn timestamps_are_good_for_300_seconds_both_ways() {
    let vectors = vectors();
    for (message, sent) in [(&vectors[0], 1_795_186_930_123), (&vectors[1], 1_795_186_930_000)] {
        for seconds in [-300, -299, 0, 299, 300] {
            assert_eq!(message.at(sent + seconds * 1000), Ok(()), "{seconds}");
        }
        for seconds in [-301, 301, 86_400] {
            assert_eq!(message.at(sent + seconds * 1000), Err(Forged::Stale), "{seconds}");
        }
    }
    let mut message = signed_without("x-timestamp");
    assert_eq!(message.verify(), Err(Forged::Stale));
    for text in ["", "soon", "9223372036854775807", "-9223372036854775808", "1e9"] {
        message.headers.insert("x-timestamp", HeaderValue::from_static(text));
        assert_eq!(message.verify(), Err(Forged::Stale), "{text}");
    }
}

fn signed_without(header: &str) -> Signed {
    let mut message = vectors().swap_remove(0);
    message.headers.remove(header);
    message
}

#[test]
fn the_current_and_the_previous_secret_are_good_and_no_other_is() {
    for message in vectors() {
        let known = message.secret.as_str();
        let of_another = "vapi_hmac_secret_of_another_organization";
        assert_eq!(message.verify_with(&[known, "older"]), Ok(()), "current");
        assert_eq!(message.verify_with(&["newer", known]), Ok(()), "previous");
        // The caller hands over these two only, so an older one is simply not among them.
        assert_eq!(message.verify_with(&["newest", "newer"]), Err(Forged::Wrong), "older");
        assert_eq!(message.verify_with(&[of_another]), Err(Forged::Wrong), "another's");
    }
}

#[test]
fn every_hash_of_the_plan_verifies_its_own_signatures_only() {
    // RFC 2202 test case 2 (SHA-1) and RFC 4231 test case 2 (SHA-256, SHA-512).
    let (secret, body) = ("Jefe", "what do ya want for nothing?");
    for (algorithm, expected) in [
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let plan = serde_json::json!({ "algorithm": algorithm, "includeTimestamp": false,
            "payloadFormat": "{body}" });
        let mut message = Signed {
            headers: headers(&[("x-signature", expected)]),
            body: body.into(),
            secret: secret.to_owned(),
            plan: serde_json::from_value(plan).expect("a plan"),
            now: DateTime::UNIX_EPOCH,
        };
        assert_eq!(message.verify(), Ok(()), "{algorithm}");
        for other in [HmacAlgorithm::Sha1, HmacAlgorithm::Sha256, HmacAlgorithm::Sha512] {
            let own = other == message.plan.algorithm;
            let before = std::mem::replace(&mut message.plan.algorithm, other);
            assert_eq!(message.verify().is_ok(), own, "{algorithm} as {other:?}");
            message.plan.algorithm = before;
        }
    }
    let unknown = serde_json::from_str::<HmacPlan>(r#"{"algorithm":"md5"}"#);
    assert!(unknown.is_err());
}

proptest! {
    #[test]
    fn any_flipped_byte_fails(
        vector in 0_usize..5,
        place in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
        part in 0_usize..3,
    ) {
        let mut message = vectors().swap_remove(vector);
        prop_assert_eq!(message.verify(), Ok(()));
        let name = if message.headers.contains_key("x-signature") { "x-signature" } else { "x-vapi-signature" };
        match part {
            0 => {
                let place = place.index(message.body.len());
                message.body[place] ^= flip;
            }
            1 => {
                let mut secret = message.secret.clone().into_bytes();
                let place = place.index(secret.len());
                // Stays text, as every secret is.
                secret[place] = if secret[place] == b'#' { b'%' } else { b'#' };
                message.secret = String::from_utf8(secret).expect("ascii");
            }
            _ => {
                let mut value = message.headers[name].as_bytes().to_vec();
                let place = place.index(value.len());
                value[place] ^= flip;
                // What no header can carry never arrives.
                let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
                message.headers.insert(name, value);
            }
        }
        prop_assert!(message.verify().is_err());
    }
}

#[test]
fn the_shared_secret_and_the_bearer_token_are_compared_whole() {
    let mut message = signed_without("x-signature");
    assert_eq!(message.verify(), Err(Forged::Missing));
    let secret = message.secret.clone();
    for (name, prefix) in [("x-vapi-secret", ""), ("authorization", "Bearer ")] {
        for (token, result) in [
            (secret.clone(), Ok(())),
            (format!("{secret}x"), Err(Forged::Wrong)),
            (secret[1..].to_owned(), Err(Forged::Wrong)),
            (String::new(), Err(Forged::Wrong)),
        ] {
            message.headers = headers(&[(name, &format!("{prefix}{token}"))]);
            assert_eq!(message.verify(), result, "{name}");
            assert_eq!(message.verify_with(&["", "other"]), Err(Forged::Wrong), "{name}");
        }
    }
    message.headers = headers(&[("authorization", &format!("Basic {secret}"))]);
    assert_eq!(message.verify(), Err(Forged::Missing));
    message.headers.append("x-vapi-secret", HeaderValue::from_str(&secret).expect("ascii"));
    message.headers.append("x-vapi-secret", HeaderValue::from_static("other"));
    assert_eq!(message.verify(), Err(Forged::Missing), "two values are none");
}

#[test]
fn a_plan_must_sign_the_body_and_nothing_unknown() {
    let mut message = vectors().swap_remove(0);
    for format in ["{timestamp}", "", "{timestamp}.{body}.{url}", "{body}{"] {
        message.plan.payload_format = format.to_owned();
        assert_eq!(message.verify(), Err(Forged::Plan), "{format}");
    }
    assert_eq!(
        payload("{method} {svix-id}.{timestamp}.{body}", b"{timestamp}", Some("1"), Some("m")),
        Ok(b"POST m.1.{timestamp}".to_vec()),
    );
}

#[test]
fn plans_are_read_as_vapi_writes_them_and_default_to_its_defaults() {
    let plan: HmacPlan = serde_json::from_str("{}").expect("defaults");
    assert_eq!(plan, HmacPlan::default());
    let plan: HmacPlan = serde_json::from_str(
        r#"{"type":"hmac","algorithm":"sha512","signatureEncoding":"base64",
            "secretIsBase64":true,"signatureHeader":"x-vapi-signature"}"#,
    )
    .expect("a plan");
    assert_eq!(plan.algorithm, HmacAlgorithm::Sha512);
    let key = STANDARD.encode(b"key");
    let signature = expected_signature(&plan, b"key", b"1795186930.{}").expect("signed");
    let message = Signed {
        headers: headers(&[("x-vapi-signature", &signature), ("x-timestamp", "1795186930")]),
        body: b"{}".to_vec(),
        secret: key,
        plan,
        now: DateTime::from_timestamp(1_795_186_930, 0).expect("in range"),
    };
    assert_eq!(message.verify(), Ok(()));
    assert_eq!(message.verify_with(&["not base64!"]), Err(Forged::Wrong));
}
