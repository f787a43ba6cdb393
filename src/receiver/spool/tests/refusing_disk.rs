//! A disk that is full or dying.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::super::{
    Spool, SpoolError,
    disk::{Disk, RealDisk},
};
use super::{PLENTY, append_all, drain, files, folder, open};

/// Refuses what is switched on. A refused write leaves half of its bytes.
#[derive(Clone, Default)]
struct Refusing {
    write: Arc<AtomicBool>,
    sync: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
}

fn refused(switch: &AtomicBool) -> io::Result<()> {
    let is_refused = switch.load(Ordering::SeqCst);
    if is_refused { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl Disk for Refusing {
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        if let Err(error) = refused(&self.write) {
            file.write_all_at(&bytes[..bytes.len() / 2], at)?;
            return Err(error);
        }
        RealDisk.write(file, bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        refused(&self.sync)?;
        RealDisk.sync(file)
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        refused(&self.cut)?;
        RealDisk.cut(file, length)
    }
}

fn open_refusing(folder: &Path) -> (Spool, Refusing) {
    let disk = Refusing::default();
    (Spool::open_on(Box::new(disk.clone()), folder.to_owned(), PLENTY).unwrap(), disk)
}

async fn is_refused(spool: &Spool, record: &str) {
    let error = spool.append(record.as_bytes().to_vec()).await.unwrap_err();
    assert!(matches!(error, SpoolError::Io { .. }), "{error}");
}

#[tokio::test]
async fn what_a_full_disk_refused_leaves_the_file_whole() {
    let folder = folder();
    let (spool, disk) = open_refusing(folder.path());
    // Before there is any record, and after one.
    for record in ["one", "two"] {
        disk.write.store(true, Ordering::SeqCst);
        is_refused(&spool, "a longer record that is written in part").await;
        disk.write.store(false, Ordering::SeqCst);
        append_all(&spool, &[record]).await;
    }
    let written = files(folder.path(), "spool");
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].metadata().unwrap().len(), spool.bytes());
    drop(spool);
    let spool = open(folder.path());
    assert_eq!((drain(&spool).await, spool.damaged()), (vec!["one".into(), "two".into()], 0));
}

#[tokio::test]
async fn a_file_that_cannot_be_made_whole_gets_no_further_record() {
    let folder = folder();
    let (spool, disk) = open_refusing(folder.path());
    append_all(&spool, &["before"]).await;
    disk.write.store(true, Ordering::SeqCst);
    disk.cut.store(true, Ordering::SeqCst);
    is_refused(&spool, "a longer record that is written in part").await;
    disk.write.store(false, Ordering::SeqCst);
    append_all(&spool, &["after"]).await;
    assert_eq!(files(folder.path(), "spool").len(), 2);
    let batch = spool.next_batch(9, usize::MAX).await.unwrap().unwrap();
    assert_eq!(batch.records, [b"before"], "only what was acknowledged");
    drop((batch, spool));
    // The half record is a torn one to whoever takes the file over.
    let spool = open(folder.path());
    assert_eq!(drain(&spool).await, ["before", "after"]);
    assert_eq!(spool.damaged(), 0);
}

#[tokio::test]
async fn a_file_that_could_not_be_synced_gets_no_further_record() {
    for keeps_bytes in [false, true] {
        let folder = folder();
        let (spool, disk) = open_refusing(folder.path());
        append_all(&spool, &["before"]).await;
        disk.cut.store(keeps_bytes, Ordering::SeqCst);
        disk.sync.store(true, Ordering::SeqCst);
        let refused = ["x", "y"].map(|record| is_refused(&spool, record));
        for refused in refused {
            refused.await;
        }
        disk.sync.store(false, Ordering::SeqCst);
        append_all(&spool, &["after"]).await;
        assert!(files(folder.path(), "spool").len() >= 2);
        assert_eq!(drain(&spool).await, ["before", "after"]);
        spool.inner.shelf.take_over();
        assert_eq!(files(folder.path(), "spool").len(), 0, "the refused ones are deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_of_a_group_that_failed_is_acknowledged() {
    let folder = folder();
    let (spool, disk) = open_refusing(folder.path());
    let mut acknowledged = Vec::new();
    for round in 0..20 {
        disk.sync.store(round % 2 == 1, Ordering::SeqCst);
        let append = |number: usize| {
            let (spool, record) = (spool.clone(), format!("{round}/{number:02}"));
            tokio::spawn(async move {
                spool.append(record.clone().into_bytes()).await.is_ok().then_some(record)
            })
        };
        let appends: Vec<_> = (0..50).map(append).collect();
        for append in appends {
            acknowledged.extend(append.await.unwrap());
        }
    }
    assert_eq!(acknowledged.len(), 500);
    let mut found = drain(&spool).await;
    found.sort();
    acknowledged.sort();
    assert_eq!(found, acknowledged);
}
