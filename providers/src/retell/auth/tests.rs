use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!("../../../../tests/fixtures/vectors.json");
const ENDED: &[u8] = include_bytes!("../../../../tests/fixtures/retell/call_ended.json");
const KEY: &str = "key_0123456789abcdef0123456789ab";
const OTHER_KEY: &str = "key_ffffffffffffffffffffffffffff";
const SIGNED_AT: i64 = 1_795_186_930_123;

fn fixture(name: &str) -> &'static [u8] {
    match name {
        "retell/call_started.json" => {
            include_bytes!("../../../../tests/fixtures/retell/call_started.json")
        }
        "retell/call_ended.json" => ENDED,
        "retell/call_analyzed.json" => {
            include_bytes!("../../../../tests/fixtures/retell/call_analyzed.json")
        }
        other => panic!("no fixture {other}"),
    }
}

fn headers(values: &[&str]) -> HeaderMap {
    let name = HeaderName::from_static(SIGNATURE_HEADER);
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

fn check(signature: &str, body: &[u8], secrets: &[&str], millis: i64) -> Result<(), Forged> {
    let secrets: Vec<SecretString> =
        secrets.iter().map(|secret| SecretString::from(*secret)).collect();
    let now = DateTime::from_timestamp_millis(millis).expect("in range");
    verify(&headers(&[signature]), body, &secrets, now)
}

/// The signature that Retell would make.
fn sign(key: &str, body: &[u8], digits: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
    let digest = mac.chain_update(body).chain_update(digits).finalize().into_bytes();
    format!("v={digits},d={}", hex::encode(digest))
}

fn ended() -> String {
    sign(KEY, ENDED, &SIGNED_AT.to_string())
}

#[test]
fn every_official_vector_verifies_and_nothing_near_it() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let vectors = vectors["retell"].as_array().expect("a list");
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str();
        let body = match text("payload") {
            Some(payload) => payload.as_bytes(),
            None => fixture(text("fixture").expect("a fixture")),
        };
        let (signature, key) = (text("signature").expect("one"), text("api_key").expect("one"));
        let signed_at = vector["timestamp_ms"].as_i64().expect("a time");
        let holds = |body: &[u8], late| check(signature, body, &[key], signed_at + late).is_ok();
        for (name, late, otherwise) in [
            ("verify_now", 0, true),
            ("verify_plus_5min", 300_000, true),
            ("verify_plus_5min_1ms", 300_001, false),
        ] {
            let expected = vector[name].as_bool().unwrap_or(otherwise);
            assert_eq!(holds(body, late), expected, "{name} of {signature}");
        }
        assert_eq!(
            holds(&[body, b" "].concat(), 0),
            vector["tampered"].as_bool().unwrap_or(false),
            "{signature}"
        );
    }
}

#[test]
fn a_time_is_good_for_300_seconds_both_ways() {
    for (millis, good) in [
        (0, true),
        (299_000, true),
        (300_000, true),
        (300_001, false),
        (301_000, false),
        (i64::from(u32::MAX), false),
    ] {
        for late in [millis, -millis] {
            assert_eq!(check(&ended(), ENDED, &[KEY], SIGNED_AT + late).is_ok(), good, "{late}");
        }
    }
}

#[test]
fn only_a_known_key_verifies() {
    let check = |secrets: &[&str]| check(&ended(), ENDED, secrets, SIGNED_AT);
    assert_eq!(check(&[KEY]), Ok(()));
    assert_eq!(check(&[OTHER_KEY, KEY]), Ok(()), "the previous one");
    assert_eq!(check(&[KEY, OTHER_KEY]), Ok(()));
    assert_eq!(check(&[]), Err(Forged));
    assert_eq!(check(&[OTHER_KEY]), Err(Forged), "another organization's");
    let current_and_previous = ["key_newest", "key_newer"];
    assert_eq!(check(&current_and_previous), Err(Forged), "an older one");
}

#[test]
fn an_empty_secret_is_no_key() {
    let signature = sign("", ENDED, &SIGNED_AT.to_string());
    assert_eq!(check(&signature, ENDED, &["", ""], SIGNED_AT), Err(Forged));
    assert_eq!(check(&ended(), ENDED, &["", KEY], SIGNED_AT), Ok(()));
}

#[test]
fn the_header_is_there_once_and_whole() {
    let good = ended();
    let now = DateTime::from_timestamp_millis(SIGNED_AT).expect("in range");
    let secrets = [SecretString::from(KEY)];
    let check = |values: &[&str]| verify(&headers(values), ENDED, &secrets, now);
    assert_eq!(check(&[&good]), Ok(()));
    assert_eq!(check(&[&good, &good]), Err(Forged));
    assert_eq!(check(&[&good, "v=1,d=00"]), Err(Forged));
    assert_eq!(check(&[]), Err(Forged));

    let (time, digest) = good.split_once(",d=").expect("two parts");
    let digits = time.strip_prefix("v=").expect("a time");
    for bad in [
        String::new(),
        "v=,d=".to_owned(),
        format!(" {good}"),
        format!("{good},"),
        format!("{good}00"),
        format!("V={digits},d={digest}"),
        format!("{time}, d={digest}"),
        format!("{time},d={}", &digest[2..]),
        format!("{time},d={}", &digest[1..]),
        format!("v=+{digits},d={digest}"),
        format!("v={digits}.0,d={digest}"),
        format!("v=0{digits},d={digest}"),
        format!("v={},d={digest}", "9".repeat(40)),
        format!("v={digits},d={}", "é".repeat(32)),
        format!("d={digest},v={digits}"),
        digest.to_owned(),
    ] {
        assert_eq!(check(&[&bad]), Err(Forged), "{bad}");
    }
    assert_eq!(check(&[&format!("{time},d={}", digest.to_uppercase())]), Ok(()), "either case");
}

#[test]
fn the_digits_are_signed_as_written() {
    let written = format!("0{SIGNED_AT}");
    assert_eq!(check(&sign(KEY, ENDED, &written), ENDED, &[KEY], SIGNED_AT), Ok(()));
}

proptest! {
    #[test]
    fn any_flipped_bit_of_the_body_fails(at in 0..ENDED.len(), bit in 0_u8..8) {
        let mut body = ENDED.to_vec();
        body[at] ^= 1 << bit;
        prop_assert_eq!(check(&ended(), &body, &[KEY], SIGNED_AT), Err(Forged));
    }

    #[test]
    fn any_changed_byte_of_the_body_fails(at in 0..ENDED.len(), by in 1_u8..) {
        let mut body = ENDED.to_vec();
        body[at] = body[at].wrapping_add(by);
        prop_assert_eq!(check(&ended(), &body, &[KEY], SIGNED_AT), Err(Forged));
    }

    #[test]
    fn a_cut_or_longer_body_fails(length in 0..ENDED.len(), more in 1_usize..9) {
        prop_assert_eq!(check(&ended(), &ENDED[..length], &[KEY], SIGNED_AT), Err(Forged));
        let longer = [ENDED, &b" ".repeat(more)].concat();
        prop_assert_eq!(check(&ended(), &longer, &[KEY], SIGNED_AT), Err(Forged));
    }

    #[test]
    fn any_other_key_fails(key in "[a-z0-9_]{1,40}") {
        prop_assume!(key != KEY);
        prop_assert_eq!(check(&ended(), ENDED, &[&key], SIGNED_AT), Err(Forged));
    }

    #[test]
    fn arbitrary_headers_are_refused_and_nothing_panics(
        value in prop::collection::vec(any::<u8>(), 0..100),
        body in prop::collection::vec(any::<u8>(), 0..50),
        millis in -8_000_000_000_000_i64..8_000_000_000_000,
    ) {
        let name = HeaderName::from_static(SIGNATURE_HEADER);
        let headers: HeaderMap =
            HeaderValue::from_bytes(&value).map(|value| (name, value)).into_iter().collect();
        let now = DateTime::from_timestamp_millis(millis).expect("in range");
        let secrets = [SecretString::from(KEY)];
        prop_assert_eq!(verify(&headers, &body, &secrets, now), Err(Forged));
    }
}

/// Every bit of the header, one after the other. A hexadecimal letter of the other case is the same
/// signature; every other change makes it none.
#[test]
fn any_flipped_bit_of_the_signature_fails() {
    let good = ended();
    let mut same = 0;
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            // A byte that no header can carry never gets here.
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
            let headers = [(HeaderName::from_static(SIGNATURE_HEADER), value)];
            let now = DateTime::from_timestamp_millis(SIGNED_AT).expect("in range");
            let result =
                verify(&headers.into_iter().collect(), ENDED, &[SecretString::from(KEY)], now);
            if at >= good.len() - 64 && bytes.eq_ignore_ascii_case(good.as_bytes()) {
                assert_eq!(result, Ok(()), "byte {at} in the other case");
                same += 1;
            } else {
                assert_eq!(result, Err(Forged), "byte {at}, bit {bit}");
            }
        }
    }
    let letters = good[good.len() - 64..].bytes().filter(u8::is_ascii_alphabetic).count();
    assert_eq!(same, letters);
}
