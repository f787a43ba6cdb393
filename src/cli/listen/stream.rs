//! `GET /v1/events` as the command line follows it: server-sent events, as far as postcall sends them.

use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;
use uuid::Uuid;

use crate::cli::{Failed, target::Target};

/// The server says something every 15 seconds.
const LONGEST_SILENCE: Duration = Duration::from_secs(45);
/// An event has 20 KB.
const LARGEST_FRAME: usize = 1024 * 1024;

/// An open stream.
pub(super) struct Stream {
    response: Response,
    frames: Frames,
}

/// Why a stream is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the server ended it")]
    Ended,
    #[error("the connection broke")]
    Connection,
    #[error("nothing came for {} s", LONGEST_SILENCE.as_secs())]
    Silent,
    #[error("a frame has more than {LARGEST_FRAME} bytes")]
    TooLarge,
}

impl Stream {
    /// Begins after `last`, or now.
    pub(super) async fn open(target: &Target, last: Option<Uuid>) -> Result<Self, Failed> {
        let response = target.stream("/v1/events", last).await?;
        Ok(Self { response, frames: Frames::default() })
    }

    /// The next frame. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Result<Frame, Broken> {
        loop {
            if let Some(frame) = self.frames.next() {
                return Ok(frame);
            }
            if self.frames.buffer.len() > LARGEST_FRAME {
                return Err(Broken::TooLarge);
            }
            let chunk = timeout(LONGEST_SILENCE, self.response.chunk()).await;
            let chunk = chunk.map_err(|_| Broken::Silent)?.map_err(|_| Broken::Connection)?;
            self.frames.push(&chunk.ok_or(Broken::Ended)?);
        }
    }
}

/// A frame of the stream. Without an event it says where the stream is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) id: Option<Uuid>,
    pub(super) event: Option<String>,
    pub(super) data: String,
}

/// Bytes that came and are no whole frame yet.
#[derive(Default)]
struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The first whole frame. One that broke off never becomes whole.
    fn next(&mut self) -> Option<Frame> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let bytes: Vec<u8> = self.buffer.drain(..end + 2).collect();
        Some(read(&String::from_utf8_lossy(&bytes)))
    }
}

fn read(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => frame.id = value.parse().ok(),
            "event" => frame.event = Some(value.to_owned()),
            "data" => frame.data.push_str(value),
            // A comment, or how long to wait, which we know ourselves.
            _ => {}
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let id = Uuid::from_u128(7);
        let text = format!(
            ": heartbeat\n\nretry: 2000\nid: {id}\n\nid: {id}\nevent: call.completed\n\
             data: {{\"a\":\"é: b\"}}\n\nid: {id}\nevent: call."
        );
        let expected = [
            Frame::default(),
            Frame { id: Some(id), ..Frame::default() },
            Frame {
                id: Some(id),
                event: Some("call.completed".to_owned()),
                data: "{\"a\":\"é: b\"}".to_owned(),
            },
        ];
        for size in [1, 2, 7, 1000] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                frames.push(chunk);
                found.extend(std::iter::from_fn(|| frames.next()));
            }
            assert_eq!(found, expected, "pieces of {size}");
        }
    }
}
