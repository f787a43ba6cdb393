//! An answer's lines, as they come.

use bytes::{Buf, Bytes, BytesMut};
use reqwest::Response;

use crate::error::Error;

/// Bytes of a line. A row may hold a transcript; a page of them has at most half of that.
const LONGEST_LINE: usize = 32 * 1024 * 1024;

/// The lines of an answer. What follows the last line's end is a line, too.
pub(crate) struct Lines {
    operation: &'static str,
    response: Response,
    buffer: BytesMut,
    /// Bytes of the buffer that hold no line's end.
    seen: usize,
}

impl Lines {
    pub(crate) fn new(operation: &'static str, response: Response) -> Self {
        Self { operation, response, buffer: BytesMut::new(), seen: 0 }
    }

    /// The next line without its end; none where the answer ended as a whole.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(line) = take(&mut self.buffer, &mut self.seen) {
                return Ok(Some(line));
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(Error::TooLarge { operation: self.operation, limit: LONGEST_LINE });
            }
            let part = self.response.chunk().await;
            match part.map_err(|error| Error::transport(self.operation, error))? {
                Some(part) => self.buffer.extend_from_slice(&part),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    self.seen = 0;
                    return Ok(Some(self.buffer.split().freeze()));
                }
            }
        }
    }
}

fn take(buffer: &mut BytesMut, seen: &mut usize) -> Option<Bytes> {
    let Some(place) = buffer.iter().skip(*seen).position(|byte| *byte == b'\n') else {
        *seen = buffer.len();
        return None;
    };
    let mut line = buffer.split_to(*seen + place);
    buffer.advance(1);
    *seen = 0;
    if line.ends_with(b"\r") {
        line.truncate(line.len() - 1);
    }
    Some(line.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = b"one\r\n\ntwo\nthr";
        for step in 1..text.len() {
            let (mut buffer, mut seen, mut lines) = (BytesMut::new(), 0, Vec::new());
            for part in text.chunks(step) {
                buffer.extend_from_slice(part);
                while let Some(line) = take(&mut buffer, &mut seen) {
                    lines.push(line);
                }
            }
            assert_eq!(lines, [&b"one"[..], b"", b"two"], "{step}");
            assert_eq!(&buffer[..], b"thr");
        }
    }
}
