use chrono::TimeZone;
use contract::{
    call::{Direction, Origin, Provider},
    merge::CallFacts,
};
use rust_decimal::Decimal;

use super::*;
use crate::incoming::{MAX_EVENT_KEY_BYTES, MAX_MESSAGE_TYPE_CHARS};

mod fold;
mod robustness;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/retell/", $name))
    };
}

const CALL: &str = "call_a4441234567890777c4a4a123e6";
const STARTED: &[u8] = fixture!("call_started.json");
const ENDED: &[u8] = fixture!("call_ended.json");
const ANALYZED: &[u8] = fixture!("call_analyzed.json");
const NO_ANSWER: &[u8] = fixture!("call_ended_dial_no_answer.json");
const INBOUND: &[u8] = fixture!("call_inbound.json");
const INBOUND_RESPONSE: &[u8] = fixture!("call_inbound_response.json");
const REGISTERED: &[u8] = fixture!("create_phone_call_201.json");
const START_MILLIS: i64 = 1_795_186_801_800;
const END_MILLIS: i64 = 1_795_186_929_398;

fn millis(millis: i64) -> DateTime<Utc> {
    Utc.timestamp_millis_opt(millis).single().expect("exists")
}

fn received() -> DateTime<Utc> {
    millis(1_795_186_937_000)
}

fn read_ok(body: impl AsRef<[u8]>) -> Incoming {
    read(body.as_ref(), received()).expect("readable")
}

fn why(body: impl AsRef<[u8]>) -> Unreadable {
    read(body.as_ref(), received()).expect_err("unreadable")
}

fn field(path: &'static str) -> Unreadable {
    missing(path)
}

/// A webhook with a change made to its call.
fn changed(body: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut root: Value = serde_json::from_slice(body).expect("a fixture");
    change(&mut root["call"]);
    root.to_string().into_bytes()
}

/// The call of a webhook as the API shows it, with a change.
fn resource(body: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut root: Value = serde_json::from_slice(body).expect("a fixture");
    change(&mut root["call"]);
    root["call"].to_string().into_bytes()
}

fn without(field: &'static str) -> impl FnOnce(&mut Value) {
    move |call| call[field] = Value::Null
}

#[test]
fn the_analyzed_event_tells_everything() {
    let incoming = read_ok(ANALYZED);
    assert_eq!(incoming.message_type, "call_analyzed");
    assert_eq!(incoming.provider_call_id.as_deref(), Some(CALL));
    assert_eq!(incoming.event_key, format!("{CALL}/call_analyzed"));
    assert_eq!(incoming.message, None);
    let CallEvent { kind, at, facts } = incoming.event;
    assert_eq!((kind, at), (EventKind::Report, millis(END_MILLIS)));
    let CallFacts { messages, metadata, recording_urls, .. } = &facts;
    assert_eq!(messages.as_ref().expect("a list")[1]["content"], "Yes, go ahead.");
    assert_eq!(metadata.as_ref().expect("some")["call_id"], "0b7e2c8a-1c5e-4f7c-9f6e-2f4a8c1d3e5b");
    let folder = format!("https://dxc03zgurdly9.cloudfront.net/{CALL}");
    let links = ["recording.wav", "recording_multichannel.wav"].map(|f| format!("{folder}/{f}"));
    assert_eq!(recording_urls.as_deref(), Some(links.as_slice()));
    let told = CallFacts {
        status: Some(CallStatus::Completed),
        direction: Some(Direction::Outbound),
        from_number: Some("+14155550100".to_owned()),
        to_number: Some("+14155552671".to_owned()),
        provider_assistant_id: Some("agent_4f2c8e1b9d7a6c5e3f1b2d4a6c".to_owned()),
        provider_phone_number_id: None,
        created_at: Some(millis(START_MILLIS)),
        started_at: Some(millis(START_MILLIS)),
        ended_at: Some(millis(END_MILLIS)),
        duration_seconds: Some(128),
        duration_flag: None,
        ended_reason: Some("user_hangup".to_owned()),
        cost_usd: Some(Decimal::new(277, 3)),
        summary: Some("The agent called Ana and confirmed a table for four.".to_owned()),
        transcript: Some("Agent: Hi Ana, is this a good time?\nUser: Yes, go ahead.\n".to_owned()),
        messages: facts.messages.clone(),
        recording_urls: facts.recording_urls.clone(),
        structured_data: Some(json!({"people": 4, "intent": "booking"})),
        metadata: facts.metadata.clone(),
    };
    assert_eq!(facts, told);
}

#[test]
fn the_ended_event_tells_all_but_the_analysis() {
    let ended = read_ok(ENDED);
    assert_eq!(ended.message_type, "call_ended");
    assert_eq!(ended.event_key, format!("{CALL}/call_ended"));
    let analyzed = read_ok(ANALYZED).event;
    let expected = CallFacts { summary: None, structured_data: None, ..analyzed.facts };
    assert_eq!(ended.event, CallEvent { kind: EventKind::Ended, at: analyzed.at, facts: expected });
}

#[test]
fn the_started_event_opens_the_call() {
    let incoming = read_ok(STARTED);
    assert_eq!(incoming.message_type, "call_started");
    assert_eq!(incoming.event_key, format!("{CALL}/call_started"));
    let CallEvent { kind, at, facts } = incoming.event;
    assert_eq!((kind, at), (EventKind::Progress, millis(START_MILLIS)));
    assert_eq!(facts.status, Some(CallStatus::InProgress));
    assert_eq!(facts.started_at, Some(millis(START_MILLIS)));
    assert_eq!(facts.from_number.as_deref(), Some("+14155550100"));
    assert_eq!((facts.ended_at, facts.duration_seconds), (None, None));
    let early = changed(STARTED, |call| {
        call["call_status"] = json!("registered");
        call["start_timestamp"] = Value::Null;
    });
    let early = read_ok(early).event;
    assert_eq!((early.at, early.facts.started_at), (received(), None));
    assert_eq!(early.facts.status, Some(CallStatus::InProgress));
}

#[test]
fn a_call_never_connected_has_no_start_and_no_minutes() {
    let incoming = read_ok(NO_ANSWER);
    let CallEvent { kind, at, facts } = incoming.event;
    assert_eq!((kind, at), (EventKind::Ended, millis(START_MILLIS)));
    assert_eq!(facts.status, Some(CallStatus::NoAnswer));
    assert_eq!(facts.created_at, Some(millis(START_MILLIS)));
    assert_eq!((facts.started_at, facts.duration_seconds), (None, Some(0)));
    assert_eq!(facts.ended_reason.as_deref(), Some("dial_no_answer"));
    for (status, reason) in [
        ("not_connected", Value::Null),
        ("ended", json!("dial_busy")),
        ("registered", Value::Null),
        ("error", json!("registered_call_timeout")),
    ] {
        let rang = changed(ENDED, |call| {
            call["call_status"] = json!(status);
            call["disconnection_reason"] = reason;
        });
        let facts = read_ok(rang).event.facts;
        assert_eq!((facts.started_at, facts.duration_seconds), (None, Some(0)), "{status}");
    }
}

#[test]
fn every_other_event_is_kept_and_changes_nothing() {
    let inbound = read_ok(INBOUND);
    assert_eq!(inbound.message_type, "call_inbound");
    assert_eq!(inbound.provider_call_id, None);
    assert_eq!(inbound.event_key, format!("call_inbound/{}", digest(INBOUND)));
    let nothing = CallEvent { kind: EventKind::Other, at: received(), facts: CallFacts::default() };
    assert_eq!(inbound.event, nothing);
    for event in [
        "transcript_updated",
        "transfer_started",
        "transfer_bridged",
        "transfer_cancelled",
        "transfer_ended",
        "of_next_year",
    ] {
        let body = json!({"event": event, "call": {"call_id": "c1", "call_status": "ended"}});
        let body = body.to_string();
        let incoming = read_ok(&body);
        assert_eq!(incoming.event, nothing, "{event}");
        assert_eq!(incoming.message_type, event);
        assert_eq!(incoming.provider_call_id.as_deref(), Some("c1"));
        assert_eq!(incoming.event_key, format!("c1/{event}/{}", digest(body.as_bytes())));
    }
    let chat = read_ok(r#"{"event":"chat_ended","chat":{"chat_id":"chat_1"}}"#);
    assert_eq!((chat.event, chat.provider_call_id), (nothing, None));
}

#[test]
fn keys_types_and_ids_are_bounded() {
    let long = "é".repeat(300);
    let body = json!({"event": long, "call": {"call_id": "c".repeat(MAX_CALL_ID_BYTES)}});
    let incoming = read_ok(body.to_string());
    assert_eq!(incoming.message_type, "é".repeat(MAX_MESSAGE_TYPE_CHARS));
    assert!(incoming.event_key.len() <= MAX_EVENT_KEY_BYTES);
    let body = changed(ENDED, |call| call["call_id"] = json!("c".repeat(MAX_CALL_ID_BYTES + 1)));
    assert_eq!(why(body), field("call.call_id"));
    let body = resource(STARTED, |call| call["call_status"] = json!(long));
    let incoming = read_resource(&body, received()).expect("readable");
    assert!(incoming.event_key.len() <= MAX_EVENT_KEY_BYTES);
    assert_eq!(incoming.message_type.chars().count(), MAX_MESSAGE_TYPE_CHARS);
}

#[test]
fn what_is_no_message_is_unreadable() {
    for body in ["{}", "[]", "7", r#"{"event":""}"#, r#"{"event":5}"#] {
        assert_eq!(why(body), field("event"), "{body}");
    }
    for event in ["call_started", "call_ended", "call_analyzed"] {
        for call in [json!(null), json!({}), json!([]), json!({"call_id": 5})] {
            let body = json!({"event": event, "call": call}).to_string();
            assert_eq!(why(body), field("call.call_id"), "{event}");
        }
    }
    assert_eq!(why(""), Unreadable::NotJson);
    assert_eq!(why(r#"{"event":"a\u0000"}"#), Unreadable::Nul);
    assert_eq!(why(r#"{"event":"a","x":1e309}"#), Unreadable::NumberOutOfRange);
    assert_eq!(read_resource(b"[]", received()), Err(field("call_id")));
    assert_eq!(read_resource(ANALYZED, received()), Err(field("call_id")), "a webhook's body");
}

#[test]
fn duration_comes_from_times_then_from_the_field() {
    let seconds =
        |change: fn(&mut Value)| read_ok(changed(ENDED, change)).event.facts.duration_seconds;
    assert_eq!(seconds(|call| call["duration_ms"] = json!(999_999)), Some(128), "times first");
    assert_eq!(seconds(|call| call["start_timestamp"] = Value::Null), Some(128), "rounded up");
    assert_eq!(seconds(|call| call["end_timestamp"] = json!(START_MILLIS - 1)), Some(0));
    assert_eq!(seconds(|call| call["end_timestamp"] = json!(START_MILLIS + 1)), Some(1));
    let untold = |duration| {
        move |call: &mut Value| {
            call["end_timestamp"] = Value::Null;
            call["duration_ms"] = duration;
        }
    };
    for (duration, seconds) in [
        (json!(null), None),
        (json!("x"), None),
        (json!(-5), Some(0)),
        (json!(1), Some(1)),
        (json!(60_000), Some(60)),
        (json!("60001"), Some(61)),
    ] {
        let event = read_ok(changed(ENDED, untold(duration.clone()))).event;
        assert_eq!(event.facts.duration_seconds, seconds, "{duration}");
        assert_eq!(event.at, millis(START_MILLIS), "no end: the start");
    }
}

#[test]
fn cost_is_in_cents() {
    let cost = |cents: Value| {
        let body = changed(ENDED, |call| call["call_cost"]["combined_cost"] = cents);
        read_ok(body).event.facts.cost_usd.map(|cost| cost.to_string())
    };
    for (cents, dollars) in [
        (json!(27.7), Some("0.277")),
        (json!(0), Some("0")),
        (json!(70), Some("0.7")),
        (json!("12.5"), Some("0.125")),
        (json!(0.123_456_7), Some("0.001235")),
        (json!(99_999_900), Some("999999")),
        (json!(99_999_901), None),
        (json!(-1), None),
        (json!(1e300), None),
        (json!("NaN"), None),
    ] {
        assert_eq!(cost(cents.clone()).as_deref(), dollars, "{cents}");
    }
}

#[test]
fn links_are_http_bounded_and_the_plain_ones_first() {
    let links = |change: fn(&mut Value)| read_ok(changed(ENDED, change)).event.facts.recording_urls;
    let scrubbed = links(|call| {
        call["scrubbed_recording_url"] = json!("https://s/mono");
        call["recording_url"] = json!("https://p/mono");
        call["recording_multi_channel_url"] = json!("https://p/mono");
    });
    assert_eq!(scrubbed, Some(vec!["https://p/mono".to_owned(), "https://s/mono".to_owned()]));
    let bad = links(|call| {
        call["recording_url"] = json!("file:///etc/passwd");
        call["recording_multi_channel_url"] = json!(format!("https://{}", "x".repeat(9000)));
    });
    assert_eq!(bad, None);
}

#[test]
fn directions_are_read_and_wrong_types_count_as_absent() {
    for (change, direction) in [
        (json!({"call_type": "web_call", "direction": null}), Some(Direction::Web)),
        (json!({"direction": "inbound"}), Some(Direction::Inbound)),
        (json!({"direction": "sideways"}), None),
        (json!({"call_type": 7, "direction": 7}), None),
    ] {
        let body = changed(STARTED, |call| {
            for (name, value) in change.as_object().expect("fields") {
                call[name] = value.clone();
            }
        });
        assert_eq!(read_ok(body).event.facts.direction, direction, "{change}");
    }
    let body = changed(ANALYZED, |call| {
        for name in [
            "from_number",
            "agent_id",
            "metadata",
            "transcript",
            "transcript_object",
            "call_cost",
            "recording_url",
            "recording_multi_channel_url",
            "disconnection_reason",
            "start_timestamp",
            "end_timestamp",
            "duration_ms",
            "call_analysis",
            "call_status",
        ] {
            call[name] = json!(if name == "metadata" { Value::Null } else { json!([]) });
        }
    });
    let event = read_ok(body).event;
    let to_number = Some("+14155552671".to_owned());
    let left = CallFacts {
        status: Some(CallStatus::Completed),
        direction: Some(Direction::Outbound),
        to_number,
        ..CallFacts::default()
    };
    assert_eq!(event, CallEvent { kind: EventKind::Report, at: received(), facts: left });
}

#[test]
fn only_the_inbound_event_is_answered_and_in_its_shape() {
    let answer = reply(INBOUND).expect("an answer");
    assert_eq!(answer, json!({"call_inbound": {}}));
    let documented: Value = serde_json::from_slice(INBOUND_RESPONSE).expect("a fixture");
    assert_eq!(documented.as_object().map(|o| o.len()), Some(1));
    assert!(documented["call_inbound"].is_object());
    for body in [STARTED, ENDED, ANALYZED, b"not json", b"{}", br#"{"event":["call_inbound"]}"#] {
        assert_eq!(reply(body), None);
    }
}

#[test]
fn a_fetched_call_stands_where_its_status_and_analysis_say() {
    let after = |minutes: i64, seconds: i64| {
        millis(END_MILLIS) + TimeDelta::seconds(minutes * 60 + seconds)
    };
    let registered = REGISTERED.to_vec();
    for (body, received_at, kind, status, key, message_type) in [
        (
            registered,
            after(0, 0),
            EventKind::Progress,
            Some(CallStatus::Queued),
            "registered",
            "registered",
        ),
        (
            resource(STARTED, |_| ()),
            after(0, 0),
            EventKind::Progress,
            Some(CallStatus::InProgress),
            "ongoing",
            "ongoing",
        ),
        (
            resource(STARTED, without("call_status")),
            after(0, 0),
            EventKind::Progress,
            None,
            "unknown",
            "unknown",
        ),
        (
            resource(ENDED, |_| ()),
            after(15, 0),
            EventKind::Ended,
            Some(CallStatus::Completed),
            "ended",
            "ended",
        ),
        (
            resource(ENDED, |_| ()),
            after(15, 1),
            EventKind::Report,
            Some(CallStatus::Completed),
            "report/unanalyzed",
            "ended",
        ),
        (
            resource(ENDED, without("end_timestamp")),
            after(99, 0),
            EventKind::Ended,
            Some(CallStatus::Completed),
            "ended",
            "ended",
        ),
        (
            resource(ENDED, without("call_status")),
            after(1, 0),
            EventKind::Ended,
            Some(CallStatus::Completed),
            "ended",
            "unknown",
        ),
        (
            resource(ANALYZED, |_| ()),
            after(0, 1),
            EventKind::Report,
            Some(CallStatus::Completed),
            "report",
            "ended",
        ),
        (
            resource(NO_ANSWER, |_| ()),
            after(0, 0),
            EventKind::Report,
            Some(CallStatus::NoAnswer),
            "report/unanalyzed",
            "not_connected",
        ),
        (
            resource(ENDED, |call| call["call_status"] = json!("error")),
            after(1, 0),
            EventKind::Ended,
            Some(CallStatus::Completed),
            "ended",
            "error",
        ),
    ] {
        let incoming = read_resource(&body, received_at).expect("readable");
        assert_eq!(incoming.event_key, format!("{CALL}/sweep/{key}"));
        assert_eq!(incoming.message_type, format!("api.call/{message_type}"));
        assert_eq!(incoming.provider_call_id.as_deref(), Some(CALL));
        assert_eq!((incoming.event.kind, incoming.event.facts.status), (kind, status), "{key}");
    }
}

#[test]
fn a_fetched_call_tells_what_its_webhooks_told() {
    let body = resource(ANALYZED, |_| ());
    let swept = crate::incoming::read(Provider::Retell, Origin::Sweep, &body, received());
    assert_eq!(swept.expect("readable").event, read_ok(ANALYZED).event);
    let body = resource(ENDED, |_| ());
    assert_eq!(read_resource(&body, received()).expect("readable").event, read_ok(ENDED).event);
    let body = resource(STARTED, |_| ());
    assert_eq!(read_resource(&body, received()).expect("readable").event, read_ok(STARTED).event);
}
