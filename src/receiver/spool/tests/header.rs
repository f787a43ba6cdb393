//! The beginning of a segment.

use std::{collections::BTreeSet, fs};

use super::super::header::{BYTES, Salt};
use super::{append_all, damage::replay, drain, files, folder, mode, open, segment_of};

const FIRST: usize = BYTES as usize;
const RECORDS: [&str; 2] = ["one", "another"];

fn segment() -> Vec<u8> {
    segment_of(Salt(*b"salt for a test."), &RECORDS.map(str::as_bytes))
}

#[tokio::test]
async fn one_torn_at_any_byte_is_no_damage_and_has_no_record() {
    let folder = folder();
    for length in 0..=FIRST {
        let torn = segment()[..length].to_vec();
        assert_eq!(replay(folder.path(), &torn).await, (vec![], false), "at {length}");
        // A file system may have made the file longer without having written what is in it.
        let zeros = [torn.as_slice(), &[0; 1000]].concat();
        assert_eq!(replay(folder.path(), &zeros).await, (vec![], false), "zeros at {length}");
    }
}

#[tokio::test]
async fn a_torn_one_is_removed_when_it_is_taken_over_and_appends_go_elsewhere() {
    let folder = folder();
    for length in 0..FIRST {
        let path = folder.path().join("1-1.spool");
        fs::write(&path, &segment()[..length]).unwrap();
        let spool = open(folder.path());
        assert!(!path.exists() && spool.is_empty(), "at {length}");
        append_all(&spool, &["appended"]).await;
        assert_eq!(drain(&spool).await, ["appended"]);
    }
}

#[tokio::test]
async fn a_flipped_byte_of_it_costs_no_record() {
    let folder = folder();
    for place in 0..FIRST {
        let mut bytes = segment();
        bytes[place] ^= 0x10;
        let found = replay(folder.path(), &bytes).await;
        assert_eq!(found, (RECORDS.map(String::from).to_vec(), true), "at {place}");
    }
}

#[tokio::test]
async fn without_a_whole_copy_nothing_is_replayed_and_the_file_is_kept() {
    let folder = folder();
    for (place, other) in (0..FIRST / 2).zip((FIRST / 2..FIRST).rev()) {
        let mut bytes = segment();
        bytes[place] ^= 0x10;
        bytes[other] ^= 0x10;
        assert_eq!(replay(folder.path(), &bytes).await, (vec![], true), "at {place} and {other}");
    }
    // Two copies that are whole, but of two segments.
    let mut bytes = segment();
    bytes[..FIRST / 2].copy_from_slice(&segment_of(Salt([7; 16]), &[])[..FIRST / 2]);
    assert_eq!(replay(folder.path(), &bytes).await, (vec![], true));
    assert_eq!(replay(folder.path(), &[0xF5; 1000]).await, (vec![], true));
    // Without the header, as another release might have written it.
    assert_eq!(replay(folder.path(), &segment()[FIRST..]).await, (vec![], false), "too short");
    let long = segment_of(Salt([7; 16]), &[&[b'x'; 100]]);
    assert_eq!(replay(folder.path(), &long[FIRST..]).await, (vec![], true));
}

#[tokio::test]
async fn each_segment_has_a_salt_of_its_own_that_is_not_printed() {
    let folder = folder();
    let spool = open(folder.path());
    let (mut salts, mut marks) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..8 {
        append_all(&spool, &["the same"]).await;
        // Reading seals the segment.
        let _ = spool.next_batch(1, 1).await.unwrap();
    }
    for path in files(folder.path(), "spool") {
        let bytes = fs::read(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(bytes[..FIRST / 2], bytes[FIRST / 2..FIRST]);
        salts.insert(bytes[8..24].to_vec());
        marks.insert(bytes[FIRST..FIRST + 4].to_vec());
    }
    assert_eq!((salts.len(), marks.len()), (files(folder.path(), "spool").len(), salts.len()));
    assert!(salts.len() >= 2);
    assert_eq!(format!("{:?}", Salt([7; 16])), "Salt");
}
