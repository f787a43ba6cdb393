//! What an export's answer consists of, however it is cut into pieces.

use serde::Deserialize;

use crate::api::export::Format;

/// A line of an export, without its last column, which is the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The names of the columns.
    Head(Vec<u8>),
    Row {
        text: Vec<u8>,
        /// Where the list goes on after the row.
        cursor: Option<String>,
    },
}

/// Makes records of bytes.
#[derive(Debug)]
pub(super) struct Records {
    format: Format,
    bytes: Vec<u8>,
    /// Of `bytes`, those that were looked at, and whether the next one lies within quotes.
    seen: usize,
    is_quoted: bool,
    has_head: bool,
}

impl Records {
    pub(super) fn new(format: Format) -> Self {
        let has_head = format == Format::Csv;
        Self { format, bytes: Vec::new(), seen: 0, is_quoted: false, has_head }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether all that came was made records of.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next record that is there as a whole.
    pub(super) fn next(&mut self) -> Option<Record> {
        let end = loop {
            let byte = *self.bytes.get(self.seen)?;
            self.seen += 1;
            match byte {
                // A quote within quotes is two of them.
                b'"' if self.format == Format::Csv => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => break self.seen,
                _ => {}
            }
        };
        let line: Vec<u8> = self.bytes.drain(..end).collect();
        self.seen = 0;
        Some(match self.format {
            Format::Csv => self.of_csv(&line),
            Format::JsonLines => of_json(&line),
        })
    }

    /// A cursor needs no quotes.
    fn of_csv(&mut self, line: &[u8]) -> Record {
        let comma = line.iter().rposition(|byte| *byte == b',').unwrap_or(0);
        let (row, cursor) = line.split_at(comma);
        let text = [row, b"\r\n"].concat();
        if std::mem::take(&mut self.has_head) {
            return Record::Head(text);
        }
        let cursor = String::from_utf8_lossy(cursor.get(1..).unwrap_or_default()).trim().to_owned();
        Record::Row { text, cursor: Some(cursor).filter(|cursor| !cursor.is_empty()) }
    }
}

fn of_json(line: &[u8]) -> Record {
    #[derive(Deserialize)]
    struct Told {
        cursor: Option<String>,
    }
    const LAST: &[u8] = b",\"cursor\":";
    let cursor = serde_json::from_slice(line).ok().and_then(|told: Told| told.cursor);
    let end = line.windows(LAST.len()).rposition(|part| part == LAST).unwrap_or(line.len());
    Record::Row { text: [&line[..end], b"}\n"].concat(), cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, cursor: Option<&str>) -> Record {
        let cursor = cursor.map(str::to_owned);
        Record::Row { text: text.as_bytes().to_vec(), cursor }
    }

    /// The records of a text that comes byte by byte.
    fn read(format: Format, text: &str) -> Vec<Record> {
        let mut records = Records::new(format);
        let mut found = Vec::new();
        for byte in text.bytes() {
            records.take(&[byte]);
            found.extend(records.next());
        }
        found
    }

    #[test]
    fn lines_of_csv_may_hold_lines() {
        let text = "a,b,cursor\r\n1,\"x\r\ny, \"\"z\"\"\",\r\n2,,on-1_\r\n3,";
        let expected = vec![
            Record::Head(b"a,b\r\n".to_vec()),
            row("1,\"x\r\ny, \"\"z\"\"\"\r\n", None),
            row("2,\r\n", Some("on-1_")),
        ];
        assert_eq!(read(Format::Csv, text), expected);
    }

    #[test]
    fn lines_of_json_lose_their_cursor() {
        let text = "{\"a\":\",\\\"cursor\\\":1\",\"cursor\":null}\n{\"a\":2,\"cursor\":\"on\"}\n";
        let expected =
            vec![row("{\"a\":\",\\\"cursor\\\":1\"}\n", None), row("{\"a\":2}\n", Some("on"))];
        assert_eq!(read(Format::JsonLines, text), expected);
    }
}
