use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::{SECRET, secrets, vectors};
use crate::webhook_out::{Unsignable, Unverified, sign, verify};

const OTHER: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TOLERANCE: Duration = Duration::from_secs(300);
const SENT: i64 = 1_763_650_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

fn verified(signatures: &str, texts: &[&str], now: i64) -> Result<(), Unverified> {
    let timestamp = SENT.to_string();
    verify("m", &timestamp, signatures, b"body", &secrets(texts), at(now), TOLERANCE)
}

fn signed(texts: &[&str]) -> String {
    sign("m", SENT, b"body", &secrets(texts)).expect("signed")
}

#[test]
fn signatures_of_the_vectors_are_right_also_while_secrets_rotate() {
    for vector in vectors()["standard_webhooks"].as_array().expect("a list") {
        let text = |name: &str| vector[name].as_str().expect(name);
        let sent = vector["webhook_timestamp"].as_i64().expect("a timestamp");
        let (new, old) = (text("secret"), text("rotation_old_secret"));
        let (one, both) = (text("webhook_signature"), text("webhook_signature_both"));
        for (signatures, texts, expected) in [
            (one, &[new][..], Ok(())),
            (one, &[old, new], Ok(())),
            (one, &[old], Err(Unverified::Mismatch)),
            // A receiver that knows only one of them takes it either way.
            (both, &[new], Ok(())),
            (both, &[old], Ok(())),
            (both, &[new, old], Ok(())),
            (
                both,
                &[SECRET, OTHER],
                if [new, old].contains(&SECRET) { Ok(()) } else { Err(Unverified::Mismatch) },
            ),
        ] {
            let (id, body) = (text("webhook_id"), text("payload").as_bytes());
            let sent_at = sent.to_string();
            let result =
                verify(id, &sent_at, signatures, body, &secrets(texts), at(sent), TOLERANCE);
            assert_eq!(result, expected);
        }
    }
}

#[test]
fn other_versions_and_rubbish_are_skipped() {
    let right = signed(&[SECRET]);
    let other = signed(&[OTHER]);
    for signatures in [
        format!("v1a,AAAA {right}"),
        format!("{other} {right}"),
        format!("v2,AAAA v1 v1, , v1,!!! {right} v1a,BBBB"),
        format!("  {right}\t"),
    ] {
        assert_eq!(verified(&signatures, &[SECRET], SENT), Ok(()), "{signatures}");
    }
    let as_v1a = right.replace("v1,", "v1a,");
    let as_v2 = right.replace("v1,", "v2,");
    let bare = right.replace("v1,", "");
    for signatures in ["", "v1", "v1,!", &as_v1a, &as_v2, &bare] {
        let result = verified(signatures, &[SECRET], SENT);
        assert_eq!(result, Err(Unverified::NoSignature), "{signatures}");
    }
    // Also nothing, the beginning of the right one, and the right one with something after it.
    let bytes = STANDARD.decode(&bare).expect("base64");
    let beginning = format!("v1,{}", STANDARD.encode(&bytes[..16]));
    let longer = format!("v1,{}", STANDARD.encode([&bytes[..], b"\0"].concat()));
    for signatures in ["v1,", "v1,AAAA", &other, &beginning, &longer] {
        let result = verified(signatures, &[SECRET], SENT);
        assert_eq!(result, Err(Unverified::Mismatch), "{signatures}");
    }
}

#[test]
fn the_time_may_differ_by_the_tolerance_and_no_more() {
    let signatures = signed(&[SECRET]);
    for (now, expected) in [
        (SENT + 300, Ok(())),
        (SENT - 300, Ok(())),
        (SENT + 301, Err(Unverified::TooOld(301))),
        (SENT - 301, Err(Unverified::TooNew(301))),
    ] {
        assert_eq!(verified(&signatures, &[SECRET], now), expected, "{now}");
    }
    let with = |timestamp: &str| {
        verify("m", timestamp, &signatures, b"body", &secrets(&[SECRET]), at(SENT), TOLERANCE)
    };
    assert_eq!(with(&format!(" {SENT} ")), Ok(()));
    // Milliseconds are the usual mistake; they lie far in the future.
    assert!(matches!(with(&format!("{SENT}000")), Err(Unverified::TooNew(_))));
    for extreme in [i64::MIN, i64::MAX] {
        let result = with(&extreme.to_string());
        assert!(matches!(result, Err(Unverified::TooNew(_) | Unverified::TooOld(_))), "{result:?}");
    }
    for timestamp in ["", "now", "1.5", "2026-11-20T15:00:00Z", "99999999999999999999"] {
        assert_eq!(with(timestamp), Err(Unverified::Timestamp), "{timestamp}");
    }
    assert_eq!(with(&(SENT + 1).to_string()), Err(Unverified::Mismatch), "it is signed too");
}

#[test]
fn without_a_usable_secret_nothing_is_believed() {
    // The signature that an empty key makes.
    let empty = "v1,KUtt9oeNxKRZuZR9MLzQCDhvO8XuVLQ5xmp0xjPuQ5c=";
    assert_eq!(verified(empty, &[], SENT), Err(Unsignable::NoSecret.into()));
    for secret in ["", "whsec_", "hush", &SECRET[6..]] {
        assert_eq!(verified(empty, &[secret], SENT), Err(Unsignable::BadSecret.into()));
    }
}

proptest! {
    #[test]
    fn every_changed_byte_is_found(at_byte in 0..4_usize, with in 1..=255_u8) {
        let mut body = *b"body";
        body[at_byte] ^= with;
        let signatures = signed(&[SECRET]);
        let timestamp = SENT.to_string();
        let result =
            verify("m", &timestamp, &signatures, &body, &secrets(&[SECRET]), at(SENT), TOLERANCE);
        prop_assert_eq!(result, Err(Unverified::Mismatch));
    }

    #[test]
    fn no_header_makes_it_panic(id in ".*", timestamp in ".*", signatures in ".*") {
        let secrets = secrets(&[SECRET]);
        let result = verify(&id, &timestamp, &signatures, b"", &secrets, at(SENT), TOLERANCE);
        prop_assert!(result.is_err());
    }
}
