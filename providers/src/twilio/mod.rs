//! Twilio: callbacks of calls, recordings and messages; its REST API `2010-04-01`.
//!
//! Callbacks are forms without an id of their own, race each other and are seldom repeated. Those
//! of a call's progress are numbered (`SequenceNumber`), which gives them their key and their
//! order. A call's last callback is its report: nothing about the call itself comes after it. The
//! link of its recording may come earlier or later, in a callback of its own.

pub mod auth;
pub mod calls;
mod facts;
mod form;
mod messages;
mod resource;
mod status;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{CallStatus, EventKind},
    merge::{CallEvent, CallFacts},
};

use self::form::Fields;
pub use self::{
    messages::{SentSms, TwilioClient},
    status::classify_call_status,
};
use crate::incoming::{
    Incoming, MAX_CALL_ID_BYTES, MessageFate, Unreadable, bounded_key, bounded_type, digest,
};

/// Most milliseconds by which a sequence number moves an event: it orders within a second.
const MAX_SEQUENCE_MILLIS: u32 = 999;

/// Reads one callback: a call's status, a recording's, or a message's; a form, or JSON with the
/// same names. Everything else is kept as an event that changes nothing.
///
/// # Errors
/// When the body is no callback that can be stored and understood.
pub fn read(body: &[u8], received_at: DateTime<Utc>) -> Result<Incoming, Unreadable> {
    let fields = Fields::read(body)?;
    if let Some(status) = fields.get("RecordingStatus") {
        return Ok(recording(&fields, status, body, received_at));
    }
    if let (None, Some((sid, status))) = (fields.get("CallSid"), message_status(&fields)) {
        return message(sid, status, &fields, received_at);
    }
    if let Some(status) = fields.get("CallStatus").filter(|word| is_status(&fields, word)) {
        return call_status(&fields, status, received_at);
    }
    Ok(other(&fields, body, received_at))
}

/// Reads a call as [`calls::TwilioCalls::call`] fetched it.
///
/// # Errors
/// When the body is no call.
pub fn read_resource(body: &[u8], received_at: DateTime<Utc>) -> Result<Incoming, Unreadable> {
    resource::read(body, received_at)
}

fn call_status(
    fields: &Fields,
    written: &str,
    received_at: DateTime<Utc>,
) -> Result<Incoming, Unreadable> {
    let problem = "is missing or not usable";
    let call_id =
        call_id(fields.get("CallSid")).ok_or(Unreadable::Field { path: "CallSid", problem })?;
    let status = classify_call_status(written);
    let over = status.is_some_and(CallStatus::is_final);
    let sequence = fields.number("SequenceNumber");
    let timestamp = fields.instant("Timestamp");
    Ok(Incoming {
        message_type: bounded_type(&format!("call/{written}")),
        event_key: match sequence {
            Some(number) => format!("{call_id}/status/{number}"),
            None => bounded_key(format!("{call_id}/status/{written}")),
        },
        provider_call_id: Some(call_id),
        event: CallEvent {
            kind: if over { EventKind::Report } else { EventKind::Progress },
            at: in_sequence(timestamp.unwrap_or(received_at), sequence),
            facts: facts::of_status(fields, status, timestamp),
        },
        message: None,
    })
}

/// Whether `CallStatus` is what the callback is about.
///
/// Twilio writes it into every request that belongs to a call. One that asks what to do after the
/// caller hung up (`<Dial action>`, a transcription) says `completed` too, without the duration:
/// read as the end, it would make the call one of no seconds.
fn is_status(fields: &Fields, written: &str) -> bool {
    let about_status = ["CallbackSource", "SequenceNumber", "CallDuration"];
    about_status.iter().any(|name| fields.get(name).is_some())
        || !classify_call_status(written).is_some_and(CallStatus::is_final)
}

/// The fold orders facts of one rank by time, and `Timestamp` has whole seconds only. So the
/// sequence number is added as milliseconds: it decides within a second and never beyond.
fn in_sequence(at: DateTime<Utc>, sequence: Option<u32>) -> DateTime<Utc> {
    let millis = sequence.unwrap_or(0).min(MAX_SEQUENCE_MILLIS);
    at.checked_add_signed(TimeDelta::milliseconds(millis.into())).unwrap_or(at)
}

/// A finished recording is progress of its call, not its report: a recording that was stopped by
/// the API is finished while the call goes on, and its event must not end it. After the end it
/// makes the workflow run again all the same, as every event of a finished call does.
fn recording(fields: &Fields, written: &str, body: &[u8], received_at: DateTime<Utc>) -> Incoming {
    let call_id = call_id(fields.get("CallSid"));
    let finished = written == "completed" && call_id.is_some();
    let facts = if finished { facts::of_recording(fields) } else { CallFacts::default() };
    let kind = if facts.recording_urls.is_some() { EventKind::Progress } else { EventKind::Other };
    Incoming {
        message_type: bounded_type(&format!("recording/{written}")),
        event_key: match (&call_id, fields.get("RecordingSid")) {
            (Some(call), Some(sid)) => bounded_key(format!("{call}/recording/{sid}/{written}")),
            _ => format!("recording/{}", digest(body)),
        },
        provider_call_id: call_id,
        event: CallEvent { kind, at: recording_ended_at(fields).unwrap_or(received_at), facts },
        message: None,
    }
}

/// Of several recordings of a call the fold takes the last, whichever callback came first.
fn recording_ended_at(fields: &Fields) -> Option<DateTime<Utc>> {
    let seconds = fields.number("RecordingDuration").unwrap_or(0);
    let started_at = fields.instant("RecordingStartTime")?;
    started_at.checked_add_signed(TimeDelta::seconds(seconds.into()))
}

/// Id and status of a message; the names with `Sms` are the older ones.
fn message_status(fields: &Fields) -> Option<(&str, &str)> {
    let sid = fields.get("MessageSid").or_else(|| fields.get("SmsSid"))?;
    let status = fields.get("MessageStatus").or_else(|| fields.get("SmsStatus"))?;
    Some((sid, status))
}

fn message(
    sid: &str,
    written: &str,
    fields: &Fields,
    received_at: DateTime<Utc>,
) -> Result<Incoming, Unreadable> {
    if sid.len() > MAX_CALL_ID_BYTES {
        return Err(Unreadable::Field { path: "MessageSid", problem: "is not usable" });
    }
    let fate = status::message_state(written).map(|state| MessageFate {
        provider_id: sid.to_owned(),
        state,
        error_code: fields.get("ErrorCode").filter(|code| *code != "0").map(str::to_owned),
    });
    let kind = if fate.is_some() { EventKind::Message } else { EventKind::Other };
    Ok(Incoming {
        message_type: bounded_type(&format!("message/{written}")),
        provider_call_id: None,
        event_key: bounded_key(format!("{sid}/{written}")),
        event: CallEvent { kind, at: received_at, facts: CallFacts::default() },
        message: fate,
    })
}

fn other(fields: &Fields, body: &[u8], received_at: DateTime<Utc>) -> Incoming {
    Incoming {
        message_type: "other".to_owned(),
        provider_call_id: call_id(fields.get("CallSid")),
        event_key: format!("other/{}", digest(body)),
        event: CallEvent { kind: EventKind::Other, at: received_at, facts: CallFacts::default() },
        message: None,
    }
}

fn call_id(written: Option<&str>) -> Option<String> {
    written.filter(|id| !id.is_empty() && id.len() <= MAX_CALL_ID_BYTES).map(str::to_owned)
}

#[cfg(test)]
mod tests;
