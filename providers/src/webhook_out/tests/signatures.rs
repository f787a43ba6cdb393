use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;

use super::{SECRET, secrets, vectors};
use crate::webhook_out::{Unsignable, new_secret, sign};

#[test]
fn signatures_are_those_of_the_vectors() {
    let vectors = vectors();
    for vector in vectors["standard_webhooks"].as_array().expect("a list") {
        let text = |name: &str| vector[name].as_str().expect(name);
        let timestamp = vector["webhook_timestamp"].as_i64().expect("a timestamp");
        let sign = |texts: &[&str]| {
            sign(text("webhook_id"), timestamp, text("payload").as_bytes(), &secrets(texts))
        };
        assert_eq!(sign(&[text("secret")]), Ok(text("webhook_signature").to_owned()));
        assert_eq!(
            sign(&[text("secret"), text("rotation_old_secret")]),
            Ok(text("webhook_signature_both").to_owned())
        );
    }
    // Svix signs alike; its headers have other names.
    let svix = &vectors["svix"];
    let text = |name: &str| svix[name].as_str().expect(name);
    let timestamp = svix["svix_timestamp"].as_i64().expect("a timestamp");
    let signed =
        sign(text("svix_id"), timestamp, text("payload").as_bytes(), &secrets(&[text("secret")]));
    assert_eq!(signed, Ok(text("svix_signature").to_owned()));
}

#[test]
fn weak_secrets_and_ambiguous_ids_sign_nothing() {
    let of_length = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
    for secret in ["", "whsec_", "secret", "whsec_!", &SECRET[6..], &of_length(23), &of_length(65)]
    {
        assert_eq!(sign("m", 1, b"", &secrets(&[SECRET, secret])), Err(Unsignable::BadSecret));
    }
    for bytes in [24, 32, 64] {
        assert!(sign("m", 1, b"", &secrets(&[&of_length(bytes)])).is_ok());
    }
    assert_eq!(sign("m", 1, b"", &[]), Err(Unsignable::NoSecret));
    for id in ["", "a.b", "a b", "a\r\nb", "é"] {
        assert_eq!(sign(id, 1, b"", &secrets(&[SECRET])), Err(Unsignable::BadId), "{id}");
    }
}

#[test]
fn new_secrets_hold_32_bytes_and_differ() {
    let (one, other) = (new_secret().expect("randomness"), new_secret().expect("randomness"));
    assert_ne!(one.expose_secret(), other.expose_secret());
    let encoded = one.expose_secret().strip_prefix("whsec_").expect("a prefix");
    assert_eq!(STANDARD.decode(encoded).expect("base64").len(), 32);
    assert!(sign("m", 1, b"", &[one]).is_ok());
}
