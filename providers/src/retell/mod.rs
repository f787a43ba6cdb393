//! Retell's webhooks (`{"event":…,"call":…}`) and calls API (docs.retellai.com/features/webhook).
//!
//! A call has at most one event of each kind: `call_started` if it was connected, `call_ended` with
//! everything but the analysis, `call_analyzed` with everything. Retell tries three times and sends
//! no event id, so the key of these three is the call and the event.

pub mod auth;
pub mod calls;
mod facts;
mod status;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{CallStatus, EventKind},
    merge::CallEvent,
};
use serde_json::{Value, json};

use self::{
    facts::Standing,
    status::{Outcome, is_over, outcome, running},
};
use crate::{
    incoming::{
        Incoming, MAX_CALL_ID_BYTES, Unreadable, bounded_key, bounded_type, digest, missing,
    },
    json,
};

/// How long after its end a call may wait for its analysis, which takes seconds when it works.
const ANALYSIS_PATIENCE: TimeDelta = TimeDelta::minutes(15);

/// Reads one webhook message.
///
/// # Errors
/// When the body is not storable JSON, has no `event`, or is one of the three events of a call's
/// life without the call's id.
pub fn read(body: &[u8], received_at: DateTime<Utc>) -> Result<Incoming, Unreadable> {
    let root = json::parse(body)?;
    let event = json::text(&root, &["/event"]).ok_or(missing("event"))?;
    let call = json::at(&root, "/call").unwrap_or(&Value::Null);
    let call_id = call_id(call);

    let standing = match event {
        // Sent only for a connected call, whatever the object's status says yet.
        "call_started" => Standing {
            kind: EventKind::Progress,
            status: Some(CallStatus::InProgress),
            connected: true,
        },
        "call_ended" => over(call, EventKind::Ended),
        "call_analyzed" => over(call, EventKind::Report),
        _ => return Ok(other(event, call_id, body, received_at)),
    };
    let call_id = call_id.ok_or(missing("call.call_id"))?;
    Ok(of_call(call, call_id, standing, event.to_owned(), event, received_at))
}

/// Reads a call as [`calls::RetellCalls::call`] fetched it.
///
/// A call without its analysis counts as fully reported 15 minutes after its end, or when it was
/// never connected; the analysis has another event key, so that it is still taken when it comes.
///
/// # Errors
/// When the body is no call.
pub fn read_resource(body: &[u8], received_at: DateTime<Utc>) -> Result<Incoming, Unreadable> {
    let call = json::parse(body)?;
    let call_id = call_id(&call).ok_or(missing("call_id"))?;
    let call_status = facts::call_status(&call);
    let written = call_status.unwrap_or("unknown");
    let has_end = facts::ended(&call).is_some() || facts::reason(&call).is_some();

    let (standing, key) = if !is_over(call_status, has_end) {
        let status = running(call_status);
        let connected = status == Some(CallStatus::InProgress);
        (Standing { kind: EventKind::Progress, status, connected }, written)
    } else if facts::is_analyzed(json::at(&call, "/call_analysis")) {
        (over(&call, EventKind::Report), "report")
    } else {
        let waited = facts::ended(&call).is_some_and(|end| received_at - end > ANALYSIS_PATIENCE);
        let ended = over(&call, EventKind::Ended);
        match waited || !ended.connected {
            true => (Standing { kind: EventKind::Report, ..ended }, "report/unanalyzed"),
            false => (ended, "ended"),
        }
    };
    let message_type = bounded_type(&format!("api.call/{written}"));
    let key = format!("sweep/{key}");
    Ok(of_call(&call, call_id, standing, message_type, &key, received_at))
}

/// The answer to `call_inbound`, else nothing: any 2xx will do.
///
/// An empty one overrides nothing: the number's own agent takes the call.
pub fn reply(body: &[u8]) -> Option<Value> {
    let root = json::parse(body).ok()?;
    (json::text(&root, &["/event"]) == Some("call_inbound")).then(|| json!({ "call_inbound": {} }))
}

/// The event of a call whose life it tells of.
fn of_call(
    call: &Value,
    call_id: &str,
    standing: Standing,
    message_type: String,
    key: &str,
    received_at: DateTime<Utc>,
) -> Incoming {
    let facts = facts::of_call(call, standing);
    let at = facts.ended_at.or_else(|| facts::started(call)).unwrap_or(received_at);
    Incoming {
        message_type,
        provider_call_id: Some(call_id.to_owned()),
        event_key: bounded_key(format!("{call_id}/{key}")),
        event: CallEvent { kind: standing.kind, at, facts },
        message: None,
    }
}

/// An event that changes nothing: inbound routing, transcripts, transfers, chats, new ones.
fn other(event: &str, call_id: Option<&str>, body: &[u8], received_at: DateTime<Utc>) -> Incoming {
    let message_type = bounded_type(event);
    let key = format!("{message_type}/{}", digest(body));
    Incoming {
        event_key: bounded_key(match call_id {
            Some(id) => format!("{id}/{key}"),
            None => key,
        }),
        message_type,
        provider_call_id: call_id.map(str::to_owned),
        event: CallEvent { kind: EventKind::Other, at: received_at, facts: Default::default() },
        message: None,
    }
}

/// How a call stands that is over.
fn over(call: &Value, kind: EventKind) -> Standing {
    let Outcome { status, connected } = outcome(facts::call_status(call), facts::reason(call));
    Standing { kind, status: Some(status), connected }
}

fn call_id(call: &Value) -> Option<&str> {
    json::text(call, &["/call_id"]).filter(|id| id.len() <= MAX_CALL_ID_BYTES)
}

#[cfg(test)]
mod tests;
