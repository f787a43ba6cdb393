//! The bytes of one record, and how records are found again where bytes are damaged.
//!
//! `magic (4 bytes) | length u32 LE | crc32 of length and payload, u32 LE | payload`

use std::{fs::File, io, os::unix::fs::FileExt};

/// Largest payload in bytes; the receivers take bodies of at most 10 MB.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024 * 1024;
/// Bytes before the payload.
const HEADER: usize = 12;
/// The first and the last byte never occur in UTF-8, so no JSON payload contains a magic, and a
/// search for the next record does not take a piece of a payload for one.
const MAGIC: [u8; 4] = [0xF5, b'S', b'p', 0xFA];
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
pub(super) fn encode(payload: &[u8], into: &mut Vec<u8>) {
    let length = (payload.len() as u32).to_le_bytes();
    into.extend_from_slice(&MAGIC);
    into.extend_from_slice(&length);
    into.extend_from_slice(&checksum(length, payload).to_le_bytes());
    into.extend_from_slice(payload);
}

/// The first whole record that starts at `from` or later and ends at `end` or before.
/// It starts later than `from` only if what is between them is damaged.
pub(super) fn next_whole(file: &File, from: u64, end: u64) -> io::Result<Option<Record>> {
    match read_at(file, from, end)? {
        Some(record) => Ok(Some(record)),
        None => search(file, from + 1, end),
    }
}

/// Judges the bytes from `from`, where no whole record follows, to `end`.
pub(super) fn tail(file: &File, from: u64, end: u64) -> io::Result<Tail> {
    let rest = end.saturating_sub(from);
    if rest == 0 {
        return Ok(Tail::Nothing);
    }
    let mut start = vec![0; rest.min(HEADER as u64) as usize];
    file.read_exact_at(&mut start, from)?;
    let is_torn = match Header::parse(&start) {
        Some(header) => from + framed(header.length) > end,
        None if start.len() < HEADER => MAGIC.starts_with(&start[..start.len().min(MAGIC.len())]),
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
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (checksum, _) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let checksum = u32::from_le_bytes(*checksum);
        (*magic == MAGIC && length <= MAX_PAYLOAD).then_some(Self { length, checksum })
    }
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// The record that starts exactly here, if it is whole.
fn read_at(file: &File, at: u64, end: u64) -> io::Result<Option<Record>> {
    if at + framed(0) > end {
        return Ok(None);
    }
    let mut bytes = [0; HEADER];
    file.read_exact_at(&mut bytes, at)?;
    let Some(header) = Header::parse(&bytes) else { return Ok(None) };
    let next = at + framed(header.length);
    if next > end {
        return Ok(None);
    }
    let mut payload = vec![0; header.length];
    file.read_exact_at(&mut payload, at + framed(0))?;
    let is_whole = checksum((header.length as u32).to_le_bytes(), &payload) == header.checksum;
    Ok(is_whole.then_some(Record { at, next, payload }))
}

/// Looks for a magic that begins a whole record.
fn search(file: &File, from: u64, end: u64) -> io::Result<Option<Record>> {
    let mut window = vec![0; WINDOW];
    let mut at = from;
    while at + framed(0) <= end {
        let size = (end - at).min(WINDOW as u64) as usize;
        file.read_exact_at(&mut window[..size], at)?;
        for (place, bytes) in window[..size].windows(MAGIC.len()).enumerate() {
            if bytes == MAGIC
                && let Some(record) = read_at(file, at + place as u64, end)?
            {
                return Ok(Some(record));
            }
        }
        // A magic may lie across the border of two windows.
        at += (size - (MAGIC.len() - 1)) as u64;
    }
    Ok(None)
}

fn is_zeros(file: &File, from: u64, end: u64) -> io::Result<bool> {
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
