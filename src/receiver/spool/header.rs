//! How a segment begins: with the salt of its records, twice, so that no single damaged byte makes
//! all of them unreadable.
//!
//! `2 × (magic and version, 8 bytes | salt, 16 bytes | crc32 of both, u32 LE)`

use std::{fmt, fs::File, io, os::unix::fs::FileExt};

use super::record::is_zeros;

/// Bytes before the first record.
pub(super) const BYTES: u64 = 2 * COPY as u64;
/// The last byte is the version of the format.
const MAGIC: [u8; 8] = *b"pcspool\x01";
/// Bytes of the salt.
const SALT: usize = 16;
/// Bytes of each of the two.
const COPY: usize = MAGIC.len() + SALT + 4;

/// What sets the records of a segment apart from all other bytes. Payloads are chosen by strangers;
/// whoever cannot read the file does not know its salt, and so can put no record into a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(pub(super) [u8; SALT]);

impl Salt {
    /// One that nobody knows.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; SALT];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }
}

// It is a secret for as long as the segment is there.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

/// What the beginning of a segment tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing, or nothing but zeros, lies behind the place of the header: there is no record. A
    /// first write that was interrupted leaves this.
    Empty,
    /// The salt of the records. The other copy of it is damaged unless `is_whole`.
    Salted { salt: Salt, is_whole: bool },
    /// Both copies are damaged. What follows cannot be told from what a stranger wrote.
    Lost,
}

/// The first bytes of a segment.
pub(super) fn encode(salt: Salt) -> Vec<u8> {
    let mut copy = [MAGIC.as_slice(), &salt.0].concat();
    copy.extend(crc32fast::hash(&copy).to_le_bytes());
    copy.repeat(2)
}

/// Reads the header of a file of this length in bytes.
pub(super) fn read(file: &File, length: u64) -> io::Result<Start> {
    if is_zeros(file, BYTES, length)? {
        return Ok(Start::Empty);
    }
    let mut bytes = [0; 2 * COPY];
    file.read_exact_at(&mut bytes, 0)?;
    let (first, second) = bytes.split_at(COPY);
    Ok(match (parse(first), parse(second)) {
        (Some(salt), other) => Start::Salted { salt, is_whole: other == Some(salt) },
        (None, Some(salt)) => Start::Salted { salt, is_whole: false },
        (None, None) => Start::Lost,
    })
}

/// The salt of one copy, if it is whole.
fn parse(copy: &[u8]) -> Option<Salt> {
    let (bytes, checksum) = copy.split_last_chunk::<4>()?;
    let salt = bytes.strip_prefix(&MAGIC)?.try_into().ok()?;
    (crc32fast::hash(bytes) == u32::from_le_bytes(*checksum)).then_some(Salt(salt))
}
