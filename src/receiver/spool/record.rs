//! The bytes of one record, and how records are found again where bytes are damaged.
//!
//! `mark (4 bytes) | length u32 LE | crc32 of salt, length and payload, u32 LE | payload`
//!
//! A payload may hold any bytes, also what looks like a record of any organization, and the search
//! for the next record goes through the payloads of damaged ones. It finds none in there, because
//! mark and checksum are made with the segment's secret salt.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::header::Salt;

/// Largest payload in bytes; the receivers take bodies of at most 10 MB.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024 * 1024;
/// Bytes before the payload.
const HEADER: usize = 12;
/// Bytes that each record of a segment begins with: the first ones of its salt. A payload full of
/// marks known beforehand would make a search check millions of long records.
const MARK: usize = 4;
/// How much is looked through at a time when searching, in bytes.
const WINDOW: usize = 64 * 1024;

/// A whole record of a segment.
pub(super) struct Record {
    /// Where it starts, in bytes from the start of the segment.
    pub(super) at: u64,
    /// Where the one after it starts.
    pub(super) next: u64,
    pub(super) payload: Vec<u8>,
}

/// What lies behind the last whole record of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    Nothing,
    /// What an interrupted write leaves: the beginning of a record, or zeros. Never acknowledged.
    Torn,
    /// Anything else: it may have been a record once.
    Damaged,
}

/// Bytes that a payload of this length takes up in a segment.
pub(super) fn framed(payload: usize) -> u64 {
    (HEADER + payload) as u64
}

/// Appends the record of a payload of at most [`MAX_PAYLOAD`] bytes.
pub(super) fn encode(salt: Salt, payload: &[u8], into: &mut Vec<u8>) {
    let length = (payload.len() as u32).to_le_bytes();
    into.extend_from_slice(&salt.0[..MARK]);
    into.extend_from_slice(&length);
    into.extend_from_slice(&checksum(salt, length, payload).to_le_bytes());
    into.extend_from_slice(payload);
}

/// The first whole record that starts at `from` or later and ends at `end` or before.
/// It starts later than `from` only if what is between them is damaged.
pub(super) fn next_whole(
    file: &File,
    salt: Salt,
    from: u64,
    end: u64,
) -> io::Result<Option<Record>> {
    match read_at(file, salt, from, end)? {
        Some(record) => Ok(Some(record)),
        None => search(file, salt, from + 1, end),
    }
}

/// Judges the bytes from `from`, where no whole record follows, to `end`.
pub(super) fn tail(file: &File, salt: Salt, from: u64, end: u64) -> io::Result<Tail> {
    let rest = end.saturating_sub(from);
    if rest == 0 {
        return Ok(Tail::Nothing);
    }
    let mut start = vec![0; rest.min(HEADER as u64) as usize];
    file.read_exact_at(&mut start, from)?;
    let is_torn = match Header::parse(salt, &start) {
        Some(header) => from + framed(header.length) > end,
        None if start.len() < HEADER => salt.0.starts_with(&start[..start.len().min(MARK)]),
        None => false,
    };
    Ok(if is_torn || is_zeros(file, from, end)? { Tail::Torn } else { Tail::Damaged })
}

struct Header {
    length: usize,
    checksum: u32,
}

impl Header {
    /// Nothing unless these are 12 bytes that a record can begin with.
    fn parse(salt: Salt, bytes: &[u8]) -> Option<Self> {
        let (mark, rest) = bytes.split_first_chunk::<MARK>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (checksum, _) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let checksum = u32::from_le_bytes(*checksum);
        (salt.0.starts_with(mark) && length <= MAX_PAYLOAD).then_some(Self { length, checksum })
    }
}

fn checksum(salt: Salt, length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.0);
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// The record that starts exactly here, if it is whole.
fn read_at(file: &File, salt: Salt, at: u64, end: u64) -> io::Result<Option<Record>> {
    if at + framed(0) > end {
        return Ok(None);
    }
    let mut bytes = [0; HEADER];
    file.read_exact_at(&mut bytes, at)?;
    let Some(header) = Header::parse(salt, &bytes) else { return Ok(None) };
    let next = at + framed(header.length);
    if next > end {
        return Ok(None);
    }
    let mut payload = vec![0; header.length];
    file.read_exact_at(&mut payload, at + framed(0))?;
    let is_whole =
        checksum(salt, (header.length as u32).to_le_bytes(), &payload) == header.checksum;
    Ok(is_whole.then_some(Record { at, next, payload }))
}

/// Looks for a mark that begins a whole record.
fn search(file: &File, salt: Salt, from: u64, end: u64) -> io::Result<Option<Record>> {
    let mut window = vec![0; WINDOW];
    let mut at = from;
    while at + framed(0) <= end {
        let size = (end - at).min(WINDOW as u64) as usize;
        file.read_exact_at(&mut window[..size], at)?;
        for (place, bytes) in window[..size].windows(MARK).enumerate() {
            if salt.0.starts_with(bytes)
                && let Some(record) = read_at(file, salt, at + place as u64, end)?
            {
                return Ok(Some(record));
            }
        }
        // A mark may lie across the border of two windows.
        at += (size - (MARK - 1)) as u64;
    }
    Ok(None)
}

/// Whether nothing but zeros lies between.
pub(super) fn is_zeros(file: &File, from: u64, end: u64) -> io::Result<bool> {
    let mut window = vec![0; WINDOW];
    let mut at = from;
    while at < end {
        let size = (end - at).min(WINDOW as u64) as usize;
        file.read_exact_at(&mut window[..size], at)?;
        if window[..size].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += size as u64;
    }
    Ok(true)
}
