//! Rules of values that several tables share. Each says what a value must be, and quotes none.

use contract::period;
use rust_decimal::Decimal;

/// A label of a domain name may have so many characters.
const LONGEST_SLUG: usize = 63;
/// RFC 5321: a path of 256 characters, its angle brackets included.
const LONGEST_EMAIL: usize = 254;
/// `organizations.overage_price` is numeric(12, 6).
const PRICE_DECIMALS: u32 = 6;
const PRICE_LIMIT: i64 = 1_000_000;
/// Digits of a phone number, country code included: E.164 allows no more, and no plan has fewer.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Words on one line, 1 to `longest` characters.
pub fn line(text: &str, longest: usize) -> Result<(), String> {
    let is_plain = text.trim() == text && !text.chars().any(char::is_control);
    if is_plain && (1..=longest).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(format!("must have 1 to {longest} characters on one line, no blanks around them"))
}

/// A name in URLs.
pub fn slug(text: &str) -> Result<(), String> {
    let is_part = |part: &str| {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !part.is_empty() && part.bytes().all(is_letter)
    };
    if text.len() <= LONGEST_SLUG && text.split('-').all(is_part) {
        return Ok(());
    }
    Err(format!("must have 1 to {LONGEST_SLUG} of a to z and 0 to 9, with single hyphens inside"))
}

/// An email address. Whether there is such a mailbox only its server knows; this is about what never
/// is an address.
pub fn email(text: &str) -> Result<(), String> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;\"".contains(c);
    let has_ends = text
        .rsplit_once('@')
        .is_some_and(|(who, host)| !who.is_empty() && !who.contains('@') && host.contains('.'));
    let has_host = !text.ends_with('.') && !text.contains("@.");
    if text.len() <= LONGEST_EMAIL && has_ends && has_host && text.chars().all(is_plain) {
        return Ok(());
    }
    Err("must be one address, as billing@example.com".to_owned())
}

/// A phone number in E.164.
pub fn phone_number(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if is_number && PHONE_DIGITS.contains(&digits.len()) {
        return Ok(());
    }
    Err("must be a phone number in E.164, as +14155550100".to_owned())
}

/// IANA's name of a time zone.
pub fn timezone(text: &str) -> Result<(), String> {
    let rule = "no such time zone; it is named as IANA does, for example Europe/Berlin";
    period::zone(text).map(drop).ok_or_else(|| rule.to_owned())
}

/// A price of a minute in US dollars.
pub fn price(price: Decimal) -> Result<(), String> {
    let is_price = !price.is_sign_negative() || price.is_zero();
    if is_price && price < PRICE_LIMIT.into() && price.normalize().scale() <= PRICE_DECIMALS {
        return Ok(());
    }
    Err(format!("must be 0 or more, below {PRICE_LIMIT}, with at most {PRICE_DECIMALS} decimals"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_lines_are_plain() {
        for text in ["", "-a", "a-", "a--b", "A", "a_b", "a b", "ä", &"a".repeat(64)] {
            assert!(slug(text).is_err(), "{text:?}");
        }
        assert!(slug("mueller-2").is_ok() && slug(&"a".repeat(63)).is_ok());
        for text in ["", " a", "a\n", "a\0b", &"ä".repeat(6)] {
            assert!(line(text, 5).is_err(), "{text:?}");
        }
        assert!(line("Müll", 5).is_ok());
    }

    #[test]
    fn addresses_and_numbers_are_what_they_seem() {
        for text in ["", "a", "a@b", "@b.c", "a@", "a@b@c.d", "a b@c.d", "a@.c", "<a@b.c>"] {
            let said = email(text).err();
            assert!(
                said.is_some_and(|said| text.is_empty() || !said.contains(&format!(" {text} ")))
            );
        }
        assert!(email("billing@example.com").is_ok());
        for text in ["", "+", "14155550100", "+0123456789", "+123456", "+1415555010a", "+1 415 555"]
        {
            assert!(phone_number(text).is_err(), "{text:?}");
        }
        assert!(phone_number("+14155550100").is_ok() && phone_number("+1234567").is_ok());
        assert!(phone_number(&format!("+{}", "1".repeat(16))).is_err());
    }

    #[test]
    fn zones_and_prices_are_known_ones() {
        assert!(timezone("Asia/Kathmandu").is_ok());
        assert!(["", "Mars/Olympus", "europe berlin"].iter().all(|name| timezone(name).is_err()));
        for wrong in [Decimal::new(-1, 6), Decimal::new(1, 7), Decimal::from(PRICE_LIMIT)] {
            assert!(price(wrong).is_err(), "{wrong}");
        }
        for right in [Decimal::ZERO, Decimal::new(10, 7), Decimal::new(999_999_999_999, 6)] {
            assert!(price(right).is_ok(), "{right}");
        }
    }
}
