//! A segment: one file of the spool, held by the process that locked it.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use super::{
    disk::sync_folder,
    header::{self, Salt, Start},
    record::{self, Record, Tail},
};

/// How often another name is tried when a successor was quicker than our lock.
const CREATE_ATTEMPTS: usize = 10;

/// `{unix micros}-{pid}.spool`. The order of the names is the order of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// Microseconds since 1970.
    micros: u64,
    pid: u32,
}

impl Name {
    fn parse(file_name: &str) -> Option<Self> {
        let (micros, pid) = file_name.strip_suffix(".spool")?.split_once('-')?;
        Some(Self { micros: micros.parse().ok()?, pid: pid.parse().ok()? })
    }

    /// Later than all others of the folder, also if the clock was set back.
    fn after(others: &[Self]) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = others.iter().map(|name| name.micros).max().unwrap_or_default();
        Self { micros: (now.as_micros() as u64).max(last.saturating_add(1)), pid: process::id() }
    }

    pub(super) fn path(self, folder: &Path) -> PathBuf {
        folder.join(self.to_string())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.spool", self.micros, self.pid)
    }
}

/// A segment that is written no more. Its lock lasts as long as the file is open.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: Name,
    file: File,
    /// Nothing where no record can be read.
    salt: Option<Salt>,
    /// Where the last acknowledged record ends, in bytes.
    pub(super) end: u64,
    is_damaged: AtomicBool,
}

impl Segment {
    /// A segment that this process wrote, up to the last acknowledged record.
    pub(super) fn written(name: Name, file: File, salt: Salt, end: u64) -> Self {
        Self { name, file, salt: Some(salt), end, is_damaged: AtomicBool::new(false) }
    }

    /// Takes over the segment of a process that is no more, and counts its whole records.
    /// Nothing if another process holds it or it is gone. A torn tail is cut off.
    pub(super) fn adopt(folder: &Path, name: Name) -> io::Result<Option<(Self, u64)>> {
        let path = name.path(folder);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if !lock(&file, &path)? {
            return Ok(None);
        }
        let length = file.metadata()?.len();
        let start = header::read(&file, length)?;
        let is_damaged = AtomicBool::new(false);
        let mut segment = Self { name, file, salt: None, end: 0, is_damaged };
        let records = match start {
            Start::Empty => {
                if length > 0 {
                    tracing::warn!(segment = %segment.name, length, "a torn segment has no record");
                }
                0
            }
            Start::Lost => {
                segment.note_damage(0, length);
                0
            }
            Start::Salted { salt, is_whole } => {
                if !is_whole {
                    segment.note_damage(0, header::BYTES);
                }
                segment.salt = Some(salt);
                segment.count(salt, length)?
            }
        };
        Ok(Some((segment, records)))
    }

    /// Finds the whole records of the file, and where the last one ends.
    fn count(&mut self, salt: Salt, length: u64) -> io::Result<u64> {
        self.end = length;
        let (mut end, mut records) = (header::BYTES, 0);
        while let Some(record) = self.read(end)? {
            (end, records) = (record.next, records + 1);
        }
        self.judge_tail(salt, end, length)?;
        self.end = end;
        Ok(records)
    }

    fn judge_tail(&self, salt: Salt, end: u64, length: u64) -> io::Result<()> {
        match record::tail(&self.file, salt, end, length)? {
            Tail::Damaged => self.note_damage(end, length),
            Tail::Torn if !self.is_damaged() => {
                let bytes = length - end;
                tracing::warn!(segment = %self.name, bytes, "a torn record is cut off");
                self.file.set_len(end)?;
            }
            Tail::Torn | Tail::Nothing => {}
        }
        Ok(())
    }

    /// The first whole record at `from` or after it; what is damaged before it is passed over.
    pub(super) fn read(&self, from: u64) -> io::Result<Option<Record>> {
        let Some(salt) = self.salt else { return Ok(None) };
        let record = record::next_whole(&self.file, salt, from, self.end)?;
        if let Some(record) = &record
            && record.at > from
        {
            self.note_damage(from, record.at);
        }
        Ok(record)
    }

    /// Remembers that the bytes between are no whole record.
    pub(super) fn note_damage(&self, from: u64, to: u64) {
        // Said once: a batch that is not done is read again.
        if !self.is_damaged.swap(true, Ordering::Relaxed) {
            tracing::error!(
                segment = %self.name, from, to,
                "a segment of the spool is damaged: what is whole will be replayed, the file kept"
            );
        }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// Ends the segment, whose records are done: the file is deleted, or kept as `.damaged`.
    pub(super) fn retire(&self, folder: &Path) -> io::Result<()> {
        let path = self.name.path(folder);
        let gone = if self.is_damaged() {
            fs::rename(&path, path.with_extension("damaged"))
        } else {
            fs::remove_file(&path)
        };
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(folder),
        }
    }
}

/// A new, empty segment that is locked and whose name is on disk, and the salt it is to begin with.
pub(super) fn create(folder: &Path) -> io::Result<(Name, File, Salt)> {
    let salt = Salt::random()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    for _ in 0..CREATE_ATTEMPTS {
        let name = Name::after(&names(folder)?);
        let path = name.path(folder);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        if lock(&file, &path)? {
            return match sync_folder(folder) {
                Ok(()) => Ok((name, file, salt)),
                Err(error) => fs::remove_file(&path).and(Err(error)),
            };
        }
    }
    Err(io::Error::other("other processes took every new segment"))
}

/// All segments of the folder, whoever holds them, oldest first.
pub(super) fn names(folder: &Path) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().to_str().and_then(Name::parse));
    }
    names.sort_unstable();
    Ok(names)
}

/// Bytes of all segments of the folder, whoever holds them. Those set aside do not count.
pub(super) fn bytes(folder: &Path) -> io::Result<u64> {
    let length = |name: Name| match fs::metadata(name.path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        found => found.map(|found| found.len()),
    };
    names(folder)?.into_iter().map(length).sum()
}

/// Whether the lock is ours and the file still the one of that name: who held it before may have
/// deleted it after we opened it.
pub(super) fn lock(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino())),
    }
}
