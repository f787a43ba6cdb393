//! Secrets and recipients at rest: AES-256-GCM envelopes bound to where they are stored.
//!
//! A sealed value is `version(1) | key id(4) | nonce(12) | wrapped data key(48) | nonce(12) |
//! ciphertext and tag`. Each value has its own random data key, wrapped by the key of
//! `POSTCALL_ENCRYPTION_KEY`; table, column and organization are authenticated, so a value moved
//! elsewhere does not open.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use contract::ids::OrganizationId;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::error::{Problem, StoreError};

const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 12;
const WRAPPED_KEY: usize = 32 + 16;
const HEADER: usize = 1 + KEY_ID + NONCE + WRAPPED_KEY + NONCE;

/// Where a sealed value lies.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Table name.
    pub table: &'static str,
    /// Column name.
    pub column: &'static str,
    /// Owner of the row.
    pub organization: OrganizationId,
}

impl Place {
    fn associated_data(&self) -> Vec<u8> {
        format!("{}.{}/{}", self.table, self.column, self.organization).into_bytes()
    }
}

/// Seals and opens values with the key of `POSTCALL_ENCRYPTION_KEY`.
#[derive(Clone)]
pub struct Sealer {
    key: Key<Aes256Gcm>,
    key_id: [u8; KEY_ID],
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("key_id", &hex::encode(self.key_id)).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer with a 256-bit key.
    pub fn new(key: [u8; 32]) -> Self {
        let digest = Sha256::digest(key);
        let mut key_id = [0; KEY_ID];
        key_id.copy_from_slice(&digest[..KEY_ID]);
        Self { key: key.into(), key_id }
    }

    /// A key for another purpose, made from this one.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.key).chain_update(purpose).finalize().into()
    }

    /// Seals `plain` for one place.
    pub fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let data_key: [u8; 32] = random()?;
        let (outer, inner): ([u8; NONCE], [u8; NONCE]) = (random()?, random()?);
        let wrapped = encrypt(&self.key, outer, &data_key, &place.associated_data())?;
        let sealed = encrypt(&data_key.into(), inner, plain, &place.associated_data())?;
        Ok([&[VERSION][..], &self.key_id, &outer, &wrapped, &inner, &sealed].concat())
    }

    /// Opens what was sealed for the same place.
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        if sealed.len() < HEADER || sealed[0] != VERSION {
            return Err(cannot_open("not a sealed value of this version"));
        }
        let (key_id, rest) = sealed[1..].split_at(KEY_ID);
        if key_id != self.key_id {
            return Err(cannot_open("sealed with another POSTCALL_ENCRYPTION_KEY"));
        }
        let (outer, rest) = rest.split_at(NONCE);
        let (wrapped, rest) = rest.split_at(WRAPPED_KEY);
        let (inner, ciphertext) = rest.split_at(NONCE);
        let data_key = decrypt(&self.key, outer, wrapped, &place.associated_data())?;
        let data_key: [u8; 32] =
            data_key.try_into().map_err(|_| cannot_open("its data key has the wrong length"))?;
        decrypt(&data_key.into(), inner, ciphertext, &place.associated_data())
    }

    /// Opens a sealed text.
    pub fn open_text(&self, place: Place, sealed: &[u8]) -> Result<SecretString, StoreError> {
        let plain = self.open(place, sealed)?;
        let text = String::from_utf8(plain).map_err(|_| cannot_open("not UTF-8 text"))?;
        Ok(text.into())
    }
}

fn encrypt(
    key: &Key<Aes256Gcm>,
    nonce: [u8; NONCE],
    plain: &[u8],
    associated: &[u8],
) -> Result<Vec<u8>, StoreError> {
    Aes256Gcm::new(key)
        .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: associated })
        .map_err(|_| cannot_open("too long to seal"))
}

fn decrypt(
    key: &Key<Aes256Gcm>,
    nonce: &[u8],
    ciphertext: &[u8],
    associated: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| cannot_open("its nonce is cut"))?;
    Aes256Gcm::new(key)
        .decrypt(&Nonce::from(nonce), Payload { msg: ciphertext, aad: associated })
        .map_err(|_| cannot_open("changed, or moved from another place"))
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| cannot_open("no randomness from the system"))?;
    Ok(bytes)
}

fn cannot_open(why: &'static str) -> StoreError {
    StoreError::new("sealing", Problem::Sealed(why))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn place(organization: u128) -> Place {
        let organization = OrganizationId(Uuid::from_u128(organization));
        Place { table: "webhooks", column: "secret", organization }
    }

    #[test]
    fn opens_where_it_was_sealed_and_nowhere_else() {
        let sealer = Sealer::new([7; 32]);
        let sealed = sealer.seal(place(1), b"whsec_x").unwrap();
        assert_eq!(sealer.open(place(1), &sealed).unwrap(), b"whsec_x");
        assert!(sealer.open(place(2), &sealed).is_err());
        let elsewhere = Place { column: "previous_secret", ..place(1) };
        assert!(sealer.open(elsewhere, &sealed).is_err());
        assert!(Sealer::new([8; 32]).open(place(1), &sealed).is_err());
    }

    #[test]
    fn any_changed_byte_fails_and_no_two_seals_are_alike() {
        let sealer = Sealer::new([7; 32]);
        let sealed = sealer.seal(place(1), b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open(place(1), &changed).is_err(), "byte {index}");
        }
        assert_ne!(sealed, sealer.seal(place(1), b"secret").unwrap());
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", Sealer::new([7; 32]));
        assert!(!shown.contains("7, 7") && shown.contains("key_id"), "{shown}");
    }
}
