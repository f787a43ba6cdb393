//! Where an export goes, and how far it is.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::cli::Failed;

/// Between two pictures of the bar.
const TICK: Duration = Duration::from_millis(200);

/// How far an export is; lies beside its file until it is whole.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The export: list, filters, form, columns.
    of: String,
    cursor: Option<String>,
    /// Length of what is whole, in bytes.
    bytes: u64,
    rows: u64,
}

/// A file, or standard output.
pub(super) struct Sink {
    file: Option<(PathBuf, File)>,
    progress: Progress,
    bar: ProgressBar,
}

impl Sink {
    /// Goes on with a file that the same export has begun.
    pub(super) fn open(path: Option<PathBuf>, of: &str) -> Result<Self, Failed> {
        let fresh = Progress { of: of.to_owned(), ..Progress::default() };
        let (file, progress) = match path {
            None => (None, fresh),
            Some(path) => {
                let progress = begun(&path, of)?.unwrap_or(fresh);
                let file = opened(&path, progress.bytes)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
                (Some((path, file)), progress)
            }
        };
        let bar = ProgressBar::new(0).with_position(progress.rows);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} rows, {per_sec}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        let sink = Self { file, progress, bar };
        if sink.progress.rows > 0 {
            eprintln!("going on after {} rows", sink.progress.rows);
        }
        Ok(sink)
    }

    /// Where the list goes on after what is written.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.progress.cursor.as_deref()
    }

    /// Rows that are written.
    pub(super) fn rows(&self) -> u64 {
        self.progress.rows
    }

    /// Writes the head line, unless it is there.
    pub(super) fn head(&mut self, text: &[u8]) -> anyhow::Result<()> {
        if self.progress.bytes > 0 {
            return Ok(());
        }
        self.write(text)
    }

    /// Writes a page, and notes where the next one begins.
    pub(super) fn page(&mut self, rows: &[Vec<u8>], cursor: String) -> anyhow::Result<()> {
        self.rest(rows)?;
        self.progress.cursor = Some(cursor);
        self.note()
    }

    fn note(&self) -> anyhow::Result<()> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        // What is noted is there, also after a power cut; by a rename, the note is never half written.
        file.sync_data().with_context(|| format!("{} is not written", path.display()))?;
        let (beside, new) = (beside(path, ".progress"), beside(path, ".progress.new"));
        fs::write(&new, serde_json::to_vec(&self.progress)?)
            .and_then(|()| fs::rename(&new, &beside))
            .with_context(|| format!("{} cannot be written", beside.display()))
    }

    /// Writes rows after which nothing follows.
    pub(super) fn rest(&mut self, rows: &[Vec<u8>]) -> anyhow::Result<()> {
        self.write(&rows.concat())?;
        let count = u64::try_from(rows.len()).unwrap_or_default();
        self.progress.rows += count;
        self.bar.inc(count);
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> anyhow::Result<()> {
        if self.progress.bytes == 0 {
            // From now on the file is ours, whatever of it is written.
            self.note()?;
        }
        match &mut self.file {
            Some((path, file)) => {
                file.write_all(text)
                    .with_context(|| format!("{} is not written", path.display()))?;
            }
            // Who reads along may have seen enough: that is no error.
            None => match std::io::stdout().write_all(text) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
                written => written.context("standard output")?,
            },
        }
        self.progress.bytes += u64::try_from(text.len()).unwrap_or_default();
        Ok(())
    }

    /// All is written.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        eprintln!("{} rows", self.progress.rows);
        let Some((path, file)) = self.file else { return Ok(()) };
        file.sync_all().with_context(|| format!("{} is not written", path.display()))?;
        let beside = beside(&path, ".progress");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", beside.display()))
            }
            _ => Ok(()),
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// How far the file is; none where nothing of it is whole. Another file is not written over.
fn begun(path: &Path, of: &str) -> Result<Option<Progress>, Failed> {
    let beside = beside(path, ".progress");
    let note = fs::read(&beside).ok();
    let progress = note.as_deref().and_then(|note| serde_json::from_slice::<Progress>(note).ok());
    let length = fs::metadata(path).map_or(0, |file| file.len());
    let refused = |why: &str| {
        let (path, beside) = (path.display(), beside.display());
        Err(Failed::Conflict(format!("{path} {why}; remove it and {beside} to begin anew")))
    };
    match progress.filter(|progress| progress.cursor.is_some()) {
        Some(progress) if progress.of != of => {
            refused("was begun with another list, filter or form")
        }
        Some(progress) if progress.bytes > length => refused("is shorter than it was"),
        Some(progress) => Ok(Some(progress)),
        None if note.is_none() && length > 0 => {
            Err(Failed::Conflict(format!("{} is there already", path.display())))
        }
        None => Ok(None),
    }
}

fn opened(path: &Path, whole: u64) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole))?;
    Ok(file)
}
