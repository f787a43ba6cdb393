//! Vapi's server messages: `POST` of `{"message":{"type":…}}` (docs.vapi.ai/server-url/events).
//!
//! Vapi sends no event id and repeats nothing by default. Where it does repeat, the bodies differ
//! because presigned links are made anew, so the key of a lifecycle message comes from its content.

pub mod auth;
pub mod calls;
mod ended_reason;
mod facts;
mod reply;
mod resource;

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind},
    merge::CallEvent,
};
use serde_json::Value;

pub use self::{ended_reason::classify_ended_reason, reply::reply, resource::read_resource};
use crate::{
    incoming::{self, Incoming, MAX_CALL_ID_BYTES, Unreadable, bounded_key, digest, missing},
    json,
};

/// Reads one server message.
///
/// # Errors
/// When the body is not storable JSON, has no `message.type`, or is a lifecycle message
/// (`status-update`, `end-of-call-report`, `hang`) without its call or status.
pub fn read(body: &[u8], received_at: DateTime<Utc>) -> Result<Incoming, Unreadable> {
    let root = json::parse(body)?;
    let message = json::at(&root, "/message").filter(|message| message.is_object());
    let message = message.ok_or(missing("message"))?;
    let written_type = json::text(message, &["/type"]).ok_or(missing("message.type"))?;
    let call_id = json::text(message, &["/call/id"]).filter(|id| id.len() <= MAX_CALL_ID_BYTES);
    let sent_at = json::instant(message, &["/timestamp"]);
    let at = sent_at.unwrap_or(received_at);

    if !matches!(written_type, "status-update" | "end-of-call-report" | "hang") {
        let message_type = type_name(written_type);
        let event_key = match (call_id, sent_at) {
            (Some(id), Some(at)) => {
                bounded_key(format!("{id}/{message_type}/{}", at.timestamp_millis()))
            }
            _ => bounded_key(format!("{message_type}/{}", digest(body))),
        };
        let event = CallEvent { kind: EventKind::Other, at, facts: Default::default() };
        let provider_call_id = call_id.map(str::to_owned);
        return Ok(Incoming { message_type, provider_call_id, event_key, event, message: None });
    }

    let call_id = call_id.ok_or(missing("message.call.id"))?;
    let Lifecycle { kind, status, message_type, key } = lifecycle(message, written_type)?;
    let facts = facts::of_call(message, kind, status, received_at);
    Ok(Incoming {
        event_key: bounded_key(match key {
            Some(key) => format!("{call_id}/{written_type}/{key}"),
            None => format!("{call_id}/{written_type}/{}", digest(body)),
        }),
        message_type,
        provider_call_id: Some(call_id.to_owned()),
        event: CallEvent { kind, at, facts },
        message: None,
    })
}

/// What distinguishes the messages about the life of a call.
struct Lifecycle {
    kind: EventKind,
    status: Option<CallStatus>,
    message_type: String,
    /// What the message is the only one of, within its call and type.
    key: Option<String>,
}

fn lifecycle(message: &Value, written_type: &str) -> Result<Lifecycle, Unreadable> {
    let message_type = written_type.to_owned();
    let reason = facts::ended_reason(message).unwrap_or_default();
    match written_type {
        "end-of-call-report" => Ok(Lifecycle {
            kind: EventKind::Report,
            status: Some(classify_ended_reason(reason)),
            message_type,
            key: Some(reason.to_owned()),
        }),
        "hang" => Ok(Lifecycle {
            kind: EventKind::Progress,
            status: None,
            message_type,
            key: json::instant(message, &["/timestamp"])
                .map(|at| at.timestamp_millis().to_string()),
        }),
        _ => {
            let written = json::text(message, &["/status"]).ok_or(missing("message.status"))?;
            let (kind, status) = match written {
                "ended" => (EventKind::Ended, Some(classify_ended_reason(reason))),
                _ => progress(written),
            };
            let message_type = type_name(&format!("{written_type}/{written}"));
            Ok(Lifecycle { kind, status, message_type, key: Some(written.to_owned()) })
        }
    }
}

/// What a status other than `ended` says (`CallStatus` of the SDK). `not-found` and
/// `deletion-failed` are about the deletion of a call's data and say nothing of its life.
fn progress(written: &str) -> (EventKind, Option<CallStatus>) {
    match written {
        "scheduled" | "queued" => (EventKind::Progress, Some(CallStatus::Queued)),
        "ringing" => (EventKind::Progress, Some(CallStatus::Ringing)),
        // A forwarded call goes on, with a person.
        "in-progress" | "forwarding" => (EventKind::Progress, Some(CallStatus::InProgress)),
        _ => (EventKind::Other, None),
    }
}

/// Vapi writes some types with a filter, as `transcript[transcriptType="final"]`.
fn type_name(written: &str) -> String {
    let name = written.split_once('[').map_or(written, |(name, _)| name);
    let name = if name.is_empty() { written } else { name };
    incoming::bounded_type(name)
}

#[cfg(test)]
mod robustness;
#[cfg(test)]
mod tests;
