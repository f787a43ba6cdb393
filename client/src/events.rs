//! Live events: server-sent events, taken up again where a connection ends.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    call::Call,
    error::Error,
    lines::Lines,
    request::{Request, mode},
};

/// Before the next connection, where the server does not say.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamEvent {
    /// Its id.
    pub id: Uuid,
    /// Its type, as `call.completed`.
    pub event_type: String,
    /// What it tells, as its type documents it.
    pub data: Value,
}

impl Request<StreamEvent, mode::Live> {
    /// Begins after this event. The nil UUID is before the oldest.
    pub fn after(self, id: Uuid) -> Self {
        Self::new(self.call.last_event_id(Some(id)))
    }

    /// Events as they happen, each once, for as long as they are asked for. A server closes its
    /// streams from time to time; then the next one begins where it ended. The stream ends with
    /// the first error that does not pass.
    pub fn stream(self) -> BoxStream<'static, Result<StreamEvent, Error>> {
        let call = self.call.accept("text/event-stream");
        let listener =
            Listener { call, lines: None, frame: Frame::default(), pause: PAUSE, failed: 0 };
        let events = stream::try_unfold(listener, |mut listener| async move {
            let event = listener.next().await?;
            Ok(Some((event, listener)))
        });
        events.boxed()
    }
}

struct Listener {
    call: Call,
    /// The answer that is being read.
    lines: Option<Lines>,
    frame: Frame,
    pause: Duration,
    /// Attempts since the last line.
    failed: u32,
}

impl Listener {
    async fn next(&mut self) -> Result<StreamEvent, Error> {
        loop {
            let error = match self.line().await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) if self.lines.is_some() => continue,
                Ok(None) => None,
                Err(error) => Some(error),
            };
            self.lines = None;
            self.frame = Frame::default();
            let mut wait = self.pause;
            if let Some(error) = error {
                self.failed += 1;
                match self.call.client.inner.retries.wait(self.failed, &error) {
                    Some(longer) => wait = wait.max(longer),
                    None => return Err(error),
                }
            }
            sleep(wait).await;
        }
    }

    /// Reads a line; without lines afterwards, the answer has ended.
    async fn line(&mut self) -> Result<Option<StreamEvent>, Error> {
        let operation = self.call.operation;
        let mut lines = match self.lines.take() {
            Some(lines) => lines,
            None => Lines::new(operation, self.call.open_once().await?),
        };
        let Some(line) = lines.next().await? else { return Ok(None) };
        self.lines = Some(lines);
        self.failed = 0;
        let text = String::from_utf8_lossy(&line);
        if !text.is_empty() {
            self.frame.take(&text);
            return Ok(None);
        }
        let frame = std::mem::take(&mut self.frame);
        if let Some(milliseconds) = frame.retry {
            self.pause = Duration::from_millis(milliseconds).min(LONGEST_PAUSE);
        }
        if let Some(id) = frame.id {
            self.call = self.call.clone().last_event_id(Some(id));
        }
        frame.event().map_err(|source| Error::Decode { operation, source })
    }
}

/// What stands between two empty lines (HTML, 9.2.6).
#[derive(Debug, Default)]
struct Frame {
    id: Option<Uuid>,
    event_type: String,
    data: Option<String>,
    retry: Option<u64>,
}

impl Frame {
    fn take(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = value.parse().ok(),
            "event" => value.clone_into(&mut self.event_type),
            "retry" => self.retry = value.parse().ok(),
            "data" => match &mut self.data {
                Some(data) => *data = format!("{data}\n{value}"),
                None => self.data = Some(value.to_owned()),
            },
            // A line that begins with a colon is a heartbeat.
            _ => {}
        }
    }

    /// None where it tells of no event.
    fn event(self) -> Result<Option<StreamEvent>, serde_json::Error> {
        let (Some(id), Some(data)) = (self.id, self.data) else { return Ok(None) };
        let data = serde_json::from_str(&data)?;
        Ok(Some(StreamEvent { id, event_type: self.event_type, data }))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(lines: &[&str]) -> Option<StreamEvent> {
        let mut frame = Frame::default();
        lines.iter().for_each(|line| frame.take(line));
        frame.event().unwrap()
    }

    #[test]
    fn a_frame_is_an_event_where_it_has_an_id_and_data() {
        let id = "id: 019aa141-7000-7000-8000-000000000000";
        let found = event(&[id, "event: call.completed", "data: {\"a\":", "data:1}"]).unwrap();
        assert_eq!(found.event_type, "call.completed");
        assert_eq!(found.data, json!({ "a": 1 }));
        assert_eq!(event(&[": heartbeat"]), None);
        assert_eq!(event(&["retry: 2000", id]), None);
    }
}
