//! Cursors: where a list goes on, signed for the list, the organization and the filters.
//!
//! base64url of a MAC and the JSON of a position. Nobody gains by forging one, for row level
//! security binds whatever it says; the MAC is there so that a position from another list is
//! refused rather than answered wrongly.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc, serde::ts_microseconds};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use store::reads::{Page, Place};
use uuid::Uuid;

use super::problem::{Kind, Problem};

/// Half of HMAC-SHA-256, in bytes.
const MAC: usize = 16;
/// No cursor of ours is longer, in characters.
const LONGEST: usize = 512;
/// Block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// A cursor for `position` in the list that `list` describes: its name, owner and filters.
pub(super) fn seal(key: &[u8; 32], list: &str, position: &impl Serialize) -> Option<String> {
    let json = serde_json::to_vec(position).ok()?;
    let mut bytes = mac(key, list, &json).to_vec();
    bytes.extend_from_slice(&json);
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// The position in a cursor that was given out for the same list.
pub(super) fn open<P: DeserializeOwned>(
    key: &[u8; 32],
    list: &str,
    cursor: &str,
) -> Result<P, Problem> {
    read(key, list, cursor).ok_or_else(|| {
        let detail = "The cursor does not belong to this list with these filters.";
        Problem::with_detail(Kind::InvalidCursor, detail)
    })
}

/// Where a page of a list by time and id ended.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    #[serde(with = "ts_microseconds")]
    at: DateTime<Utc>,
    id: Uuid,
}

/// The place that a page of a list by time and id follows.
pub(super) fn begin(key: &[u8; 32], list: &str, cursor: Option<&str>) -> Result<Place, Problem> {
    let Some(text) = cursor else { return Ok(newest()) };
    let Position { at, id } = open(key, list, text)?;
    Ok(Place { at, id })
}

/// The place that every row follows. The database's clock wrote their times, and may be a little ahead of
/// ours.
pub(super) fn newest() -> Place {
    Place::before(Utc::now() + TimeDelta::days(1))
}

/// A cursor for what follows a page of a list by time and id, where more does. `place` is that of a row.
pub(super) fn next<T>(
    key: &[u8; 32],
    list: &str,
    page: &Page<T>,
    place: impl FnOnce(&T) -> Place,
) -> Option<String> {
    let Place { at, id } = place(page.items.last().filter(|_| page.more)?);
    seal(key, list, &Position { at, id })
}

fn read<P: DeserializeOwned>(key: &[u8; 32], list: &str, cursor: &str) -> Option<P> {
    if cursor.len() > LONGEST {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (given, json) = bytes.split_at_checked(MAC)?;
    let right = mac(key, list, json);
    let difference = given.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b));
    if difference != 0 {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn mac(key: &[u8; 32], list: &str, json: &[u8]) -> [u8; MAC] {
    // The length keeps the end of the list apart from the beginning of the position.
    let length = (list.len() as u64).to_be_bytes();
    let whole = hmac_sha256(key, &[&length, list.as_bytes(), json]);
    let mut half = [0; MAC];
    half.copy_from_slice(&whole[..MAC]);
    half
}

/// RFC 2104 for keys no longer than a block.
fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; BLOCK];
        block.iter_mut().zip(key).for_each(|(pad, byte)| *pad ^= byte);
        block
    };
    let inner = parts
        .iter()
        .fold(Sha256::new_with_prefix(pad(0x36)), |hash, part| hash.chain_update(part))
        .finalize();
    Sha256::new_with_prefix(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // Test case 1, whose key of 20 bytes and this one of 32 pad to the same block.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(hmac_sha256(&key, &[b"Hi ", b"There"])), expected);
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursor = seal(&KEY, "calls", &(1_i64, "x".to_owned())).unwrap();
        assert_eq!(open::<(i64, String)>(&KEY, "calls", &cursor).unwrap(), (1, "x".to_owned()));
    }

    #[test]
    fn changed_filters_other_keys_and_forgeries_are_refused() {
        let cursor = seal(&KEY, "calls completed", &1_i64).unwrap();
        let refused = |key, list, cursor: &str| open::<i64>(key, list, cursor).unwrap_err().kind();
        assert_eq!(refused(&KEY, "calls failed", &cursor), Kind::InvalidCursor);
        assert_eq!(refused(&[8; 32], "calls completed", &cursor), Kind::InvalidCursor);
        for place in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(open::<i64>(&KEY, "calls completed", &forged).is_err(), "at {place}");
        }
        for text in ["", "A", "====", "ä", &"A".repeat(600)] {
            assert_eq!(refused(&KEY, "calls completed", text), Kind::InvalidCursor);
        }
    }
}
