//! The form of an API key: `vx_`, random base62 characters, then a checksum of all before it.
//!
//! The checksum tells a mistyped or cut key from an unknown one without a query, and lets scanners
//! for leaked secrets be sure of what they found.

use secrecy::SecretString;

const PREFIX: &str = "vx_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 40 random characters of 62 hold 238 bits.
const RANDOM: usize = 40;
/// 62^6 is above 2^32, so six characters hold any CRC-32.
const CHECKSUM: usize = 6;
/// What follows the prefix is at least this long, the checksum included.
const SHORTEST: usize = 40;
/// Longer texts are no keys of ours; refused before anything is computed of them.
const LONGEST: usize = 128;

/// A new key. Fails where the operating system gives no random bytes.
pub fn generate() -> Result<SecretString, getrandom::Error> {
    let mut key = String::with_capacity(PREFIX.len() + RANDOM + CHECKSUM);
    key.push_str(PREFIX);
    let mut random = [0_u8; 64];
    while key.len() < PREFIX.len() + RANDOM {
        getrandom::fill(&mut random)?;
        // Bytes from 248 on would make the first characters of the alphabet likelier.
        let digits = random.iter().filter(|byte| **byte < 248).map(|byte| digit(u32::from(*byte)));
        let missing = PREFIX.len() + RANDOM - key.len();
        key.extend(digits.take(missing));
    }
    let checksum = checksum(&key);
    key.push_str(&checksum);
    Ok(SecretString::from(key))
}

/// Whether a text has the form of a key, which says nothing of whether there is such a key.
pub fn is_well_formed(key: &str) -> bool {
    let Some(body) = key.strip_prefix(PREFIX) else { return false };
    if !(SHORTEST..=LONGEST).contains(&body.len()) || !body.bytes().all(is_base62) {
        return false;
    }
    let (rest, last) = key.split_at(key.len() - CHECKSUM);
    checksum(rest) == last
}

fn is_base62(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn digit(value: u32) -> char {
    char::from(ALPHABET[(value % 62) as usize])
}

/// CRC-32 in base62, padded on the left.
fn checksum(text: &str) -> String {
    let mut rest = crc32(text.as_bytes());
    let mut digits = ['0'; CHECKSUM];
    for place in digits.iter_mut().rev() {
        *place = digit(rest);
        rest /= 62;
    }
    digits.iter().collect()
}

/// CRC-32 as zip and PNG have it (ISO-HDLC, reflected polynomial 0xEDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    let folded = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    });
    !folded
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_checksum_is_the_crc_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn generated_keys_are_well_formed_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert!(is_well_formed(one.expose_secret()));
        assert_eq!(one.expose_secret().len(), 3 + 46);
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let key = generate().unwrap().expose_secret().to_owned();
        for place in 0..key.len() {
            let mut bytes = key.clone().into_bytes();
            bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(&String::from_utf8(bytes).unwrap()), "at {place}");
        }
    }

    #[test]
    fn other_texts_are_not_keys() {
        let long = format!("vx_{}", "a".repeat(200));
        let short = format!("vx_abc{}", checksum("vx_abc"));
        let foreign = format!("vx_{}ä{}", "a".repeat(40), "b".repeat(6));
        for text in ["", "vx_", "Bearer", &long, &short, &foreign] {
            assert!(!is_well_formed(text), "{text}");
        }
    }
}
