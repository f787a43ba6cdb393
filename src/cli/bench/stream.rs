//! The live stream `GET /v1/events`: tells when calls are done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use contract::ids::CallId;
use secrecy::ExposeSecret;
use serde::Deserialize;
use store::events::CALL_CLOSED;

use super::{installation::Installation, tally::Tally};

/// Between two tries to open a lost stream again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// An event is under 20 KB; what is longer is no stream of ours.
const LONGEST_LINE: usize = 1 << 20;

/// The open stream.
pub(super) struct EventStream {
    installation: Arc<Installation>,
    client: reqwest::Client,
    response: reqwest::Response,
    last_id: Option<String>,
}

/// `call_completed`, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Closed {
    timestamp: Option<DateTime<Utc>>,
    data: ClosedCall,
}

#[derive(Debug, Deserialize)]
struct ClosedCall {
    id: CallId,
}

impl EventStream {
    /// Opens the stream. All that happens from the return on is in it.
    pub(super) async fn open(installation: Arc<Installation>) -> anyhow::Result<Self> {
        let client = Installation::stream_client()?;
        let response = connect(&client, &installation, None).await?;
        Ok(Self { installation, client, response, last_id: None })
    }

    /// Tells `tally` of every call that is done, for ever; goes on where it was after a lost
    /// connection.
    pub(super) async fn follow(mut self, tally: &Tally) {
        loop {
            let why = self.read(tally).await;
            tracing::debug!(why = format!("{why:#}"), "the live stream was lost");
            tally.lock().stream_reconnects += 1;
            let last_id = self.last_id.as_deref();
            self.response = loop {
                match connect(&self.client, &self.installation, last_id).await {
                    Ok(response) => break response,
                    Err(_) => tokio::time::sleep(RECONNECT_PAUSE).await,
                }
            };
        }
    }

    /// Reads until the connection ends, and tells why it did.
    async fn read(&mut self, tally: &Tally) -> anyhow::Error {
        let mut frames = Frames::default();
        loop {
            let chunk = match self.response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return anyhow!("it ended"),
                Err(error) => return error.without_url().into(),
            };
            let now = Instant::now();
            for frame in frames.push(&chunk) {
                if frame.event == CALL_CLOSED
                    && let Ok(closed) = serde_json::from_str::<Closed>(&frame.data)
                {
                    tally.lock().done(closed.data.id, closed.timestamp, now);
                }
                self.last_id = Some(frame.id).filter(|id| !id.is_empty()).or(self.last_id.take());
            }
            if frames.line.len() > LONGEST_LINE {
                return anyhow!("a line is too long");
            }
        }
    }
}

async fn connect(
    client: &reqwest::Client,
    installation: &Installation,
    last_id: Option<&str>,
) -> anyhow::Result<reqwest::Response> {
    let url = format!("{}/v1/events", installation.api_url);
    let mut request = client.get(&url).bearer_auth(installation.api_key.expose_secret());
    if let Some(last_id) = last_id {
        request = request.header("last-event-id", last_id);
    }
    let response = request.send().await.with_context(|| format!("{url} does not answer"))?;
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(anyhow!("{url} answered {status}")),
    }
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frame {
    id: String,
    event: String,
    data: String,
}

/// Cuts a stream of bytes into events.
#[derive(Debug, Default)]
struct Frames {
    line: Vec<u8>,
    frame: Frame,
}

impl Frames {
    /// The events that end in `chunk`.
    fn push(&mut self, chunk: &[u8]) -> Vec<Frame> {
        let mut complete = Vec::new();
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                complete.extend(self.end_line());
            }
        }
        complete
    }

    /// The event, if the line was the empty one that ends it.
    fn end_line(&mut self) -> Option<Frame> {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            self.line.clear();
            let frame = std::mem::take(&mut self.frame);
            // Heartbeats are comments: they leave nothing.
            return (!frame.event.is_empty()).then_some(frame);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.frame.id),
            "event" => value.clone_into(&mut self.frame.event),
            "data" => self.frame.data.push_str(value),
            _ => {}
        }
        self.line.clear();
        None
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 2000\n\n: heartbeat\n\nid: 7\nevent: call_completed\n\
        data: {\"timestamp\":\"2026-11-21T14:00:00.125Z\",\"type\":\"call_completed\",\
        \"data\":{\"id\":\"019aa141-4449-7775-8d7e-006f2a64e546\",\"steps\":[]}}\n\n\
        id:8\r\nevent:call.completed\r\ndata:{}\r\n\r\nid: 9\nevent: half";

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let whole = Frames::default().push(STREAM.as_bytes());
        assert_eq!(whole.len(), 2);
        assert_eq!((whole[1].id.as_str(), whole[1].event.as_str()), ("8", "call.completed"));
        for size in [1, 2, 7, 64] {
            let mut frames = Frames::default();
            let cut: Vec<Frame> =
                STREAM.as_bytes().chunks(size).flat_map(|chunk| frames.push(chunk)).collect();
            assert_eq!(cut, whole, "in pieces of {size}");
        }
        let closed: Closed = serde_json::from_str(&whole[0].data).unwrap();
        assert_eq!(closed.data.id.to_string(), "019aa141-4449-7775-8d7e-006f2a64e546");
        assert_eq!(closed.timestamp.unwrap().timestamp_subsec_millis(), 125);
    }
}
