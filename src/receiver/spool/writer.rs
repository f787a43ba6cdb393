//! The one thread that writes: whatever waits is written at once and shares one fdatasync.

use std::{
    fs::File,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    SpoolError,
    disk::Disk,
    header, record, segment,
    shelf::{Live, Shelf},
};

/// Records that share one fdatasync at most, and their bytes (more only if one record alone is).
const GROUP_RECORDS: usize = 512;
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// A segment that has reached this length in bytes is sealed: space is given back, and a replay
/// repeated, by the segment.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// How old the sum of the folder may be. Other processes and the replay change it behind our back.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

pub(super) enum Request {
    Append(Append),
    /// Seal the live segment, so that it can be read.
    Seal(oneshot::Sender<()>),
}

pub(super) struct Append {
    pub(super) record: Vec<u8>,
    pub(super) reply: oneshot::Sender<Result<(), SpoolError>>,
    /// The place in the queue, given back with the reply.
    pub(super) place: OwnedSemaphorePermit,
}

pub(super) struct Writer {
    shelf: Arc<Shelf>,
    disk: Box<dyn Disk>,
    max_bytes: u64,
    live: Option<(Live, File)>,
    /// Bytes of all segments of the folder, and when they were counted.
    used: u64,
    measured: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shelf: Arc<Shelf>, disk: Box<dyn Disk>, max_bytes: u64) -> Self {
        Self { shelf, disk, max_bytes, live: None, used: 0, measured: None }
    }

    /// Serves the queue until all its senders are gone.
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Request>) {
        while let Ok(first) = queue.recv() {
            let (group, seal) = gather(first, queue);
            self.append(group);
            if let Some(reply) = seal {
                self.seal();
                // Nobody listens if the reader has given up.
                let _ = reply.send(());
            }
        }
    }

    fn append(&mut self, group: Vec<Append>) {
        let (mut fitting, mut refused) = (Vec::new(), Vec::new());
        let is_begun = self.live.as_ref().is_some_and(|(live, _)| live.end > 0);
        let (mut bytes, came) = (if is_begun { 0 } else { header::BYTES }, Instant::now());
        for append in group {
            let more = bytes + record::framed(append.record.len());
            match self.admit(more, came) {
                Ok(()) => {
                    bytes = more;
                    fitting.push(append);
                }
                Err(error) => refused.push((append, error)),
            }
        }
        for (append, error) in refused {
            answer(append, Err(error));
        }
        if fitting.is_empty() {
            return;
        }
        let stored = self.store(&fitting);
        for append in fitting {
            answer(append, stored.clone());
        }
    }

    /// Whether so many bytes more fit into the folder. None is refused on a sum from before its
    /// group came.
    fn admit(&mut self, more: u64, came: Instant) -> Result<(), SpoolError> {
        let is_full = self.used + more > self.max_bytes;
        let is_stale = |at: Instant| at.elapsed() > MEASURE_EVERY || is_full && at < came;
        if self.measured.is_none_or(is_stale) {
            self.used = segment::bytes(&self.shelf.folder)
                .map_err(|error| SpoolError::io("measure the folder", error))?;
            self.measured = Some(Instant::now());
        }
        if self.used + more > self.max_bytes {
            return Err(SpoolError::Full { max_bytes: self.max_bytes });
        }
        Ok(())
    }

    /// Brings whole records to disk, all or none of them.
    fn store(&mut self, group: &[Append]) -> Result<(), SpoolError> {
        let (mut live, file) = match self.live.take() {
            Some(live) => live,
            None => self.begin()?,
        };
        let bytes = encode(live, group);
        if let Err(error) = self.disk.write(&file, &bytes, live.end) {
            // A part of a record may be there: without it the file is whole again.
            match self.disk.cut(&file, live.end) {
                Ok(()) => self.live = Some((live, file)),
                Err(_) => self.close((live, file)),
            }
            return Err(SpoolError::io("write", error));
        }
        if let Err(error) = self.disk.sync(&file) {
            // The kernel forgets what it could not write, so a second fdatasync would succeed
            // without it being there. This file gets no further record.
            self.close((live, file));
            return Err(SpoolError::io("sync", error));
        }
        live.end += bytes.len() as u64;
        live.records += group.len() as u64;
        self.used += bytes.len() as u64;
        self.shelf.show(live);
        self.live = Some((live, file));
        if live.end >= SEGMENT_BYTES {
            self.seal();
        }
        Ok(())
    }

    fn begin(&self) -> Result<(Live, File), SpoolError> {
        let (name, file, salt) = segment::create(&self.shelf.folder)
            .map_err(|error| SpoolError::io("begin a segment", error))?;
        Ok((Live { name, salt, end: 0, records: 0 }, file))
    }

    fn seal(&mut self) {
        self.live.take_if(|(live, _)| live.records > 0).into_iter().for_each(|it| self.close(it));
    }

    /// Hands the segment to the readers, as far as it was acknowledged.
    fn close(&self, (live, file): (Live, File)) {
        // What was not acknowledged is not read either way; cutting it only gives space back.
        if let Err(error) = self.disk.cut(&file, live.end) {
            tracing::warn!(segment = %live.name, %error, "a segment of the spool could not be cut");
        }
        self.shelf.seal(live, file);
    }
}

/// What is to be written at the end of the segment. The header comes with the first records: it is
/// on disk before any of them is acknowledged.
fn encode(live: Live, group: &[Append]) -> Vec<u8> {
    let mut bytes = if live.end == 0 { header::encode(live.salt) } else { Vec::new() };
    group.iter().for_each(|append| record::encode(live.salt, &append.record, &mut bytes));
    bytes
}

/// What waits, up to the bounds of a group or to a seal, whose place in the order is kept.
fn gather(
    first: Request,
    queue: &mpsc::Receiver<Request>,
) -> (Vec<Append>, Option<oneshot::Sender<()>>) {
    let (mut group, mut bytes, mut next) = (Vec::new(), 0, Some(first));
    while let Some(request) = next {
        match request {
            Request::Seal(reply) => return (group, Some(reply)),
            Request::Append(append) => {
                bytes += append.record.len();
                group.push(append);
            }
        }
        let is_full = group.len() >= GROUP_RECORDS || bytes >= GROUP_BYTES;
        next = if is_full { None } else { queue.try_recv().ok() };
    }
    (group, None)
}

fn answer(append: Append, result: Result<(), SpoolError>) {
    // Nobody listens if the request was given up: the record is then kept without need.
    let _ = append.reply.send(result);
    drop(append.place);
}
