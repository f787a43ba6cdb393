//! The parameters of a callback, from a form or from JSON with the same names.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use serde_json::Value;

use crate::{incoming::Unreadable, json};

/// Most parameters of one callback; real ones have up to 60.
pub(super) const MAX_PARAMETERS: usize = 1000;

const TOO_MANY: Unreadable =
    Unreadable::Field { path: "the body", problem: "has more than 1,000 parameters" };

/// Parameters by name; of a repeated one the first value.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Strict where a signature check is lenient: what is not UTF-8 cannot be stored.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Self::of_json(&json::parse(body)?),
            Some(_) => Self::of_form(body),
            None => Err(Unreadable::NotForm),
        }
    }

    /// The value, unless it is empty: Twilio writes what it does not know as an empty parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value as a whole number.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok()
    }

    /// The value as whole seconds, and whether it lies below 0. What is too large stays too large.
    pub(super) fn seconds(&self, name: &str) -> Option<(u32, bool)> {
        let told: i128 = self.get(name)?.parse().ok()?;
        Some((u32::try_from(told.max(0)).unwrap_or(u32::MAX), told < 0))
    }

    /// The value as a time.
    pub(super) fn instant(&self, name: &str) -> Option<DateTime<Utc>> {
        instant(self.get(name)?)
    }

    fn of_form(body: &[u8]) -> Result<Self, Unreadable> {
        if body.split(|byte| *byte == b'&').count() > MAX_PARAMETERS {
            return Err(TOO_MANY);
        }
        if !body.contains(&b'=') {
            return Err(Unreadable::NotForm);
        }
        let mut fields = BTreeMap::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            fields.entry(name).or_insert(value);
        }
        Ok(Self(fields))
    }

    fn of_json(root: &Value) -> Result<Self, Unreadable> {
        let Value::Object(members) = root else { return Err(Unreadable::NotJson) };
        if members.len() > MAX_PARAMETERS {
            return Err(TOO_MANY);
        }
        let scalar = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        };
        let fields =
            members.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?)));
        Ok(Self(fields.collect()))
    }
}

fn decode(written: &[u8]) -> Result<String, Unreadable> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut at = 0;
    while let Some(&byte) = written.get(at) {
        at += 1;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = written.get(at..at + 2).ok_or(Unreadable::NotForm)?;
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).map_err(|_| Unreadable::NotForm)?;
                bytes.push(decoded[0]);
                at += 2;
            }
            _ => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Unreadable::NotForm)?;
    if text.contains('\0') { Err(Unreadable::Nul) } else { Ok(text) }
}

/// Twilio writes times by RFC 2822, newer parts of it by RFC 3339. Other years than 1970 to 9999
/// are no time that it meant.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text));
    time.ok()
        .map(|time| time.with_timezone(&Utc))
        .filter(|time| (1970..10_000).contains(&time.year()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    fn why(body: impl AsRef<[u8]>) -> Option<Unreadable> {
        Fields::read(body.as_ref()).err()
    }

    #[test]
    fn a_form_and_an_object_read_the_same() {
        let form = Fields::read(b"A=b+c%2B%C3%B1&N=7&E=&A=second&=x&B").expect("a form");
        assert_eq!((form.get("A"), form.number("N")), (Some("b c+\u{f1}"), Some(7)));
        assert_eq!((form.get("E"), form.get(""), form.get("B")), (None, Some("x"), None));
        let json = Fields::read(br#" {"A":"b c+\u00f1","N":7,"E":"","O":{},"T":true}"#);
        let json = json.expect("an object");
        assert_eq!((json.get("A"), json.number("N")), (Some("b c+\u{f1}"), Some(7)));
        assert_eq!((json.get("E"), json.get("O"), json.get("T")), (None, None, Some("true")));
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        for body in ["", " \r\n", "<html>", "A=%", "A=%2", "A=%zz", "A=%+1", "%ff=1", "A=%C3"] {
            assert_eq!(why(body), Some(Unreadable::NotForm), "{body}");
        }
        assert_eq!(why([b'A', b'=', 0xFF]), Some(Unreadable::NotForm));
        assert_eq!(why([b'A', b'=', 0]), Some(Unreadable::Nul));
        assert_eq!(why("A%00=1"), Some(Unreadable::Nul));
        assert_eq!(why(r#"{"A":"\u0000"}"#), Some(Unreadable::Nul));
        assert_eq!(why("{\"A\":"), Some(Unreadable::NotJson));
        assert_eq!(why("{\"A\":1e309}"), Some(Unreadable::NumberOutOfRange));
        assert_eq!(why("A=1&".repeat(999)), None);
        assert_eq!(why("A=1&".repeat(1_000_000)), Some(TOO_MANY));
        let members: Vec<String> = (0..1001).map(|n| format!("\"{n}\":1")).collect();
        assert_eq!(why(format!("{{{}}}", members.join(","))), Some(TOO_MANY));
    }

    #[test]
    fn times_are_read_in_both_notations_and_unbelievable_ones_left_out() {
        let time = instant("Fri, 20 Nov 2026 15:02:14 +0000");
        assert_eq!(time.map(|time| time.timestamp()), Some(1_795_186_934));
        assert_eq!(instant("2026-11-20T15:02:14Z"), time);
        assert_eq!(instant("Fri, 20 Nov 2026 16:02:14 +0100"), time);
        for text in ["", "now", "Thu, 01 Jan 1969 00:00:00 +0000", "1795186934"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    proptest! {
        /// The signature check decodes by `form_urlencoded`; both must see the same parameters.
        #[test]
        fn what_is_accepted_is_decoded_as_for_the_signature(body in "[a-c%2+=&BE9\u{e9}]{0,24}") {
            if let Ok(Fields(fields)) = Fields::read(body.as_bytes()) {
                let mut expected = BTreeMap::new();
                for (name, value) in form_urlencoded::parse(body.as_bytes()) {
                    expected.entry(name.into_owned()).or_insert(value.into_owned());
                }
                prop_assert_eq!(fields, expected);
            }
        }
    }
}
