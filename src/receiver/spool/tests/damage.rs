//! Files that are not whole.

use std::{fs, path::Path};

use super::super::{
    SpoolError,
    header::{BYTES, Salt},
    record::framed,
};
use super::{append_all, drain, files, folder, open, segment_of};

const RECORDS: [&str; 3] = ["the first", "the second one", "the third and last"];

/// Where the first record begins.
const FIRST: usize = BYTES as usize;

/// A segment of these records, always with the same salt.
fn segment(records: &[&str]) -> Vec<u8> {
    let records: Vec<_> = records.iter().map(|record| record.as_bytes()).collect();
    segment_of(Salt(*b"salt for a test."), &records)
}

/// What comes out of a folder with this one segment, and whether it was found damaged.
pub(super) async fn replay(folder: &Path, bytes: &[u8]) -> (Vec<String>, bool) {
    fs::write(folder.join("1-1.spool"), bytes).unwrap();
    let spool = open(folder);
    let damaged = spool.damaged();
    let records = drain(&spool).await;
    assert_eq!(files(folder, "spool").len(), 0, "the segment is gone");
    assert_eq!(spool.damaged(), damaged, "setting aside counts nothing twice");
    let aside = files(folder, "damaged");
    assert_eq!(aside.len() as u64, damaged);
    for file in &aside {
        assert_eq!(fs::read(file).unwrap(), bytes, "what is set aside is as it was");
        fs::remove_file(file).unwrap();
    }
    (records, damaged > 0)
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_off() {
    let folder = folder();
    let whole = segment(&RECORDS);
    let last = segment(&RECORDS[..2]).len();
    for length in last..whole.len() {
        let found = replay(folder.path(), &whole[..length]).await;
        assert_eq!(found, (vec![RECORDS[0].into(), RECORDS[1].into()], false), "at {length}");
    }
    let all = RECORDS.map(String::from).to_vec();
    assert_eq!(replay(folder.path(), &whole).await, (all.clone(), false));
    // A file system may have made the file longer without having written what is in it.
    let zeros = [whole.as_slice(), &[0; 100_000]].concat();
    assert_eq!(replay(folder.path(), &zeros).await, (all, false));
}

#[tokio::test]
async fn a_torn_file_is_whole_after_opening() {
    let folder = folder();
    let whole = segment(&RECORDS);
    let path = folder.path().join("1-1.spool");
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let spool = open(folder.path());
    append_all(&spool, &["appended"]).await;
    assert_eq!(fs::read(&path).unwrap(), segment(&RECORDS[..2]));
    assert_eq!(drain(&spool).await, [RECORDS[0], RECORDS[1], "appended"]);
}

#[tokio::test]
async fn a_flipped_byte_costs_its_record_only() {
    let folder = folder();
    let whole = segment(&RECORDS);
    let starts = [FIRST, segment(&RECORDS[..1]).len(), segment(&RECORDS[..2]).len()];
    for place in FIRST..whole.len() {
        let hit = starts.iter().rposition(|start| *start <= place).unwrap();
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        let mut expected = RECORDS.map(String::from).to_vec();
        expected.remove(hit);
        let (records, is_damaged) = replay(folder.path(), &bytes).await;
        assert_eq!(records, expected, "at {place}");
        // A last record whose length became larger is like a torn one.
        let length = starts[2] + 4..starts[2] + 7;
        assert!(is_damaged || length.contains(&place), "silent at {place}");
    }
}

#[tokio::test]
async fn damage_and_a_torn_tail_together_lose_no_whole_record() {
    let folder = folder();
    let mut bytes = segment(&["a", "b", "c", "d", "e", "f"]);
    let frame = framed(1) as usize;
    bytes[FIRST] ^= 1;
    bytes[FIRST + 2 * frame..FIRST + 4 * frame].fill(0);
    bytes.truncate(FIRST + 6 * frame - 1);
    let found = replay(folder.path(), &bytes).await;
    assert_eq!(found, (vec!["b".into(), "e".into()], true));
    // Records may have been there once; the mark of this salt is in it everywhere.
    let mut noise = segment_of(Salt([0xF5; 16]), &[]);
    noise.extend([0xF5; 1000]);
    assert_eq!(replay(folder.path(), &noise).await, (vec![], true));
}

#[tokio::test]
async fn the_next_record_is_found_across_the_border_of_two_windows() {
    let folder = folder();
    let border = FIRST + 64 * 1024;
    for start in border - 4..=border + 4 {
        let long = "x".repeat(start - FIRST - framed(0) as usize);
        let mut bytes = segment(&[&long, "found"]);
        bytes[FIRST + 20] ^= 1;
        let found = replay(folder.path(), &bytes).await;
        assert_eq!(found, (vec!["found".into()], true), "record at {start}");
    }
}

#[tokio::test]
async fn damage_that_comes_after_opening_is_found_when_reading() {
    let whole = segment(&RECORDS);
    let last = whole.len() - 1;
    let cases: [(&[usize], &[&str]); 3] = [
        (&[FIRST + 15], &RECORDS[1..]),
        (&[last], &RECORDS[..2]),
        (&[FIRST + 15, last], &RECORDS[1..2]),
    ];
    for (places, expected) in cases {
        let folder = folder();
        let path = folder.path().join("1-1.spool");
        fs::write(&path, &whole).unwrap();
        let spool = open(folder.path());
        assert_eq!((spool.records_waiting(), spool.damaged()), (3, 0));
        let mut bytes = whole.clone();
        places.iter().for_each(|place| bytes[*place] ^= 1);
        fs::write(&path, bytes).unwrap();
        assert_eq!(drain(&spool).await, expected);
        assert_eq!((spool.records_waiting(), spool.damaged()), (0, 1));
        assert_eq!(files(folder.path(), "damaged").len(), 1);
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_holds_up_no_other() {
    let folder = folder();
    let path = folder.path().join("1-1.spool");
    fs::write(&path, segment(&RECORDS)).unwrap();
    let spool = open(folder.path());
    append_all(&spool, &["own"]).await;
    // Shorter than it was when it was taken over: reading its end fails.
    fs::write(&path, segment(&RECORDS[..1])).unwrap();
    let refused = spool.next_batch(9, usize::MAX).await;
    assert!(matches!(refused, Err(SpoolError::Io { .. })));
    assert_eq!(drain(&spool).await, ["own"]);
    spool.inner.shelf.take_over();
    assert_eq!(drain(&spool).await, [RECORDS[0]]);
}

#[tokio::test]
async fn files_that_are_no_segments_are_left_alone() {
    let folder = folder();
    let strangers = ["notes.txt", "x-1.spool", "1.spool", "2-1.damaged"];
    strangers.iter().for_each(|name| fs::write(folder.path().join(name), "mine").unwrap());
    let spool = open(folder.path());
    assert!(spool.is_empty());
    assert!(strangers.iter().all(|name| folder.path().join(name).exists()));
}
