//! Bodies that are made ahead, so that making one for each call takes little processor time from
//! what is measured.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::trigger::vapi_body;

const END_OF_CALL_REPORT: &str =
    include_str!("../../../tests/fixtures/vapi/end_of_call_report.json");
const QUEUED: &str = include_str!("../../../tests/fixtures/vapi/status_update_queued.json");
/// Stands for the call id, and is as long as one.
const PLACEHOLDER: &str = "00000000-0000-7000-8000-000000000000";
/// Bodies carry the time of their making.
const AGE: Duration = Duration::from_secs(1);
/// Length of what is said at a time: a sentence or two.
const SPEECH: usize = 90;
/// Said at random, this text shrinks in Postgres as speech in JSON does, to a third. Repeated text
/// would shrink to nothing, and so would the writing that is to be measured.
const WORDS: &[&str] = &[
    "a",
    "about",
    "afternoon",
    "again",
    "and",
    "any",
    "appointment",
    "at",
    "available",
    "back",
    "be",
    "before",
    "book",
    "but",
    "call",
    "can",
    "change",
    "check",
    "could",
    "day",
    "do",
    "eight",
    "evening",
    "for",
    "four",
    "friday",
    "have",
    "hello",
    "help",
    "how",
    "i",
    "in",
    "is",
    "it",
    "just",
    "know",
    "let",
    "like",
    "may",
    "me",
    "moment",
    "monday",
    "morning",
    "my",
    "name",
    "need",
    "next",
    "no",
    "of",
    "on",
    "order",
    "please",
    "question",
    "right",
    "see",
    "sorry",
    "table",
    "thank",
    "that",
    "the",
    "there",
    "time",
    "to",
    "tomorrow",
    "want",
    "we",
    "week",
    "what",
    "when",
    "will",
    "with",
    "would",
    "yes",
    "you",
    "your",
];

/// What a post says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Example {
    /// A Vapi end-of-call report: it has all effects that a call has.
    Report,
    /// The same without recording and transcript, so that there is nothing to copy and to extract.
    Plain,
    /// A Vapi status update of a queued call, filled with messages to so many bytes: it opens the
    /// call's row and has no other effect.
    Queued {
        /// Length of the body.
        bytes: usize,
    },
}

/// A body in which only the call id is missing.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    /// Where call ids begin.
    ids: Vec<usize>,
    made: Instant,
}

impl Template {
    /// A template of this moment.
    pub(super) fn new(example: Example) -> anyhow::Result<Self> {
        let bytes = match example {
            Example::Report => vapi_body(END_OF_CALL_REPORT, PLACEHOLDER)?,
            Example::Plain => plain()?,
            Example::Queued { bytes } => queued(bytes)?,
        };
        let text = std::str::from_utf8(&bytes).context("example")?;
        let ids = text.match_indices(PLACEHOLDER).map(|(at, _)| at).collect();
        Ok(Self { bytes, ids, made: Instant::now() })
    }

    pub(super) fn is_old(&self) -> bool {
        self.made.elapsed() > AGE
    }

    /// The body of this call.
    pub(super) fn body(&self, call: Uuid) -> Bytes {
        let mut text = Uuid::encode_buffer();
        let id = call.hyphenated().encode_lower(&mut text).as_bytes();
        let mut body = self.bytes.clone();
        for at in &self.ids {
            body[*at..*at + id.len()].copy_from_slice(id);
        }
        body.into()
    }
}

impl Example {
    /// A report, whole or plain.
    pub(super) const fn report(plain: bool) -> Self {
        if plain { Self::Plain } else { Self::Report }
    }
}

fn plain() -> anyhow::Result<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(&vapi_body(END_OF_CALL_REPORT, PLACEHOLDER)?)?;
    let message = body["message"].as_object_mut().context("example")?;
    for told in ["artifact", "transcript", "messages", "recordingUrl", "stereoRecordingUrl"] {
        message.remove(told).context(told)?;
    }
    Ok(body.to_string().into_bytes())
}

fn queued(bytes: usize) -> anyhow::Result<Vec<u8>> {
    let mut body: Value = serde_json::from_slice(&vapi_body(QUEUED, PLACEHOLDER)?)?;
    let own = body.to_string().len();
    let missing = bytes.checked_sub(own);
    let messages = missing.and_then(conversation);
    let messages =
        messages.with_context(|| format!("{bytes} bytes are too few: {own} are fixed"))?;
    *body.pointer_mut("/message/artifact/messages").ok_or_else(|| anyhow!("example"))? = messages;
    Ok(body.to_string().into_bytes())
}

/// Messages that are so many bytes longer than an empty array; none if that is less than one.
fn conversation(mut bytes: usize) -> Option<Value> {
    let mut words = Words(0x9E37_79B9_7F4A_7C15);
    let mut messages: Vec<Value> = Vec::new();
    loop {
        let message = message(messages.len(), words.text(SPEECH));
        let comma = usize::from(!messages.is_empty());
        let Some(rest) = bytes.checked_sub(message.to_string().len() + comma) else { break };
        messages.push(message);
        bytes = rest;
    }
    let last = &mut messages.last_mut()?["message"];
    let text = format!("{}{}", last.as_str()?, words.text(bytes));
    *last = json!(text);
    Some(Value::Array(messages))
}

/// As Vapi writes them into `artifact.messages`.
fn message(index: usize, text: String) -> Value {
    const FIRST_MS: usize = 1_795_186_801_800;
    const TURN_MS: usize = 4500;
    json!({
        "role": if index.is_multiple_of(2) { "bot" } else { "user" },
        "message": text,
        "time": FIRST_MS + index * TURN_MS,
        "endTime": FIRST_MS + index * TURN_MS + 3700,
        "secondsFromStart": index * TURN_MS / 1000,
        "duration": 3700,
    })
}

/// Words by Marsaglia's xorshift: the same ones in every run.
struct Words(u64);

impl Words {
    /// A text of exactly this many bytes.
    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            let index = self.0 % (WORDS.len() as u64);
            text.push_str(WORDS[usize::try_from(index).unwrap_or(0)]);
            text.push(' ');
        }
        text.truncate(bytes);
        text
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn body(example: Example, call: Uuid) -> Value {
        serde_json::from_slice(&Template::new(example).unwrap().body(call)).unwrap()
    }

    #[test]
    fn a_body_is_one_call_of_its_own() {
        let call = Uuid::now_v7();
        let report = body(Example::Report, call);
        assert_eq!(report["message"]["type"], "end-of-call-report");
        assert_eq!(report["message"]["call"]["id"], call.to_string());
        let plain = body(Example::Plain, call);
        assert_eq!(plain["message"]["call"]["id"], call.to_string());
        assert_eq!(plain["message"]["durationSeconds"], report["message"]["durationSeconds"]);
        assert!(!plain.to_string().contains("recordingUrl"));
        let queued = body(Example::Queued { bytes: 20_480 }, call);
        assert_eq!(queued["message"]["type"], "status-update");
        assert_eq!(queued["message"]["status"], "queued");
        assert_eq!(queued["message"]["call"]["id"], call.to_string());
        assert!(!queued.to_string().contains(PLACEHOLDER));
    }

    #[test]
    fn a_body_has_exactly_the_size_that_was_asked_for() {
        for bytes in (4096..4400).chain([20_480, 1_000_000]) {
            let template = Template::new(Example::Queued { bytes }).unwrap();
            assert_eq!(template.body(Uuid::now_v7()).len(), bytes);
        }
        let error = Template::new(Example::Queued { bytes: 1000 }).unwrap_err();
        assert!(error.to_string().starts_with("1000 bytes are too few"), "{error:#}");
    }

    #[test]
    fn what_is_said_does_not_repeat_itself() {
        let queued = body(Example::Queued { bytes: 20_480 }, Uuid::now_v7());
        let messages = queued["message"]["artifact"]["messages"].as_array().unwrap();
        let texts: HashSet<&str> =
            messages.iter().map(|message| message["message"].as_str().unwrap()).collect();
        assert!(messages.len() > 50, "{}", messages.len());
        assert_eq!(texts.len(), messages.len());
    }
}
