//! Payloads of strangers that hold whole records.

use std::fs;

use super::super::{
    header::{BYTES, Salt},
    record::{encode, framed},
};
use super::{append_all, damage::replay, drain, files, folder, open, segment_of};

const FIRST: usize = BYTES as usize;
const SALT: Salt = Salt(*b"salt for a test.");
const FORGED: &[u8] = b"a forged event of another organization";

/// A record as its author frames it who knows the format, a mark, and what comes before the length
/// in the checksum.
fn framed_by_hand(mark: &[u8], prefix: &[u8]) -> Vec<u8> {
    let length = (FORGED.len() as u32).to_le_bytes();
    let checksum = crc32fast::hash(&[prefix, &length, FORGED].concat()).to_le_bytes();
    [mark, &length, &checksum, FORGED].concat()
}

fn encoded(salt: Salt) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(salt, FORGED, &mut bytes);
    bytes
}

/// What strangers may try, also one who has guessed the mark of the segment.
fn forgeries() -> Vec<Vec<u8>> {
    let mark = &SALT.0[..4];
    let mut other = SALT;
    other.0[15] ^= 1;
    vec![
        encoded(Salt(*b"another's salt!!")),
        encoded(Salt([0; 16])),
        encoded(other),
        framed_by_hand(&[0xF5, b'S', b'p', 0xFA], &[]),
        framed_by_hand(&[0; 4], &[]),
        framed_by_hand(mark, &[]),
        framed_by_hand(mark, &[0; 16]),
        framed_by_hand(mark, mark),
        // A whole segment, header and all.
        segment_of(Salt([0; 16]), &[FORGED]),
        segment_of(Salt(*b"another's salt!!"), &[FORGED]),
    ]
}

/// A body with all of them.
fn hostile() -> Vec<u8> {
    let bodies = forgeries().into_iter().map(|forged| [b"{}".as_slice(), &forged].concat());
    bodies.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn a_frame_by_hand_with_the_salt_is_a_record() {
    // So the forgeries are wrong in nothing but the salt, and whoever reads the file is believed.
    assert_eq!(framed_by_hand(&SALT.0[..4], &SALT.0), encoded(SALT));
    let folder = folder();
    let body = [b"{}".as_slice(), &encoded(SALT), b"{}"].concat();
    let whole = segment_of(SALT, &[b"before", &body]);
    let found = replay(folder.path(), &whole[..whole.len() - 1]).await;
    assert_eq!(found.0, [b"before".as_slice(), FORGED].map(|it| String::from_utf8_lossy(it)));
}

#[tokio::test]
async fn a_torn_record_replays_nothing_of_its_payload_at_any_cut() {
    let folder = folder();
    for forged in forgeries() {
        let body = [b"{}".as_slice(), &forged, b"{}"].concat();
        let whole = segment_of(SALT, &[b"before", &body]);
        let last = segment_of(SALT, &[b"before"]).len();
        for length in last..whole.len() {
            let found = replay(folder.path(), &whole[..length]).await;
            assert_eq!(found, (vec!["before".into()], false), "at {length}");
        }
        // The file was made longer, and the rest of it not written.
        let zeros = [&whole[..whole.len() - 1], &[0; 100]].concat();
        assert_eq!(replay(folder.path(), &zeros).await.0, ["before"]);
    }
}

#[tokio::test]
async fn a_damaged_record_replays_nothing_of_its_payload() {
    let folder = folder();
    let body = hostile();
    let whole = segment_of(SALT, &[b"before", &body, b"after"]);
    let start = FIRST + framed(6) as usize;
    for place in start..start + framed(2) as usize {
        for change in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[place] ^= change;
            let found = replay(folder.path(), &bytes).await;
            assert_eq!(found, (vec!["before".into(), "after".into()], true), "at {place}");
        }
    }
    // Nor where the head of it is gone, or the header of the segment.
    let mut bytes = whole.clone();
    bytes[start..start + framed(0) as usize].fill(0);
    assert_eq!(replay(folder.path(), &bytes).await.0, ["before", "after"]);
    bytes[..FIRST].fill(0);
    assert_eq!(replay(folder.path(), &bytes).await, (vec![], true));
}

#[tokio::test]
async fn what_a_spool_wrote_and_a_crash_tore_replays_nothing_of_its_payload() {
    let folder = folder();
    let spool = open(folder.path());
    append_all(&spool, &["before"]).await;
    spool.append(hostile()).await.unwrap();
    let whole = fs::read(&files(folder.path(), "spool")[0]).unwrap();
    let batch = spool.next_batch(9, usize::MAX).await.unwrap().unwrap();
    assert!(batch.records == [b"before".to_vec(), hostile()], "a whole one is as it was");
    spool.done(batch).await.unwrap();
    assert!(drain(&spool).await.is_empty());
    drop(spool);
    for length in FIRST + framed(6) as usize..whole.len() {
        let found = replay(folder.path(), &whole[..length]).await;
        assert_eq!(found, (vec!["before".into()], false), "at {length}");
    }
}
