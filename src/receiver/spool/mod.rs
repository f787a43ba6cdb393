//! Where verified webhooks wait while Postgres is down: files of records, each on disk before its
//! append returns, read back oldest first.
//!
//! A folder holds segments, `{unix micros}-{pid}.spool`. Each process writes its own and holds an
//! advisory lock on it; the segments of processes that are no more are taken over. No record that
//! was acknowledged is lost by a crash at any point; after one, records may come twice. Records are
//! opaque bytes, and files are for this user only. The folder is to be on a local file system, and
//! of a user and with a mode that let nobody else write into it: a segment is believed.
//!
//! Records are mostly what strangers sent. Each segment has a random salt, without which nobody can
//! put bytes into a record that are taken for another record after a crash.
//!
//! A segment damaged in its middle is replayed without its damaged records and then kept as
//! `.damaged`, for a person to look at and delete. If both copies of its salt are damaged, none of
//! its records is replayed.

mod disk;
mod header;
mod record;
mod segment;
mod shelf;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Weak, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

use self::{
    disk::{Disk, RealDisk},
    shelf::{Batch, Shelf},
    writer::{Append, Request, Writer},
};

/// Appends that may wait for the writer; further ones wait for a place.
const MAX_WAITING: usize = 1024;
/// How often the segments of dead processes are looked for.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(10);

/// Why a record was not stored or not read back.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum SpoolError {
    /// The folder holds as much as it may. There is room again when records are done.
    #[error("the spool is full: its folder may hold {max_bytes} bytes")]
    Full {
        /// The limit in bytes.
        max_bytes: u64,
    },
    /// The record is larger than any may be. Trying again cannot help.
    #[error("the spool takes no record of {bytes} bytes: at most {max_bytes}")]
    TooLarge {
        /// Length of the record in bytes.
        bytes: usize,
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// The disk refused, and may not the next time. All records of a group share one failure.
    #[error("the spool could not {operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The thread that does the work is gone. Only a new process can help.
    #[error("the spool is closed")]
    Closed,
}

impl SpoolError {
    fn io(operation: &'static str, source: io::Error) -> Self {
        Self::Io { operation, source: Arc::new(source) }
    }
}

/// A handle of a spool. With the last one its threads end and its segments are free for others.
#[derive(Clone)]
pub(super) struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    shelf: Arc<Shelf>,
    places: Arc<Semaphore>,
    /// Nothing once the spool is being dropped.
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// Wakes the thread that takes over by being dropped.
    _takeover: mpsc::Sender<()>,
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("folder", &self.inner.shelf.folder).finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens the spool in a folder, which is created if it is missing, and takes over what dead
    /// processes left there. A folder that is there keeps its mode; if it is open to other users a
    /// warning is logged. `max_bytes` bounds the segments of all processes together; with several of
    /// them writing it can be passed by what they write in 100 ms.
    ///
    /// Reads all segments that it takes over: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// The folder cannot be created, looked at or listed, or a thread cannot be started.
    pub(super) fn open(folder: PathBuf, max_bytes: u64) -> Result<Self, SpoolError> {
        Self::open_on(Box::new(RealDisk), folder, max_bytes)
    }

    fn open_on(disk: Box<dyn Disk>, folder: PathBuf, max_bytes: u64) -> Result<Self, SpoolError> {
        disk::create_folder(&folder).map_err(|error| SpoolError::io("create its folder", error))?;
        warn_of_others(&folder)?;
        segment::names(&folder).map_err(|error| SpoolError::io("list its folder", error))?;
        let shelf = Arc::new(Shelf::new(folder));
        shelf.take_over();
        let (queue, requests) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&shelf), disk, max_bytes);
        let writer = start("spool-writer", move || writer.run(&requests))?;
        let (takeover, ticks) = mpsc::channel();
        let watched = Arc::downgrade(&shelf);
        start("spool-takeover", move || keep_taking_over(&watched, &ticks))?;
        let places = Arc::new(Semaphore::new(MAX_WAITING));
        let (queue, writer) = (Some(queue), Some(writer));
        Ok(Self { inner: Arc::new(Inner { shelf, places, queue, writer, _takeover: takeover }) })
    }

    /// Stores a record of at most 16 MiB. When this returns `Ok` the record is on disk; appends at
    /// the same time share one fdatasync. If the caller gives up waiting, the record may be stored
    /// or not. Has no time limit of its own.
    ///
    /// # Errors
    ///
    /// The record is not stored, and nothing of it will be read back, except after a crash if the
    /// disk refused ([`SpoolError::Io`]).
    pub(super) async fn append(&self, record: Vec<u8>) -> Result<(), SpoolError> {
        if record.len() > record::MAX_PAYLOAD {
            let (bytes, max_bytes) = (record.len(), record::MAX_PAYLOAD);
            return Err(SpoolError::TooLarge { bytes, max_bytes });
        }
        let places = Arc::clone(&self.inner.places);
        let place = places.acquire_owned().await.map_err(|_| SpoolError::Closed)?;
        let (reply, stored) = oneshot::channel();
        self.inner.send(Request::Append(Append { record, reply, place }))?;
        stored.await.map_err(|_| SpoolError::Closed)?
    }

    /// The oldest records that this process holds, or nothing: at most `max_records` whose lengths
    /// add up to at most `max_bytes`, but at least one. Until [`Self::done`] is called, the next
    /// call returns the same records again.
    ///
    /// # Errors
    ///
    /// A segment cannot be read now. The next call goes on with the others; this one is tried again
    /// within 10 seconds.
    pub(super) async fn next_batch(
        &self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Option<Batch>, SpoolError> {
        if self.inner.shelf.is_live_next() {
            let (reply, sealed) = oneshot::channel();
            self.inner.send(Request::Seal(reply))?;
            sealed.await.map_err(|_| SpoolError::Closed)?;
        }
        self.blocking("read", move |shelf| shelf.read(max_records, max_bytes)).await
    }

    /// Forgets the records of a batch. Their file is deleted with its last record, not before: a
    /// process that ends sooner leaves records that are read back again.
    ///
    /// # Errors
    ///
    /// The file could not be deleted. This process forgets the records all the same and tries again
    /// to delete the file within 10 seconds.
    pub(super) async fn done(&self, batch: Batch) -> Result<(), SpoolError> {
        self.blocking("delete a segment", move |shelf| shelf.done(&batch)).await
    }

    /// Whether nothing that this process holds waits to be read back.
    pub(super) fn is_empty(&self) -> bool {
        self.records_waiting() == 0
    }

    /// Records that this process holds and that are not done.
    pub(super) fn records_waiting(&self) -> u64 {
        self.inner.shelf.waiting()
    }

    /// Bytes of the segments that this process holds: those of all processes add up to the folder.
    pub(super) fn bytes(&self) -> u64 {
        self.inner.shelf.bytes()
    }

    /// Segments that were found damaged since the spool was opened.
    pub(super) fn damaged(&self) -> u64 {
        self.inner.shelf.damaged()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Shelf) -> io::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let shelf = Arc::clone(&self.inner.shelf);
        let worked = tokio::task::spawn_blocking(move || work(&shelf)).await;
        worked.map_err(|_| SpoolError::Closed)?.map_err(|error| SpoolError::io(operation, error))
    }
}

impl Inner {
    fn send(&self, request: Request) -> Result<(), SpoolError> {
        let queue = self.queue.as_ref().ok_or(SpoolError::Closed)?;
        queue.send(request).map_err(|_| SpoolError::Closed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.queue.take());
        // Then the locks are free when this returns. At most what is queued is still written.
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the spool panicked");
        }
    }
}

/// The files are for this user only all the same. The folder may be another's to decide on.
fn warn_of_others(folder: &Path) -> Result<(), SpoolError> {
    let failed = |error| SpoolError::io("read the mode of its folder", error);
    if disk::is_open_to_others(folder).map_err(failed)? {
        tracing::warn!(
            folder = %folder.display(),
            "the folder of the spool is open to other users: take their rights away (chmod 700)"
        );
    }
    Ok(())
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, SpoolError> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(|error| SpoolError::io("start a thread", error))
}

/// Ends with the spool.
fn keep_taking_over(shelf: &Weak<Shelf>, ticks: &mpsc::Receiver<()>) {
    while ticks.recv_timeout(TAKE_OVER_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
        let Some(shelf) = shelf.upgrade() else { return };
        shelf.take_over();
    }
}
