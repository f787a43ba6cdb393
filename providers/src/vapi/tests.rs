use chrono::TimeZone;
use contract::{call::Direction, merge::fold};
use serde_json::json;

use super::*;
use crate::incoming::{MAX_EVENT_KEY_BYTES, MAX_MESSAGE_TYPE_CHARS};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/vapi/", $name))
    };
}

const CALL: &str = "019aa141-4449-7775-8d7e-006f2a64e546";
const REPORT: &[u8] = fixture!("end_of_call_report.json");

fn received() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 15, 2, 17).single().expect("exists")
}

fn read_ok(body: impl AsRef<[u8]>) -> Incoming {
    read(body.as_ref(), received()).expect("readable")
}

fn why(body: impl AsRef<[u8]>) -> Unreadable {
    read(body.as_ref(), received()).expect_err("unreadable")
}

/// The report with a change made to its message.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut root: Value = serde_json::from_slice(REPORT).expect("a fixture");
    change(&mut root["message"]);
    root.to_string().into_bytes()
}

#[test]
fn a_report_tells_everything() {
    let incoming = read_ok(REPORT);
    assert_eq!(incoming.message_type, "end-of-call-report");
    assert_eq!(incoming.provider_call_id.as_deref(), Some(CALL));
    assert_eq!(incoming.event_key, format!("{CALL}/end-of-call-report/customer-ended-call"));
    let CallEvent { kind, at, facts } = incoming.event;
    assert_eq!(kind, EventKind::Report);
    assert_eq!(at.timestamp_millis(), 1_795_186_935_898);
    assert_eq!(facts.status, Some(CallStatus::Completed));
    assert_eq!(facts.direction, Some(Direction::Inbound));
    assert_eq!(facts.from_number.as_deref(), Some("+14155552671"));
    assert_eq!(facts.to_number.as_deref(), Some("+14155550100"));
    assert_eq!(
        facts.provider_assistant_id.as_deref(),
        Some("15867747-f6fd-42b3-a353-63687fecc2b4")
    );
    assert_eq!(
        facts.provider_phone_number_id.as_deref(),
        Some("9285f1a8-b62f-4ff0-89ab-bdaa8f298d15")
    );
    assert_eq!(
        facts.created_at.map(|at| at.to_rfc3339()),
        Some("2026-11-20T15:00:00+00:00".into())
    );
    assert_eq!(facts.duration_seconds, Some(128));
    assert_eq!(facts.ended_reason.as_deref(), Some("customer-ended-call"));
    assert_eq!(facts.cost_usd.map(|cost| cost.to_string()), Some("0.2118".into()));
    assert!(facts.summary.is_some_and(|summary| summary.starts_with("The caller booked")));
    assert!(facts.transcript.is_some_and(|transcript| transcript.starts_with("AI: Hello")));
    assert_eq!(facts.structured_data.map(|data| data["people"].clone()), Some(json!(4)));
    assert_eq!(facts.metadata.map(|data| data["campaign"].clone()), Some(json!("demo")));
    let base = format!("https://storage.vapi.ai/{CALL}-1795186930000");
    let urls = vec![format!("{base}-mono.wav"), format!("{base}-stereo.wav")];
    assert_eq!(facts.recording_urls, Some(urls));
}

#[test]
fn the_prompt_is_no_part_of_the_messages() {
    let messages = read_ok(REPORT).event.facts.messages.expect("messages");
    let roles: Vec<&str> =
        messages.as_array().expect("a list").iter().filter_map(|m| m["role"].as_str()).collect();
    assert_eq!(roles, ["bot", "user", "tool_calls", "tool_call_result", "bot", "user"]);
}

#[test]
fn every_fixture_has_its_kind() {
    use CallStatus::{Completed, InProgress, NoAnswer, Queued, Ringing};
    use EventKind::{Ended, Other, Progress, Report};
    let cases: [(&[u8], &str, EventKind, Option<CallStatus>); 16] = [
        (fixture!("status_update_queued.json"), "status-update/queued", Progress, Some(Queued)),
        (fixture!("status_update_ringing.json"), "status-update/ringing", Progress, Some(Ringing)),
        (
            fixture!("status_update_in_progress.json"),
            "status-update/in-progress",
            Progress,
            Some(InProgress),
        ),
        (fixture!("status_update_ended.json"), "status-update/ended", Ended, Some(Completed)),
        (fixture!("hang.json"), "hang", Progress, None),
        (REPORT, "end-of-call-report", Report, Some(Completed)),
        (
            fixture!("end_of_call_report_outbound_no_answer.json"),
            "end-of-call-report",
            Report,
            Some(NoAnswer),
        ),
        (
            fixture!("end_of_call_report_provider_error.json"),
            "end-of-call-report",
            Report,
            Some(NoAnswer),
        ),
        (
            fixture!("end_of_call_report_schema_minimal.json"),
            "end-of-call-report",
            Report,
            Some(Completed),
        ),
        (fixture!("assistant_request.json"), "assistant-request", Other, None),
        (fixture!("conversation_update.json"), "conversation-update", Other, None),
        (fixture!("tool_calls.json"), "tool-calls", Other, None),
        (fixture!("transcript_final.json"), "transcript", Other, None),
        (fixture!("transcript_final_bracket_type.json"), "transcript", Other, None),
        (fixture!("speech_update.json"), "speech-update", Other, None),
        (fixture!("unknown_future_type.json"), "assistant.somethingNew", Other, None),
    ];
    for (body, message_type, kind, status) in cases {
        let incoming = read_ok(body);
        assert_eq!(incoming.message_type, message_type);
        assert_eq!((incoming.event.kind, incoming.event.facts.status), (kind, status));
        assert!(incoming.provider_call_id.is_some(), "{message_type}");
    }
}

/// Every `type` of the SDK's server messages, the older and the undocumented ones seen in the wild.
const TYPES: [&str; 36] = [
    "assistant-request",
    "assistant-speech",
    "assistant.speechStarted",
    "assistant.started",
    "call.artifact.upload",
    "call.delete.failed",
    "call.deleted",
    "call.endpointing.request",
    "campaign.predial",
    "chat.created",
    "chat.deleted",
    "conversation-update",
    "end-of-call-report",
    "function-call",
    "handoff-destination-request",
    "hang",
    "knowledge-base-request",
    "language-change-detected",
    "language-changed",
    "model-output",
    "phone-call-control",
    "session.created",
    "session.deleted",
    "session.updated",
    "speech-update",
    "status-update",
    "tool-calls",
    "transcript",
    "transcript[transcriptType=\"final\"]",
    "transcript[transcriptType='partial']",
    "transfer-destination-request",
    "transfer-update",
    "user-interrupted",
    "voice-input",
    "voice-request",
    "workflow.node.started",
];

#[test]
fn every_message_type_is_read_and_only_lifecycle_drives() {
    for written in TYPES {
        let call = json!({ "id": CALL, "status": "in-progress" });
        let mut message = json!({ "type": written, "timestamp": 1_795_186_809_600_i64,
            "status": "ringing", "role": "user", "transcript": "x", "turn": 1 });
        // Without a call only what is not of a call's life can come; neither is parked.
        for with_call in [false, true] {
            let kind = match written {
                "status-update" | "hang" => EventKind::Progress,
                "end-of-call-report" => EventKind::Report,
                _ => EventKind::Other,
            };
            if with_call {
                message["call"] = call.clone();
            } else if kind != EventKind::Other {
                continue;
            }
            let incoming = read_ok(json!({ "message": message }).to_string());
            assert_eq!(incoming.event.kind, kind, "{written}");
            let expected = match written {
                "status-update" => "status-update/ringing",
                _ if written.starts_with("transcript") => "transcript",
                _ => written,
            };
            assert_eq!(incoming.message_type, expected);
            assert_eq!(incoming.provider_call_id.is_some(), with_call, "{written}");
            if kind == EventKind::Other {
                assert_eq!(incoming.event.facts, Default::default(), "{written}");
            }
        }
    }
}

#[test]
fn every_status_is_read() {
    use CallStatus::{Completed, InProgress, Queued, Ringing};
    use EventKind::{Ended, Other, Progress};
    for (written, kind, status) in [
        ("scheduled", Progress, Some(Queued)),
        ("queued", Progress, Some(Queued)),
        ("ringing", Progress, Some(Ringing)),
        ("in-progress", Progress, Some(InProgress)),
        ("forwarding", Progress, Some(InProgress)),
        ("ended", Ended, Some(Completed)),
        ("not-found", Other, None),
        ("deletion-failed", Other, None),
    ] {
        let body = json!({"message": {"type": "status-update", "status": written,
            "call": {"id": CALL}}});
        let incoming = read_ok(body.to_string());
        assert_eq!((incoming.event.kind, incoming.event.facts.status), (kind, status), "{written}");
        assert_eq!(incoming.event_key, format!("{CALL}/status-update/{written}"));
    }
}

#[test]
fn an_unanswered_call_lasts_no_time() {
    let outbound = read_ok(fixture!("end_of_call_report_outbound_no_answer.json")).event.facts;
    assert_eq!(outbound.duration_seconds, Some(0));
    assert_eq!(outbound.direction, Some(Direction::Outbound));
    assert_eq!(outbound.to_number.as_deref(), Some("+14155552671"));
    assert_eq!((outbound.transcript, outbound.messages), (None, None));
    let minimal = read_ok(fixture!("end_of_call_report_schema_minimal.json")).event;
    assert_eq!(minimal.facts.duration_seconds, Some(0));
    assert_eq!(minimal.at, received());
}

#[test]
fn durations_are_read_from_times_then_seconds_and_are_never_negative() {
    let duration = |change: fn(&mut Value)| read_ok(changed(change)).event.facts.duration_seconds;
    let without_times = |message: &mut Value| {
        for path in ["startedAt", "endedAt"] {
            message[path] = Value::Null;
            message["call"][path] = Value::Null;
        }
    };
    assert_eq!(duration(|m| m["endedAt"] = json!("2026-11-20T15:00:01.801Z")), Some(1));
    assert_eq!(duration(|m| m["endedAt"] = json!("2026-11-20T14:00:00.000Z")), Some(0));
    for (written, seconds) in [
        (json!({"durationSeconds": "127.598", "durationMs": 1, "durationMinutes": 9}), 128),
        (json!({"durationSeconds": 60}), 60),
        (json!({"durationSeconds": -3, "durationMs": 1}), 0),
        (json!({"durationSeconds": [], "durationMs": 127_598}), 128),
        (json!({"durationMs": 60_000, "durationMinutes": 9}), 60),
        (json!({"durationSeconds": null, "durationMinutes": 2.1266}), 128),
        (json!({"durationMinutes": 1.1}), 66),
        (json!({"durationMinutes": 1e300}), u32::MAX),
        (json!({"durationSeconds": "x"}), 0),
        (json!({}), 0),
    ] {
        let body = changed(|message| {
            without_times(message);
            for name in ["durationSeconds", "durationMs", "durationMinutes"] {
                message[name] = written[name].clone();
            }
        });
        assert_eq!(read_ok(body).event.facts.duration_seconds, Some(seconds), "{written}");
    }
}

#[test]
fn times_of_different_events_fold_to_the_duration() {
    let queued = read_ok(fixture!("status_update_queued.json")).event;
    let ended = read_ok(fixture!("status_update_ended.json")).event;
    assert_eq!(fold([&queued, &ended]).duration_seconds, Some(128));
    assert_eq!(fold([&ended, &queued, &read_ok(REPORT).event]).status, Some(CallStatus::Completed));
}

#[test]
fn lasting_links_come_mono_first_and_presigned_ones_last() {
    let urls = |lasting: bool, expiry: &str| {
        let body = changed(|message| {
            if !lasting {
                for name in ["recordingUrl", "stereoRecordingUrl"] {
                    message[name] = Value::Null;
                    message["artifact"][name] = Value::Null;
                }
                message["artifact"]["recording"] = Value::Null;
            }
            message["artifact"]["presignedMonoUrl"] = json!("https://signed.example/mono");
            message["artifact"]["presignedStereoUrl"] = json!("https://signed.example/stereo");
            message["artifact"]["presignedUrlsExpiresAt"] = json!(expiry);
        });
        read_ok(body).event.facts.recording_urls
    };
    let fresh = "2026-11-20T16:00:00Z";
    let lasting = urls(true, fresh).expect("links");
    assert!(lasting[0].ends_with("-mono.wav") && lasting[1].ends_with("-stereo.wav"));
    let signed = ["https://signed.example/mono", "https://signed.example/stereo"];
    assert_eq!(lasting[2..], signed);
    assert_eq!(urls(false, fresh).as_deref(), Some(&signed.map(str::to_owned)[..]));
    assert_eq!(urls(false, "2026-11-20T15:00:00Z"), None);
    let others = changed(|message| {
        message["artifact"]["recording"]["mono"]["combinedUrl"] = json!("ftp://other.example/x");
        message["artifact"]["recordingUrl"] = json!("x".repeat(9000));
        message["recordingUrl"] = json!("https://other.example/message.wav");
    });
    let others = read_ok(others).event.facts.recording_urls.expect("links");
    assert_eq!(others[0], "https://other.example/message.wav");
}

/// A delivery of the report at a time, with links that were made for it.
fn delivery(seconds: i64) -> Incoming {
    read_ok(changed(|message| {
        message["timestamp"] = json!(1_795_186_935_898_i64 + seconds * 1000);
        for name in ["Mono", "Stereo", "Video", "Assistant", "Customer", "Pcap", "Log"] {
            message["artifact"][format!("presigned{name}Url")] =
                json!(format!("https://signed.example/{name}?at={seconds}"));
        }
        let expiry = received() + chrono::TimeDelta::seconds(3600 + seconds);
        message["artifact"]["presignedUrlsExpiresAt"] = json!(expiry);
    }))
}

#[test]
fn deliveries_with_other_presigned_links_are_one_event_and_one_record() {
    let (first, second) = (delivery(0), delivery(9));
    assert_eq!(first.event_key, second.event_key);
    assert_ne!(first.event.at, second.event.at, "they are two bodies");
    let queued = read_ok(fixture!("status_update_queued.json")).event;
    let ended = read_ok(fixture!("status_update_ended.json")).event;
    // The inbox keeps whichever came first; but for the presigned links nothing tells which it was.
    let fold = |events: &[&CallEvent]| {
        let mut facts = contract::merge::fold(events.iter().copied());
        if let Some(urls) = &mut facts.recording_urls {
            urls.truncate(2);
        }
        facts
    };
    let record = fold(&[&queued, &ended, &first.event]);
    for events in [
        vec![&queued, &ended, &second.event],
        vec![&first.event, &second.event, &ended, &queued],
        vec![&second.event, &ended, &first.event, &queued],
        vec![&second.event, &first.event, &second.event, &queued, &ended],
    ] {
        assert_eq!(fold(&events), record);
    }
    assert_eq!(record, fold(&[&queued, &ended, &read_ok(REPORT).event]));
}

#[test]
fn a_repetition_with_other_links_has_the_same_key() {
    let again = changed(|message| {
        message["timestamp"] = json!(1_795_186_999_999_i64);
        message["artifact"]["presignedMonoUrl"] = json!("https://signed.example/other");
    });
    assert_eq!(read_ok(again).event_key, read_ok(REPORT).event_key);
    let ended = fixture!("status_update_ended.json");
    assert_eq!(read_ok(ended).event_key, format!("{CALL}/status-update/ended"));
    assert_eq!(read_ok(fixture!("hang.json")).event_key, format!("{CALL}/hang/1795186820000"));
    let transcript = read_ok(fixture!("transcript_final.json")).event_key;
    assert_eq!(transcript, format!("{CALL}/transcript/1795186809600"));
}

#[test]
fn messages_without_a_call_are_told_apart_by_their_bytes() {
    let one = read_ok(r#"{"message":{"type":"chat.created","chat":{"id":"1"}}}"#);
    let two = read_ok(r#"{"message":{"type":"chat.created","chat":{"id":"2"}}}"#);
    assert!(one.event_key.starts_with("chat.created/sha256:"));
    assert_ne!(one.event_key, two.event_key);
    assert_eq!(one.provider_call_id, None);
}

#[test]
fn lifecycle_messages_need_their_call() {
    for kind in ["status-update", "end-of-call-report", "hang"] {
        for call in [json!(null), json!({}), json!({"id": ""}), json!({"id": "x".repeat(201)})] {
            let body = json!({"message": {"type": kind, "status": "ended", "call": call}});
            assert_eq!(why(body.to_string()), missing("message.call.id"), "{kind}");
        }
    }
    let no_status = json!({"message": {"type": "status-update", "call": {"id": "1"}}});
    assert_eq!(why(no_status.to_string()), missing("message.status"));
    for body in ["{}", "[]", "3", r#"{"message":[]}"#, r#"{"message":"x"}"#] {
        assert_eq!(why(body), missing("message"), "{body}");
    }
    assert_eq!(why(r#"{"message":{"type":7}}"#), missing("message.type"));
    assert_eq!(why("<html>"), Unreadable::NotJson);
    assert_eq!(why(r#"{"message":{"type":"hang\u0000"}}"#), Unreadable::Nul);
}

#[test]
fn an_unknown_status_changes_nothing_and_long_words_are_bounded() {
    let unknown = json!({"message": {"type": "status-update", "status": "not-found",
        "call": {"id": "1"}}});
    assert_eq!(read_ok(unknown.to_string()).event.kind, EventKind::Other);
    let long = "é".repeat(5000);
    for message in [
        json!({"type": long, "call": {"id": "1"}}),
        json!({"type": long}),
        json!({"type": "status-update", "status": long, "call": {"id": "1"}}),
        json!({"type": "end-of-call-report", "endedReason": long, "call": {"id": "1"}}),
    ] {
        let incoming = read_ok(json!({ "message": message }).to_string());
        assert!(incoming.event_key.len() <= MAX_EVENT_KEY_BYTES);
        assert!(incoming.message_type.chars().count() <= MAX_MESSAGE_TYPE_CHARS);
    }
}

#[test]
fn costs_are_decimals_that_the_column_holds() {
    let cost = |written: Value| {
        let body = changed(|message| {
            message["cost"] = written;
            message["call"]["cost"] = Value::Null;
            message["costBreakdown"] = Value::Null;
        });
        read_ok(body).event.facts.cost_usd.map(|cost| cost.to_string())
    };
    assert_eq!(cost(json!(0.12345678)).as_deref(), Some("0.123457"));
    assert_eq!(cost(json!("0.0105")).as_deref(), Some("0.0105"));
    for absurd in [json!(-1), json!(1e300), json!("NaN"), json!({})] {
        assert_eq!(cost(absurd), None);
    }
}
