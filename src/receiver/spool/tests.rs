//! On real files.
#![expect(clippy::unwrap_used, reason = "a failed test")]

mod crash;
mod damage;
mod forged;
mod header;
mod refusing_disk;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    Spool, SpoolError,
    header::{self as start, Salt},
    record, segment,
};

const PLENTY: u64 = 1 << 30;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder.to_owned(), PLENTY).unwrap()
}

/// A segment of these records.
fn segment_of(salt: Salt, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = start::encode(salt);
    records.iter().for_each(|record| record::encode(salt, record, &mut bytes));
    bytes
}

async fn append_all(spool: &Spool, records: &[&str]) {
    for record in records {
        spool.append(record.as_bytes().to_vec()).await.unwrap();
    }
}

/// Reads back everything that waits, in batches of two.
async fn drain(spool: &Spool) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(batch) = spool.next_batch(2, usize::MAX).await.unwrap() {
        all.extend(batch.records.iter().map(|record| String::from_utf8(record.clone()).unwrap()));
        spool.done(batch).await.unwrap();
    }
    all
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().unwrap() == extension).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn records_come_back_in_order_over_segments_and_reopening() {
    let folder = folder();
    let spool = open(folder.path());
    append_all(&spool, &["1", "2", "3"]).await;
    // Reading seals the segment; what is not done comes again.
    let batch = spool.next_batch(2, usize::MAX).await.unwrap().unwrap();
    assert_eq!(batch.records, [b"1", b"2"]);
    append_all(&spool, &["4", ""]).await;
    assert_eq!(files(folder.path(), "spool").len(), 2);
    drop((batch, spool));

    let spool = open(folder.path());
    append_all(&spool, &["6"]).await;
    assert_eq!((spool.records_waiting(), files(folder.path(), "spool").len()), (6, 3));
    assert_eq!(drain(&spool).await, ["1", "2", "3", "4", "", "6"]);
    assert_eq!((spool.is_empty(), spool.bytes(), spool.damaged()), (true, 0, 0));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "files of done records are deleted"
    );
    assert!(spool.next_batch(1, 1).await.unwrap().is_none());
}

#[tokio::test]
async fn a_batch_comes_again_until_it_is_done_once() {
    let folder = folder();
    let spool = open(folder.path());
    append_all(&spool, &["1", "2", "3"]).await;
    let first = spool.next_batch(1, usize::MAX).await.unwrap().unwrap();
    let again = spool.next_batch(1, usize::MAX).await.unwrap().unwrap();
    assert_eq!(first.records, again.records);
    spool.done(first).await.unwrap();
    assert_eq!(spool.records_waiting(), 2);
    spool.done(again).await.unwrap();
    assert_eq!(spool.records_waiting(), 2, "the second time forgets nothing more");
    assert_eq!(drain(&spool).await, ["2", "3"]);
}

#[tokio::test]
async fn a_batch_keeps_its_bounds_but_has_at_least_one_record() {
    let folder = folder();
    let spool = open(folder.path());
    append_all(&spool, &["12345", "678", "9", "0"]).await;
    let mut sizes = Vec::new();
    while let Some(batch) = spool.next_batch(2, 4).await.unwrap() {
        sizes.push(batch.records.len());
        spool.done(batch).await.unwrap();
    }
    assert_eq!(sizes, [1, 2, 1]);
}

#[tokio::test]
async fn a_long_segment_is_sealed_and_a_record_has_a_longest_length() {
    let folder = folder();
    let spool = open(folder.path());
    let longest = vec![7; record::MAX_PAYLOAD];
    spool.append(longest.clone()).await.unwrap();
    append_all(&spool, &["after"]).await;
    assert_eq!(files(folder.path(), "spool").len(), 2);
    let refused = spool.append(vec![7; record::MAX_PAYLOAD + 1]).await.unwrap_err();
    assert!(matches!(refused, SpoolError::TooLarge { .. }), "{refused}");
    drop(spool);

    let spool = open(folder.path());
    let batch = spool.next_batch(9, usize::MAX).await.unwrap().unwrap();
    assert!(batch.records == [longest]);
    spool.done(batch).await.unwrap();
    assert_eq!(drain(&spool).await, ["after"]);
}

#[tokio::test]
async fn a_full_spool_refuses_and_works_again_when_it_is_drained() {
    let folder = folder();
    // Room for two records of ten bytes, not for three.
    let max_bytes = start::BYTES + 3 * record::framed(10) - 1;
    let spool = Spool::open(folder.path().to_owned(), max_bytes).unwrap();
    append_all(&spool, &["1234567890", "abcdefghij"]).await;
    let refused = spool.append(b"too much..".to_vec()).await.unwrap_err();
    assert!(matches!(refused, SpoolError::Full { .. }), "{refused}");
    append_all(&spool, &["last one."]).await;
    assert_eq!(spool.bytes(), max_bytes);
    // What other processes wrote counts too.
    let other = Spool::open(folder.path().to_owned(), max_bytes).unwrap();
    assert!(matches!(other.append(vec![0; 10]).await, Err(SpoolError::Full { .. })));
    assert_eq!(drain(&spool).await, ["1234567890", "abcdefghij", "last one."]);
    append_all(&spool, &["there is 1", "there is 2"]).await;
    assert_eq!(drain(&spool).await, ["there is 1", "there is 2"]);
}

#[tokio::test]
async fn the_header_of_a_segment_needs_room_too() {
    let folder = folder();
    let max_bytes = start::BYTES + record::framed(10);
    let tight = Spool::open(folder.path().to_owned(), max_bytes - 1).unwrap();
    assert!(matches!(tight.append(vec![b'x'; 10]).await, Err(SpoolError::Full { .. })));
    let spool = Spool::open(folder.path().to_owned(), max_bytes).unwrap();
    append_all(&spool, &["xxxxxxxxxx"]).await;
    assert_eq!(segment::bytes(folder.path()).unwrap(), max_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_appends_at_once_are_all_there_exactly_once() {
    let folder = folder();
    let spool = open(folder.path());
    let append = |number: usize| {
        let spool = spool.clone();
        tokio::spawn(async move { spool.append(number.to_string().into_bytes()).await })
    };
    let appends: Vec<_> = (0..1000).map(append).collect();
    // Reading at the same time seals segments in between.
    let mut found = drain(&spool).await;
    for append in appends {
        append.await.unwrap().unwrap();
    }
    found.extend(drain(&spool).await);
    let expected: BTreeSet<_> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!((found.len(), BTreeSet::from_iter(found)), (1000, expected));
}

#[tokio::test]
async fn a_segment_is_taken_over_only_when_its_process_is_gone() {
    let folder = folder();
    let first = open(folder.path());
    append_all(&first, &["sealed"]).await;
    let batch = first.next_batch(1, usize::MAX).await.unwrap().unwrap();
    append_all(&first, &["live"]).await;
    let second = open(folder.path());
    append_all(&second, &["own"]).await;
    second.inner.shelf.take_over();
    assert_eq!(second.records_waiting(), 1);
    assert_eq!(drain(&second).await, ["own"]);
    assert!(second.is_empty() && !first.is_empty());

    drop((batch, first));
    second.inner.shelf.take_over();
    assert_eq!(drain(&second).await, ["sealed", "live"]);
}

#[tokio::test]
async fn the_live_segment_comes_before_a_younger_one_that_was_taken_over() {
    let folder = folder();
    let (older, younger) = (open(folder.path()), open(folder.path()));
    append_all(&older, &["older"]).await;
    append_all(&younger, &["younger"]).await;
    drop(younger);
    older.inner.shelf.take_over();
    assert_eq!(drain(&older).await, ["older", "younger"]);
}

#[tokio::test]
async fn a_deleted_segment_is_not_taken_over_by_who_opened_it_before() {
    let folder = folder();
    let (name, file, _) = segment::create(folder.path()).unwrap();
    assert!(segment::Segment::adopt(folder.path(), name).unwrap().is_none(), "it is locked");
    let path = name.path(folder.path());
    let opened = fs::File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    drop(file);
    assert!(!segment::lock(&opened, &path).unwrap());
    fs::write(&path, "another file of that name").unwrap();
    assert!(!segment::lock(&opened, &path).unwrap());
}

#[tokio::test]
async fn new_segments_sort_behind_those_of_a_clock_that_was_ahead() {
    let folder = folder();
    let bytes = segment_of(Salt::random().unwrap(), &[b"from the future"]);
    // In the year 2200.
    fs::write(folder.path().join("7258118400000000-1.spool"), bytes).unwrap();
    let spool = open(folder.path());
    append_all(&spool, &["now"]).await;
    assert_eq!(drain(&spool).await, ["from the future", "now"]);
}

#[tokio::test]
async fn folder_and_files_are_for_this_user_only() {
    let folder = folder();
    let inner = folder.path().join("made/spool");
    let spool = open(&inner);
    append_all(&spool, &["secret"]).await;
    assert_eq!((mode(&inner), mode(&files(&inner, "spool")[0])), (0o700, 0o600));
    let batch = spool.next_batch(1, 1).await.unwrap();
    assert!(
        !format!("{spool:?} {batch:?}").contains("115, 101"),
        "the bytes of a record are printed"
    );
}

#[tokio::test]
async fn a_folder_that_is_open_to_others_stays_so_with_a_warning() {
    for (open_to, is_said) in
        [(0o700, false), (0o740, true), (0o720, true), (0o701, true), (0o777, true)]
    {
        let (folder, logged) = (folder(), tempfile::NamedTempFile::new().unwrap());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(open_to)).unwrap();
        let log = tracing_subscriber::fmt().with_writer(Mutex::new(logged.reopen().unwrap()));
        let spool = tracing::subscriber::with_default(log.finish(), || open(folder.path()));
        let said = fs::read_to_string(logged.path()).unwrap();
        assert_eq!(
            said.contains("WARN") && said.contains("open to other users"),
            is_said,
            "{said}"
        );
        append_all(&spool, &["secret"]).await;
        let file = &files(folder.path(), "spool")[0];
        assert_eq!((mode(folder.path()), mode(file)), (open_to, 0o600));
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_an_error_and_one_that_vanishes_too() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = Spool::open(file.join("spool"), PLENTY).unwrap_err();
    assert!(matches!(refused, SpoolError::Io { .. }), "{refused}");
    let inner = folder.path().join("spool");
    let spool = open(&inner);
    fs::remove_dir(&inner).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(10), spool.append(vec![1])).await;
    assert!(matches!(refused.unwrap(), Err(SpoolError::Io { .. })));
}
