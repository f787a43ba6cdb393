use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::Value;

use super::{super::*, fixture};

const VECTORS: &str = include_str!("../../../../tests/fixtures/vectors.json");
const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;
const SECRET: &str = "whsec_test_secret_0123456789abcdef";
const OTHER_SECRET: &str = "whsec_another_secret_0123456789abc";

fn signed_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_186_805, 0).expect("in range")
}

fn check(header: &str, body: &[u8], secrets: &[&str], late: i64) -> bool {
    let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
    is_signed(header, body, &secrets, signed_at() + TimeDelta::seconds(late))
}

fn signed() -> String {
    sign(BODY, &SECRET.into(), signed_at())
}

#[test]
fn every_official_vector_verifies_and_is_what_we_sign() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let vectors = vectors["stripe"].as_array().expect("a list");
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str();
        let name = text("fixture").map(|path| path.trim_start_matches("stripe/"));
        let body = text("payload").or_else(|| name.map(fixture)).expect("a body").as_bytes();
        let (header, secret) = (text("header").expect("one"), text("secret").expect("one"));
        assert_eq!(vector["timestamp"], signed_at().timestamp());
        assert_eq!(sign(body, &secret.into(), signed_at()), header);
        let holds = |header: &str, late| check(header, body, &[secret], late);
        let said = |name: &str| vector.get(name).is_none_or(|verifies| *verifies == true);
        assert_eq!(holds(header, 0), said("sdk_verifies"));
        assert!(!check(header, &[body, b" "].concat(), &[secret], 0));

        let (time, v1) = header.split_once(',').expect("two parts");
        let both = format!("{time},v1={},{v1}", "0".repeat(64));
        assert_eq!(holds(&both, 0), said("two_v1_header_verifies"));
        assert_eq!(holds(header, 300), said("at_plus_300s"));
        // The library writes its refusal's text there.
        assert!(!holds(header, 301) && vector.get("at_plus_301s").is_none_or(Value::is_string));
        // The library takes any time to come (`at_minus_100000s_future_ts`); a clock is not off by so much.
        assert!(!holds(header, -100_000));
    }
}

#[test]
fn a_time_is_good_for_300_seconds_both_ways() {
    for (seconds, good) in [(0, true), (299, true), (300, true), (301, false), (100_000, false)] {
        for late in [seconds, -seconds] {
            assert_eq!(check(&signed(), BODY, &[SECRET], late), good, "{late}");
        }
    }
}

#[test]
fn any_configured_secret_verifies_and_no_other() {
    let header = signed();
    assert!(check(&header, BODY, &[OTHER_SECRET, SECRET], 0), "the previous one");
    assert!(check(&header, BODY, &[SECRET, OTHER_SECRET], 0));
    assert!(!check(&header, BODY, &[OTHER_SECRET], 0));
    assert!(!check(&header, BODY, &[], 0));
    assert!(!check(&header, BODY, &[SECRET.trim_start_matches("whsec_")], 0), "all of the text");
    let unkeyed = sign(BODY, &"".into(), signed_at());
    assert!(!check(&unkeyed, BODY, &["", ""], 0), "an empty secret is no secret");
    assert!(check(&header, BODY, &["", SECRET], 0));
}

#[test]
fn one_of_several_signatures_is_enough_and_other_schemes_count_for_nothing() {
    let header = signed();
    let (time, v1) = header.split_once(',').expect("two parts");
    let hex = v1.trim_start_matches("v1=");
    let other = sign(BODY, &OTHER_SECRET.into(), signed_at());
    let (_, other) = other.split_once(',').expect("two parts");
    for good in [
        format!("{time},{other},{v1}"),
        format!("{time},{v1},{other}"),
        format!("{v1},{time}"),
        format!("{time},v0={hex},{v1},v2=x,v1=short,v1="),
        format!("{time},{}{v1}", "v1=x,".repeat(15)),
    ] {
        assert!(check(&good, BODY, &[SECRET], 0), "{good}");
    }
    for bad in [
        String::new(),
        time.to_owned(),
        v1.to_owned(),
        format!("{time},{other}"),
        format!("{time},v0={hex}"),
        format!("{time},v2={hex}"),
        format!("{time},V1={hex}"),
        format!("{time}, {v1}"),
        format!("{time},{v1},"),
        format!("{time},{v1},nothing"),
        format!("{time},{v1}00"),
        format!("{time},{}", &v1[..v1.len() - 1]),
        format!("{time},v1={}", hex.to_uppercase()),
        format!("{time},{time},{v1}"),
        format!("t=1795186806,{v1}"),
        format!("t=,{v1}"),
        format!("t=+1795186805,{v1}"),
        format!("t=01795186805,{v1}"),
        format!("t=1795186805.0,{v1}"),
        format!("t={},{v1}", "9".repeat(40)),
        format!("{time},{}{v1}", "v1=x,".repeat(16)),
    ] {
        assert!(!check(&bad, BODY, &[SECRET], 0), "{bad}");
    }
}

/// Every bit of the header: one that makes another scheme or another time of it leaves no signature.
#[test]
fn any_flipped_bit_of_the_header_fails() {
    let header = signed();
    for at in 0..header.len() {
        for bit in 0..8 {
            let mut bytes = header.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(flipped) = String::from_utf8(bytes) else { continue };
            assert!(!check(&flipped, BODY, &[SECRET], 0), "byte {at}, bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn any_flipped_bit_of_a_body_fails(
        body in prop::collection::vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        secret in "[!-~]{1,60}",
    ) {
        let header = sign(&body, &secret.as_str().into(), signed_at());
        prop_assert!(check(&header, &body, &[&secret], 0));
        let mut flipped = body;
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        prop_assert!(!check(&header, &flipped, &[&secret], 0));
    }

    #[test]
    fn another_time_or_secret_fails(late in -1_000_i64..1_000, secret in "[a-z0-9_]{1,40}") {
        prop_assert_eq!(check(&signed(), BODY, &[SECRET], late), (-300..=300).contains(&late));
        prop_assert!(!check(&signed(), BODY, &[&secret], 0));
        let moved = signed_at() + TimeDelta::seconds(late);
        let moved = signed().replace("1795186805", &moved.timestamp().to_string());
        prop_assert_eq!(check(&moved, BODY, &[SECRET], late), late == 0);
    }

    #[test]
    fn arbitrary_headers_are_refused_and_nothing_panics(
        header in "(t=[0-9]{0,22},)?(v[01]=[0-9a-f]{0,70},?){0,20}|.{0,80}",
        body in prop::collection::vec(any::<u8>(), 0..50),
        seconds in -8_000_000_000_i64..8_000_000_000,
    ) {
        let now = DateTime::from_timestamp(seconds, 0).expect("in range");
        prop_assert!(!is_signed(&header, &body, &[SECRET.into()], now));
    }
}
