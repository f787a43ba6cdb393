//! The facts of a call, from its callbacks and from the API.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{CallStatus, Direction},
    merge::{CallFacts, DurationFlag, MAX_DURATION_SECONDS},
};
use serde_json::{Value, json};

use super::form::Fields;

/// Longest link kept, in bytes; Twilio's have about 150.
const MAX_URL_BYTES: usize = 8192;

/// Facts of a status callback; `timestamp` is Twilio's time of it.
///
/// What a call was in the end is said by its last callback alone: Twilio sends no report after it.
pub(super) fn of_status(
    fields: &Fields,
    status: Option<CallStatus>,
    timestamp: Option<DateTime<Utc>>,
) -> CallFacts {
    let facts = CallFacts {
        status,
        direction: fields.get("Direction").and_then(direction),
        from_number: fields.get("From").map(str::to_owned),
        to_number: fields.get("To").map(str::to_owned),
        metadata: fields.get("AnsweredBy").map(answered_by),
        ..CallFacts::default()
    };
    if !status.is_some_and(CallStatus::is_final) {
        let answered = status == Some(CallStatus::InProgress);
        return CallFacts { started_at: timestamp.filter(|_| answered), ..facts };
    }
    let (seconds, is_negative) = fields.seconds("CallDuration").unwrap_or((0, false));
    CallFacts {
        started_at: timestamp.and_then(|end| answered_at(end, seconds)),
        ended_at: timestamp,
        duration_seconds: Some(seconds),
        duration_flag: is_negative.then_some(DurationFlag::Negative),
        ended_reason: ended_reason(fields, status),
        recording_urls: recording(fields),
        ..facts
    }
}

/// Facts of a callback about a finished recording: its link, and nothing of the call, which may
/// still be going on.
pub(super) fn of_recording(fields: &Fields) -> CallFacts {
    CallFacts { recording_urls: recording(fields), ..CallFacts::default() }
}

/// `inbound`, `outbound-api` (by the REST API) or `outbound-dial` (a leg made by `<Dial>`).
pub(super) fn direction(word: &str) -> Option<Direction> {
    match word {
        "inbound" => Some(Direction::Inbound),
        "outbound-api" | "outbound-dial" => Some(Direction::Outbound),
        _ => None,
    }
}

/// When a call of `seconds` that ended at `end` was answered; nothing for one that never was.
pub(super) fn answered_at(end: DateTime<Utc>, seconds: u32) -> Option<DateTime<Utc>> {
    let believable = (1..=MAX_DURATION_SECONDS).contains(&seconds);
    believable.then(|| end.checked_sub_signed(TimeDelta::seconds(seconds.into())))?
}

/// Who answered by Twilio's machine detection, as `human` or `machine_start`.
pub(super) fn answered_by(word: &str) -> Value {
    json!({ "answered_by": word })
}

/// The audio of a recording's resource. Without an ending Twilio answers with WAV as well, but the
/// address should say what it is.
pub(super) fn media_url(resource: &str) -> Option<String> {
    let is_link = resource.starts_with("https://") || resource.starts_with("http://");
    if !is_link || resource.len() > MAX_URL_BYTES {
        return None;
    }
    let (path, query) = match resource.find('?') {
        Some(at) => resource.split_at(at),
        None => (resource, ""),
    };
    let has_ending = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    Some(if has_ending { resource.to_owned() } else { format!("{path}.wav{query}") })
}

fn recording(fields: &Fields) -> Option<Vec<String>> {
    Some(vec![media_url(fields.get("RecordingUrl")?)?])
}

/// `CallStatus`; of a failed call with the code that tells why, as `failed/404`.
fn ended_reason(fields: &Fields, status: Option<CallStatus>) -> Option<String> {
    let word = fields.get("CallStatus")?;
    let code = ["SipResponseCode", "ErrorCode"].iter().find_map(|name| fields.get(name));
    Some(match code.filter(|_| status == Some(CallStatus::Failed)) {
        Some(code) => format!("{word}/{code}"),
        None => word.to_owned(),
    })
}
