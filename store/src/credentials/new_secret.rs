//! A secret on its way in: what no header could carry is refused before it locks a provider out.

use secrecy::{ExposeSecret, SecretString};

use crate::sealing::Sealer;

/// Shorter secrets can be guessed.
const FEWEST_BYTES: usize = 8;
/// No provider's secret comes near it.
const MOST_BYTES: usize = 512;

/// A secret, a key or a token that can be stored: 8 to 512 bytes.
#[derive(Debug, Clone)]
pub struct NewSecret(SecretString);

/// A text that is no secret. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too short or too long.
    #[error("must have between {FEWEST_BYTES} and {MOST_BYTES} bytes")]
    Length,
    /// A line break that came along when it was copied, most likely.
    #[error("must not hold control characters, nor begin or end with a space")]
    Form,
}

impl NewSecret {
    /// Checks a secret that somebody gave.
    ///
    /// # Errors
    /// When it is too short or too long, or could not be sent in a header.
    pub fn new(secret: SecretString) -> Result<Self, Unfit> {
        let text = secret.expose_secret();
        if !(FEWEST_BYTES..=MOST_BYTES).contains(&text.len()) {
            return Err(Unfit::Length);
        }
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err(Unfit::Form);
        }
        Ok(Self(secret))
    }

    /// Whether it is the secret that is stored. Digests with the sealer's key are compared, so the
    /// time that it takes tells nothing of either.
    pub(super) fn is(&self, stored: &SecretString, sealer: &Sealer) -> bool {
        sealer.derive(self.0.expose_secret()) == sealer.derive(stored.expose_secret())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Option<Unfit> {
        NewSecret::new(text.into()).err()
    }

    #[test]
    fn length_and_form_are_checked() {
        assert_eq!(check(&"x".repeat(8)), None);
        assert_eq!(check(&"x".repeat(512)), None);
        for length in [0, 7, 513] {
            assert_eq!(check(&"x".repeat(length)), Some(Unfit::Length), "{length}");
        }
        for text in ["a secret\n", " a secret", "a secret ", "a\0secret", "a\r\nsecret"] {
            assert_eq!(check(text), Some(Unfit::Form), "{text:?}");
        }
        assert_eq!(check("a secret"), None);
    }

    #[test]
    fn only_the_same_text_is_the_same_secret() {
        let (sealer, secret) = (Sealer::new([7; 32]), NewSecret::new("open sesame".into()));
        let is = |stored: &str| secret.as_ref().is_ok_and(|new| new.is(&stored.into(), &sealer));
        assert!(is("open sesame"));
        for other in ["open sesamf", "Open sesame", "open sesame ", "open sesam", ""] {
            assert!(!is(other), "{other:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", NewSecret::new("open sesame".into()));
        assert!(!shown.contains("sesame") && shown.contains("NewSecret"), "{shown}");
    }
}
