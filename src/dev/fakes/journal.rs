//! The effect log's file: JSON Lines, appended without fsync, read back at the next start.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::effects::{Effect, MOST_EFFECTS};

/// A quarter of a MiB: more than 50 ms of a thousand effects a second, so appending seldom writes.
const BUFFER_BYTES: usize = 256 * 1024;

/// A line that is no effect: what was cleared, and how far the clock was put forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Effects up to this place are remembered by the providers but no longer listed.
    pub(super) cleared_through: u64,
    /// Seconds by which the fakes' clock is ahead.
    pub(super) clock_seconds: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkLine {
    mark: Mark,
}

impl Mark {
    pub(super) fn line(self) -> String {
        // Two numbers always serialise.
        serde_json::to_string(&MarkLine { mark: self }).unwrap_or_default()
    }
}

/// What a file held.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The latest effects with their lines, oldest first.
    pub(super) effects: VecDeque<(Effect, String)>,
    /// The last mark.
    pub(super) mark: Mark,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Journal {
    file: BufWriter<File>,
    failing: bool,
}

impl Journal {
    /// Opens or makes the file. A line torn by a kill is passed over; a file that has outgrown the
    /// memory's bound is cut to what is kept.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Past)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let read = Past::read(path)?;
        if read.outgrown || read.torn {
            read.past.rewrite(path)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok((Self { file, failing: false }, read.past))
    }

    pub(super) fn append(&mut self, line: &str) {
        let written =
            self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        self.note(written);
    }

    pub(super) fn flush(&mut self) {
        let flushed = self.file.flush();
        self.note(flushed);
    }

    /// A full disk must not stop the fakes; it is said once, not a thousand times a second.
    fn note(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(%error, "the fakes' effect log cannot be written");
            }
            Err(_) => {}
        }
    }
}

struct Read {
    past: Past,
    outgrown: bool,
    torn: bool,
}

impl Past {
    fn read(path: &Path) -> io::Result<Read> {
        let mut read = Read { past: Self::default(), outgrown: false, torn: false };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(read),
            Err(error) => return Err(error),
        };
        let mut file = BufReader::new(file);
        let mut bytes = Vec::new();
        while file.read_until(b'\n', &mut bytes)? > 0 {
            let line = String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
            if let Ok(effect) = serde_json::from_str(&line) {
                read.past.effects.push_back((effect, line));
            } else if let Ok(found) = serde_json::from_str::<MarkLine>(&line) {
                read.past.mark = found.mark;
            } else {
                read.torn = true;
            }
            read.torn |= bytes.last() != Some(&b'\n');
            if read.past.effects.len() > MOST_EFFECTS {
                read.past.effects.pop_front();
                read.outgrown = true;
            }
            bytes.clear();
        }
        Ok(read)
    }

    /// Replaces the file in one step, so that a kill leaves the old one or the new one.
    fn rewrite(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_added_extension("new");
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(&fresh)?);
        for (_, line) in &self.effects {
            writeln!(file, "{line}")?;
        }
        writeln!(file, "{}", self.mark.line())?;
        file.flush()?;
        fs::rename(fresh, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_not_taken_for_effects_nor_effects_for_marks() {
        let mark = Mark { cleared_through: 7, clock_seconds: 90_000 };
        assert!(serde_json::from_str::<Effect>(&mark.line()).is_err());
        let read: Option<MarkLine> = serde_json::from_str(&mark.line()).ok();
        assert_eq!(read.map(|line| line.mark), Some(mark));
    }
}
