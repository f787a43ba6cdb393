//! A call as Vapi's API shows it (`Call` of its SDK), read as an event: what a sweep found.

use chrono::{DateTime, Utc};
use contract::{call::EventKind, merge::CallEvent};
use serde_json::{Map, Value};

use super::{bounded_key, classify_ended_reason, facts, missing, progress, type_name};
use crate::{
    incoming::{Incoming, MAX_CALL_ID_BYTES, Unreadable},
    json,
};

/// What stands under `call` in a server message and at the top of the resource. The rest has the
/// same place in both.
const OF_CALL: [&str; 6] =
    ["id", "type", "createdAt", "assistantId", "phoneNumberId", "assistantOverrides"];

/// Reads a call as [`super::calls::VapiCalls::call`] fetched it.
///
/// An ended call is a report as of its end, so that a webhook's report, which is sent later, wins
/// fact by fact. Any other call is progress as of its last change.
///
/// # Errors
/// When the body is not storable JSON, or has no `id`, or neither `status` nor `endedAt`.
pub fn read_resource(body: &[u8], received_at: DateTime<Utc>) -> Result<Incoming, Unreadable> {
    let Value::Object(fields) = json::parse(body)? else { return Err(missing("id")) };
    let message = as_message(fields);
    let id = json::text(&message, &["/call/id"]).filter(|id| id.len() <= MAX_CALL_ID_BYTES);
    let id = id.ok_or(missing("id"))?.to_owned();

    let ended_at = json::instant(&message, &["/endedAt"]);
    let written = match json::text(&message, &["/status"]) {
        _ if ended_at.is_some() => "ended",
        written => written.ok_or(missing("status"))?,
    };
    let (kind, status, at) = if written == "ended" {
        let reason = facts::ended_reason(&message).unwrap_or_default();
        (EventKind::Report, Some(classify_ended_reason(reason)), ended_at)
    } else {
        let (kind, status) = progress(written);
        (kind, status, None)
    };
    let at = at.or_else(|| json::instant(&message, &["/updatedAt"])).unwrap_or(received_at);
    let key = if kind == EventKind::Report { "report" } else { written };
    Ok(Incoming {
        event_key: bounded_key(format!("{id}/sweep/{key}")),
        message_type: type_name(&format!("api.call/{written}")),
        event: CallEvent { kind, at, facts: facts::of_call(&message, kind, status, received_at) },
        provider_call_id: Some(id),
        message: None,
    })
}

/// The same call in the shape of a server message, so that facts are read in one way.
fn as_message(mut fields: Map<String, Value>) -> Value {
    let call: Map<String, Value> =
        OF_CALL.iter().filter_map(|name| fields.remove_entry(*name)).collect();
    fields.insert("call".to_owned(), Value::Object(call));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use contract::{call::CallStatus, merge::fold};
    use serde_json::json;

    use super::*;
    use crate::vapi::read;

    const REPORT: &[u8] = include_bytes!("../../../tests/fixtures/vapi/end_of_call_report.json");
    const QUEUED: &[u8] =
        include_bytes!("../../../tests/fixtures/vapi/create_call_response_201.json");
    const CALL: &str = "019aa141-4449-7775-8d7e-006f2a64e546";

    fn received() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 20, 15, 30, 0).single().expect("exists")
    }

    fn read_ok(body: &Value) -> Incoming {
        let body = body.to_string();
        let incoming = read_resource(body.as_bytes(), received()).expect("readable");
        assert_eq!(read_resource(body.as_bytes(), received()).as_ref(), Ok(&incoming), "pure");
        incoming
    }

    /// The call of the report's fixture as `GET /call/{id}` shows it.
    fn ended_call() -> Value {
        let root: Value = serde_json::from_slice(REPORT).expect("a fixture");
        let message = &root["message"];
        let mut call = message["call"].clone();
        for name in [
            "analysis",
            "artifact",
            "costBreakdown",
            "costs",
            "messages",
            "recordingUrl",
            "stereoRecordingUrl",
            "transcript",
        ] {
            call[name] = message[name].clone();
        }
        call["updatedAt"] = json!("2026-11-20T15:02:15.000Z");
        call
    }

    #[test]
    fn an_ended_call_tells_what_its_report_told() {
        let found = read_ok(&ended_call());
        assert_eq!(found.message_type, "api.call/ended");
        assert_eq!(found.event_key, format!("{CALL}/sweep/report"));
        assert_eq!(found.provider_call_id.as_deref(), Some(CALL));
        assert_eq!(found.event.kind, EventKind::Report);
        assert_eq!(found.event.at.timestamp_millis(), 1_795_186_929_398);
        let told = read(REPORT, received()).expect("readable").event;
        assert!(told.at > found.event.at, "a webhook wins over the sweep");
        let mut facts = told.facts.clone();
        // The number itself is in no field of the resource.
        facts.to_number = None;
        assert_eq!(found.event.facts, facts);
        assert_eq!(fold([&found.event, &told]), fold([&told, &found.event]));
        assert_eq!(fold([&found.event, &told]), fold([&told]));
    }

    #[test]
    fn facts_are_also_read_from_their_older_places() {
        let mut call = ended_call();
        call["artifact"] = Value::Null;
        call["cost"] = Value::Null;
        call["phoneNumber"] = json!({ "twilioPhoneNumber": "+14155550100" });
        let facts = read_ok(&call).event.facts;
        assert!(facts.transcript.is_some_and(|text| text.starts_with("AI: Hello")));
        assert_eq!(facts.messages.and_then(|m| m.as_array().map(Vec::len)), Some(6));
        assert_eq!(facts.recording_urls.map(|urls| urls.len()), Some(2));
        assert_eq!(facts.cost_usd.map(|cost| cost.to_string()).as_deref(), Some("0.2118"));
        assert_eq!(facts.to_number.as_deref(), Some("+14155550100"));
    }

    #[test]
    fn every_status_has_its_kind_and_key() {
        use CallStatus::{Completed, InProgress, Queued, Ringing};
        use EventKind::{Other, Progress, Report};
        let mut call: Value = serde_json::from_slice(QUEUED).expect("a fixture");
        call["updatedAt"] = json!("2026-11-20T15:00:07.000Z");
        for (written, kind, status, key) in [
            ("scheduled", Progress, Some(Queued), "scheduled"),
            ("queued", Progress, Some(Queued), "queued"),
            ("ringing", Progress, Some(Ringing), "ringing"),
            ("in-progress", Progress, Some(InProgress), "in-progress"),
            ("forwarding", Progress, Some(InProgress), "forwarding"),
            ("ended", Report, Some(Completed), "report"),
            ("not-found", Other, None, "not-found"),
            ("of-next-year", Other, None, "of-next-year"),
        ] {
            call["status"] = json!(written);
            let found = read_ok(&call);
            assert_eq!((found.event.kind, found.event.facts.status), (kind, status), "{written}");
            assert_eq!(found.event_key, format!("{CALL}/sweep/{key}"));
            assert_eq!(found.message_type, format!("api.call/{written}"));
            assert_eq!(found.event.at.timestamp(), 1_795_186_807);
        }
    }

    #[test]
    fn an_end_decides_whatever_the_status_says() {
        let mut call = ended_call();
        for status in [json!("deletion-failed"), json!("in-progress"), Value::Null] {
            call["status"] = status;
            assert_eq!(read_ok(&call).event_key, format!("{CALL}/sweep/report"));
        }
        call["endedReason"] = json!("customer-busy");
        assert_eq!(read_ok(&call).event.facts.status, Some(CallStatus::Busy));
        call["startedAt"] = Value::Null;
        assert_eq!(read_ok(&call).event.facts.duration_seconds, Some(0));
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let why = |body: &str| read_resource(body.as_bytes(), received()).expect_err("no call");
        for body in ["[]", "3", "{}", r#"{"id":7,"status":"ended"}"#, r#"{"id":"","status":"x"}"#] {
            assert_eq!(why(body), missing("id"), "{body}");
        }
        let long = "x".repeat(MAX_CALL_ID_BYTES + 1);
        assert_eq!(why(&json!({ "id": long, "status": "ended" }).to_string()), missing("id"));
        assert_eq!(why(r#"{"id":"1"}"#), missing("status"));
        assert_eq!(why(r#"{"id":"1","status":{},"endedAt":"soon"}"#), missing("status"));
        assert_eq!(why("<html>"), Unreadable::NotJson);
        assert_eq!(why(r#"{"id":"a\u0000","status":"ended"}"#), Unreadable::Nul);
    }
}
