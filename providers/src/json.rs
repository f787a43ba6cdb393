//! Strict about what can be stored, lenient about what it means.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::incoming::Unreadable;

/// Deepest nesting accepted; real messages stay under 12.
pub(crate) const MAX_DEPTH: usize = 64;

/// Most objects and lists in a body. A parsed object takes up to 630 bytes however short it is
/// written. Retell writes an object for each word, twice: 40,000 for two hours of talk.
pub(crate) const MAX_CONTAINERS: usize = 200_000;

/// Parses a body that may come from anyone.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Unreadable> {
    scan(body)?;
    serde_json::from_slice(body).map_err(|error| {
        if error.to_string().starts_with("number out of range") {
            Unreadable::NumberOutOfRange
        } else {
            Unreadable::NotJson
        }
    })
}

/// One pass without recursion for what the parser would accept, or name wrongly.
fn scan(body: &[u8]) -> Result<(), Unreadable> {
    let (mut depth, mut containers, mut in_string, mut at) = (0_usize, 0_usize, false, 0);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match (in_string, byte) {
            (_, b'"') => in_string = !in_string,
            (true, b'\\') => at = after_escape(body, at)?,
            (false, b'{' | b'[') => {
                depth += 1;
                containers += 1;
                if depth > MAX_DEPTH {
                    return Err(Unreadable::TooDeep(MAX_DEPTH));
                }
                if containers > MAX_CONTAINERS {
                    return Err(Unreadable::TooMany(MAX_CONTAINERS));
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Where the text goes on after an escape whose backslash lies before `at`.
fn after_escape(body: &[u8], at: usize) -> Result<usize, Unreadable> {
    match code_unit(body, at) {
        None => Ok(at + 1),
        Some(0) => Err(Unreadable::Nul),
        Some(0xD800..=0xDBFF) if body.get(at + 5) == Some(&b'\\') => {
            match code_unit(body, at + 6) {
                Some(0xDC00..=0xDFFF) => Ok(at + 11),
                _ => Err(Unreadable::LoneSurrogate),
            }
        }
        Some(0xD800..=0xDFFF) => Err(Unreadable::LoneSurrogate),
        Some(_) => Ok(at + 5),
    }
}

/// The code unit of `uXXXX` at `at`.
fn code_unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 5)?.strip_prefix(b"u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let value = (*digit as char).to_digit(16)?;
        Some(unit << 4 | u16::try_from(value).ok()?)
    })
}

/// The value at a JSON pointer, unless it is null.
pub(crate) fn at<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    root.pointer(pointer).filter(|value| !value.is_null())
}

/// The first pointer that leads to text that is not empty.
pub(crate) fn text<'a>(root: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    pointers.iter().find_map(|pointer| at(root, pointer)?.as_str().filter(|t| !t.is_empty()))
}

/// The first pointer that leads to a finite number, or to text that is one.
pub(crate) fn number(root: &Value, pointers: &[&str]) -> Option<f64> {
    pointers
        .iter()
        .find_map(|pointer| match at(root, pointer)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        })
        .filter(|number: &f64| number.is_finite())
}

/// The first pointer that leads to a time: RFC 3339, or milliseconds since 1970.
pub(crate) fn instant(root: &Value, pointers: &[&str]) -> Option<DateTime<Utc>> {
    pointers.iter().find_map(|pointer| {
        let written = at(root, pointer)?.as_str();
        match written.and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
            Some(time) => Some(time.with_timezone(&Utc)),
            None => from_millis(number(root, &[pointer])?),
        }
    })
}

/// Years 1970 to 9999; anything else is not a time that a provider meant.
fn from_millis(millis: f64) -> Option<DateTime<Utc>> {
    const YEAR_10000: f64 = 253_402_300_800_000.0;
    if !(0.0..YEAR_10000).contains(&millis) {
        return None;
    }
    DateTime::from_timestamp_millis(millis as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn why(body: impl AsRef<[u8]>) -> Option<Unreadable> {
        parse(body.as_ref()).err()
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(why(nested(64)), None);
        assert_eq!(why(nested(65)), Some(Unreadable::TooDeep(64)));
        assert_eq!(why("[".repeat(1_000_000)), Some(Unreadable::TooDeep(64)));
        assert_eq!(why(format!("\"{}\"", "[".repeat(100))), None);
        assert_eq!(why(r#"{"a":"\"[[[["}"#), None);
    }

    #[test]
    fn the_number_of_objects_is_bounded_and_that_of_words_is_not() {
        let objects = |count: usize| format!("[{}]", vec![r#"{"":0}"#; count].join(","));
        assert_eq!(why(objects(MAX_CONTAINERS - 1)), None);
        assert_eq!(why(objects(MAX_CONTAINERS)), Some(Unreadable::TooMany(MAX_CONTAINERS)));
        assert_eq!(why(format!("\"{}\"", "{".repeat(2 * MAX_CONTAINERS))), None);
        // Four hours at 180 words a minute, written twice as Retell does.
        let word = r#"{"word":"hi","start":1.25,"end":1.5}"#;
        let talk = vec![word; 4 * 60 * 180].join(",");
        assert_eq!(why(format!(r#"{{"a":[{talk}],"b":[{talk}]}}"#)), None);
    }

    #[test]
    fn what_postgres_cannot_store_is_refused() {
        assert_eq!(why(r#"{"a":"x\u0000y"}"#), Some(Unreadable::Nul));
        assert_eq!(why(r#"{"a\u0000":1}"#), Some(Unreadable::Nul));
        assert_eq!(why(r#""\\u0000""#), None);
        for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud83dA""#, r#""\ud83d\ud83d""#] {
            assert_eq!(why(lone), Some(Unreadable::LoneSurrogate), "{lone}");
        }
        assert_eq!(why(r#""\ud83d\ude00 \u00e9""#), None);
    }

    #[test]
    fn other_texts_are_not_json() {
        for text in ["", "<html>", "{", "\"\\", "\"\\u12", "{} {}", "nul", "]"] {
            assert_eq!(why(text), Some(Unreadable::NotJson), "{text}");
        }
        assert_eq!(why([b'"', 0xFF, b'"']), Some(Unreadable::NotJson));
        assert_eq!(why("1e309"), Some(Unreadable::NumberOutOfRange));
    }

    #[test]
    fn values_are_taken_leniently() {
        let root = json!({"s": "127.598", "n": 1.5, "b": true, "e": "", "z": null, "i": "inf"});
        assert_eq!(number(&root, &["/missing", "/b", "/s"]), Some(127.598));
        assert_eq!(number(&root, &["/n"]), Some(1.5));
        assert_eq!(number(&root, &["/i"]), None);
        assert_eq!(text(&root, &["/z", "/n", "/e", "/s"]), Some("127.598"));
        let times = json!({"iso": "2026-11-20T15:00:01.800Z", "ms": 1_795_186_801_800_i64,
            "text": "1795186801800", "far": 1e300, "past": -1});
        let iso = instant(&times, &["/iso"]);
        assert!(iso.is_some());
        assert_eq!(instant(&times, &["/ms"]), iso);
        assert_eq!(instant(&times, &["/text"]), iso);
        assert_eq!(instant(&times, &["/far", "/past"]), None);
    }
}
