//! Log files of the servers, and their ends for error messages.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::ServerError;

/// A log that has grown beyond this is put aside at the next start, replacing the one before it.
const LARGEST: u64 = 32 * 1024 * 1024;

/// Enough to see the cause; the whole log is named beside it.
const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 20;

/// The cause of a Go panic stands above a long trace.
const HEAD_LINES: usize = 6;

/// The part of a log file that began with one start of its server.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// Opens the log for appending; what is in it already does not belong to this part.
    pub(super) fn open(path: &Path) -> Result<(File, Self), ServerError> {
        if fs::metadata(path).is_ok_and(|data| data.len() > LARGEST) {
            let aside = path.with_extension("log.1");
            fs::rename(path, &aside).map_err(ServerError::file("put aside", path))?;
        }
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(ServerError::file("open", path))?;
        let from = file.metadata().map_err(ServerError::file("read", path))?.len();
        Ok((file, Self { path: path.to_owned(), from }))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// The last lines of this part. Empty when it cannot be read: it only ever explains an error.
    pub(super) fn tail(&self) -> String {
        self.read_end().map(|bytes| last_lines(&bytes)).unwrap_or_default()
    }

    /// The first and the last lines of this part; all of it when it is short.
    pub(super) fn excerpt(&self) -> String {
        let tail = self.tail();
        let first = self.read(self.from).unwrap_or_default();
        let head = String::from_utf8_lossy(&first);
        let head: Vec<_> = head.lines().take(HEAD_LINES).collect();
        if head.is_empty() || tail.starts_with(head[0]) {
            return tail;
        }
        format!("{}\n...\n{tail}", head.join("\n"))
    }

    fn read_end(&self) -> std::io::Result<Vec<u8>> {
        let end = fs::metadata(&self.path)?.len();
        self.read(self.from.max(end.saturating_sub(TAIL_BYTES)))
    }

    fn read(&self, from: u64) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The last lines of some output, as text.
pub(super) fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_shows_only_this_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let (mut file, _) = Log::open(&path).unwrap();
        writeln!(file, "of the first start").unwrap();
        let (mut file, log) = Log::open(&path).unwrap();
        assert_eq!(log.tail(), "");
        writeln!(file, "of the second\n\nstart").unwrap();
        assert_eq!(log.tail(), "of the second\nstart");
    }

    #[test]
    fn an_excerpt_of_a_long_log_has_both_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, log) = Log::open(&folder.path().join("x.log")).unwrap();
        writeln!(file, "panic: address already in use").unwrap();
        assert_eq!(log.excerpt(), "panic: address already in use");
        for n in 0..1000 {
            writeln!(file, "frame {n}").unwrap();
        }
        let excerpt = log.excerpt();
        assert!(excerpt.starts_with("panic: address already in use\nframe 0\n"), "{excerpt}");
        assert!(excerpt.ends_with("frame 999"), "{excerpt}");
    }

    #[test]
    fn the_tail_is_short() {
        let text: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let tail = last_lines(text.as_bytes());
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("line 999"));
    }
}
