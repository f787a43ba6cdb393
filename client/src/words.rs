//! Words of the API as enums that stay open: a newer server may say more than this client knows.

use serde::{Deserialize, Deserializer};

/// Declares an enum of words. What is no word of it is kept as it is.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(
                #[doc = concat!("`", $word, "`.")]
                $variant,
            )+
            /// A word that this version of the client does not know.
            Unknown(String),
        }

        impl $name {
            /// The word as the API writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::words::deserialize(deserializer)
            }
        }

        impl $crate::query::Text for $name {
            fn text(&self) -> String {
                self.as_str().to_owned()
            }
        }
    };
}

pub(crate) use words;

pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: for<'word> From<&'word str>,
{
    let word = String::deserialize(deserializer)?;
    Ok(T::from(&word))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use crate::models::Circuit;

    #[test]
    fn words_come_back_as_they_went_also_unknown_ones() {
        for (word, circuit) in [
            ("open", Circuit::Open),
            ("half-open", Circuit::HalfOpen),
            ("ajar", Circuit::Unknown("ajar".to_owned())),
        ] {
            let json = format!("\"{word}\"");
            assert_eq!(serde_json::from_str::<Circuit>(&json).unwrap(), circuit);
            assert_eq!(serde_json::to_string(&circuit).unwrap(), json);
            assert_eq!(circuit.to_string(), word);
        }
        assert!(serde_json::from_str::<Circuit>("1").is_err());
    }
}
