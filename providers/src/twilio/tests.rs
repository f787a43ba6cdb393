use std::collections::BTreeMap;

use chrono::TimeZone;
use contract::{call::Direction, merge::fold};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::incoming::MessageState;
use crate::incoming::{MAX_EVENT_KEY_BYTES, MAX_MESSAGE_TYPE_CHARS};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/twilio/", $name))
    };
}

const CALL: &str = "CA1234567890abcdef1234567890abcdef";
const MESSAGE: &str = "SM1234567890abcdef1234567890abcdef";
const MEDIA: &str = "https://api.twilio.com/2010-04-01/Accounts/\
                     AC00000000000000000000000000000001/Recordings/\
                     RE1234567890abcdef1234567890abcdef.wav";
const INITIATED: &[u8] = fixture!("voice_status_initiated.form");
const RINGING: &[u8] = fixture!("voice_status_ringing.form");
const ANSWERED: &[u8] = fixture!("voice_status_answered.form");
const COMPLETED: &[u8] = fixture!("voice_status_completed.form");
const RECORDED: &[u8] = fixture!("recording_status_completed.form");
const FIXTURES: [&[u8]; 10] = [
    INITIATED,
    RINGING,
    ANSWERED,
    COMPLETED,
    RECORDED,
    fixture!("voice_status_busy.form"),
    fixture!("voice_status_failed.form"),
    fixture!("recording_status_absent.form"),
    fixture!("sms_status_undelivered.form"),
    fixture!("dial_action_completed.form"),
];

fn second(second: i64) -> DateTime<Utc> {
    let start = Utc.with_ymd_and_hms(2026, 11, 20, 15, 0, 0).single().expect("exists");
    start + TimeDelta::seconds(second)
}

fn received() -> DateTime<Utc> {
    second(137)
}

fn read_ok(body: impl AsRef<[u8]>) -> Incoming {
    read(body.as_ref(), received()).expect("readable")
}

fn status_of(body: impl AsRef<[u8]>) -> (EventKind, Option<CallStatus>) {
    let event = read_ok(body).event;
    (event.kind, event.facts.status)
}

/// A fixture with one parameter replaced, or left out.
fn changed(form: &[u8], name: &str, value: Option<&str>) -> Vec<u8> {
    let pairs = url::form_urlencoded::parse(form).filter(|(known, _)| known != name);
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs).extend_pairs(value.map(|value| (name, value)));
    form.finish().into_bytes()
}

#[test]
fn the_last_callback_tells_everything() {
    let incoming = read_ok(COMPLETED);
    assert_eq!(incoming.message_type, "call/completed");
    assert_eq!(incoming.provider_call_id.as_deref(), Some(CALL));
    assert_eq!(incoming.event_key, format!("{CALL}/status/3"));
    assert_eq!(incoming.message, None);
    assert_eq!(incoming.event.kind, EventKind::Report);
    assert_eq!(incoming.event.at, second(134) + TimeDelta::milliseconds(3));
    let expected = CallFacts {
        status: Some(CallStatus::Completed),
        direction: Some(Direction::Outbound),
        from_number: Some("+14155550100".to_owned()),
        to_number: Some("+14155552671".to_owned()),
        started_at: Some(second(7)),
        ended_at: Some(second(134)),
        duration_seconds: Some(127),
        ended_reason: Some("completed".to_owned()),
        recording_urls: Some(vec![MEDIA.to_owned()]),
        ..CallFacts::default()
    };
    assert_eq!(incoming.event.facts, expected);
}

#[test]
fn progress_opens_a_call_and_only_its_answer_is_the_start() {
    for (body, status, key, started_at) in [
        (INITIATED, CallStatus::Queued, 0, None),
        (RINGING, CallStatus::Ringing, 1, None),
        (ANSWERED, CallStatus::InProgress, 2, Some(second(7))),
    ] {
        let incoming = read_ok(body);
        assert_eq!(incoming.event.kind, EventKind::Progress);
        assert_eq!(incoming.event.facts.status, Some(status));
        assert_eq!(incoming.event.facts.started_at, started_at);
        assert_eq!(incoming.event.facts.ended_at, None);
        assert_eq!(incoming.event_key, format!("{CALL}/status/{key}"));
    }
    let bare = read_ok(fixture!("voice_inbound.form"));
    assert_eq!(bare.event_key, format!("{CALL}/status/ringing"));
    assert_eq!((bare.event.kind, bare.event.at), (EventKind::Progress, received()));
    assert_eq!(bare.event.facts.direction, Some(Direction::Inbound));
}

#[test]
fn calls_that_nobody_answered_end_with_no_seconds_and_a_reason() {
    for (body, status, reason, end) in [
        (fixture!("voice_status_busy.form").as_slice(), CallStatus::Busy, "busy", 9),
        (fixture!("voice_status_no_answer.form"), CallStatus::NoAnswer, "no-answer", 65),
        (fixture!("voice_status_failed.form"), CallStatus::Failed, "failed/404", 3),
    ] {
        let CallEvent { kind, facts, .. } = read_ok(body).event;
        assert_eq!((kind, facts.status), (EventKind::Report, Some(status)));
        assert_eq!(facts.ended_reason.as_deref(), Some(reason));
        assert_eq!((facts.duration_seconds, facts.started_at), (Some(0), None));
        assert_eq!((facts.ended_at, facts.recording_urls), (Some(second(end)), None));
    }
    let failed = fixture!("voice_status_failed.form");
    let by_error = read_ok(changed(failed, "SipResponseCode", None));
    assert_eq!(by_error.event.facts.ended_reason.as_deref(), Some("failed/13224"));
    let bare = changed(&changed(failed, "SipResponseCode", None), "ErrorCode", Some(""));
    assert_eq!(read_ok(bare).event.facts.ended_reason.as_deref(), Some("failed"));
}

#[test]
fn every_documented_status_is_mapped() {
    use CallStatus as S;
    use EventKind::{Progress, Report};
    for (word, kind, status) in [
        ("queued", Progress, Some(S::Queued)),
        ("initiated", Progress, Some(S::Queued)),
        ("ringing", Progress, Some(S::Ringing)),
        ("in-progress", Progress, Some(S::InProgress)),
        ("answered", Progress, Some(S::InProgress)),
        ("completed", Report, Some(S::Completed)),
        ("busy", Report, Some(S::Busy)),
        ("failed", Report, Some(S::Failed)),
        ("no-answer", Report, Some(S::NoAnswer)),
        ("canceled", Report, Some(S::Canceled)),
        ("transferred", Progress, None),
    ] {
        let body = changed(COMPLETED, "CallStatus", Some(word));
        assert_eq!(status_of(body), (kind, status), "{word}");
    }
}

#[test]
fn without_a_number_the_status_is_the_key_and_the_receipt_the_time() {
    let unnumbered = changed(COMPLETED, "SequenceNumber", None);
    let unnumbered = changed(&changed(&unnumbered, "Timestamp", None), "CallbackSource", None);
    let incoming = read_ok(&unnumbered);
    assert_eq!(incoming.event_key, format!("{CALL}/status/completed"));
    let CallEvent { kind, at, facts } = incoming.event;
    assert_eq!((kind, at), (EventKind::Report, received()));
    assert_eq!((facts.started_at, facts.ended_at), (None, None));
    assert_eq!(facts.duration_seconds, Some(127));
    let odd = read_ok(changed(COMPLETED, "SequenceNumber", Some("x")));
    assert_eq!(odd.event_key, format!("{CALL}/status/completed"));
    let huge = read_ok(changed(COMPLETED, "SequenceNumber", Some("4294967295")));
    assert_eq!(huge.event.at, second(134) + TimeDelta::milliseconds(999));
}

#[test]
fn the_sequence_number_decides_within_a_second() {
    let at_once = |form, answered_by| {
        let form = changed(form, "Timestamp", Some("Fri, 20 Nov 2026 15:00:02 +0000"));
        read_ok(changed(&form, "AnsweredBy", Some(answered_by))).event
    };
    let (ringing, answered) = (at_once(RINGING, "unknown"), at_once(ANSWERED, "human"));
    let expected = Some(json!({"answered_by": "human"}));
    assert_eq!(fold([&ringing, &answered]).metadata, expected);
    assert_eq!(fold([&answered, &ringing]).metadata, expected);
}

/// Otherwise a caller who hung up during a `<Dial>` would end as a call of no seconds.
#[test]
fn a_request_for_instructions_is_not_the_end_of_a_call() {
    let dial = fixture!("dial_action_completed.form");
    let hung_up = read_ok(changed(dial, "CallStatus", Some("completed")));
    assert_eq!(hung_up.event.kind, EventKind::Other);
    assert_eq!(hung_up.event.facts, CallFacts::default());
    assert_eq!(hung_up.provider_call_id.as_deref(), Some(CALL));
    assert!(hung_up.event_key.starts_with("other/sha256:"), "{}", hung_up.event_key);
    assert_eq!(status_of(dial), (EventKind::Progress, Some(CallStatus::InProgress)));
    let inbound = changed(dial, "CallStatus", Some("completed"));
    let inbound = changed(&inbound, "CallDuration", Some("0"));
    assert_eq!(status_of(inbound), (EventKind::Report, Some(CallStatus::Completed)));
}

#[test]
fn a_finished_recording_tells_its_link_and_nothing_of_the_call() {
    let incoming = read_ok(RECORDED);
    assert_eq!(incoming.message_type, "recording/completed");
    assert_eq!(incoming.provider_call_id.as_deref(), Some(CALL));
    let key = format!("{CALL}/recording/RE1234567890abcdef1234567890abcdef/completed");
    assert_eq!(incoming.event_key, key);
    assert_eq!((incoming.event.kind, incoming.event.at), (EventKind::Progress, second(133)));
    let link = Some(vec![MEDIA.to_owned()]);
    assert_eq!(incoming.event.facts, CallFacts { recording_urls: link, ..CallFacts::default() });
    let absent = read_ok(fixture!("recording_status_absent.form"));
    assert_eq!((absent.event.kind, absent.event.facts), (EventKind::Other, CallFacts::default()));
    assert_eq!(absent.provider_call_id.as_deref(), Some(CALL));
    for (name, value) in [
        ("RecordingStatus", Some("in-progress")),
        ("RecordingStatus", Some("failed")),
        ("RecordingUrl", Some("javascript:x")),
        ("RecordingUrl", None),
        ("CallSid", None),
    ] {
        let kind = read_ok(changed(RECORDED, name, value)).event.kind;
        assert_eq!(kind, EventKind::Other, "{name} {value:?}");
    }
}

#[test]
fn media_links_end_in_their_format() {
    let media = |text| facts::media_url(text);
    assert_eq!(media("https://a.example/RE1").as_deref(), Some("https://a.example/RE1.wav"));
    assert_eq!(media("https://a.example/RE1.mp3").as_deref(), Some("https://a.example/RE1.mp3"));
    let stereo = "https://a.example/RE1.wav?RequestedChannels=2";
    assert_eq!(media("https://a.example/RE1?RequestedChannels=2").as_deref(), Some(stereo));
    assert_eq!(media("ftp://a.example/RE1"), None);
    assert_eq!(media(&format!("https://a.example/{}", "x".repeat(9000))), None);
}

/// Every subset of a call's events, in every order, received at other times, the first one again.
#[test]
fn every_order_subset_and_repetition_folds_the_same() {
    const BODIES: [&[u8]; 5] = [INITIATED, RINGING, ANSWERED, COMPLETED, RECORDED];
    let mut records: BTreeMap<u32, CallFacts> = BTreeMap::new();
    let mut orders = vec![(0_u32, Vec::new())];
    while let Some((subset, events)) = orders.pop() {
        let repeated = events.iter().chain(events.first());
        let record = fold(repeated);
        assert_eq!(records.entry(subset).or_insert_with(|| record.clone()), &record, "{subset:b}");
        for (index, body) in BODIES.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 0)
        {
            let mut longer = events.clone();
            let late = second(10 * i64::try_from(events.len()).expect("few"));
            longer.push(read(body, late).expect("readable").event);
            orders.push((subset | 1 << index, longer));
        }
    }
    assert_eq!(records.len(), 32);
    let whole = &records[&0b11111];
    assert_eq!(*whole, read_ok(COMPLETED).event.facts, "the last callback knows it all");
    for (subset, record) in &records {
        let has = |index: u32| subset >> index & 1 == 1;
        let expected = [CallStatus::Queued, CallStatus::Ringing, CallStatus::InProgress];
        let furthest = (0..3).rev().find(|index| has(*index)).map(|index| expected[index as usize]);
        let status = if has(3) { Some(CallStatus::Completed) } else { furthest };
        assert_eq!(record.status, status, "{subset:b}");
        assert_eq!(record.ended_at.is_some(), has(3), "{subset:b}");
        assert_eq!(record.duration_seconds, has(3).then_some(127), "{subset:b}");
        assert_eq!(record.recording_urls.is_some(), has(3) || has(4), "{subset:b}");
        assert_eq!(record.started_at, (has(2) || has(3)).then(|| second(7)), "{subset:b}");
    }
}

#[test]
fn messages_are_taken_or_lost() {
    let delivered = read_ok(fixture!("sms_status_delivered.form"));
    assert_eq!(delivered.message_type, "message/delivered");
    assert_eq!(delivered.provider_call_id, None);
    assert_eq!(delivered.event_key, format!("{MESSAGE}/delivered"));
    assert_eq!(delivered.event.kind, EventKind::Message);
    let fate = |state, code: Option<&str>| MessageFate {
        provider_id: MESSAGE.to_owned(),
        state,
        error_code: code.map(str::to_owned),
    };
    assert_eq!(delivered.message, Some(fate(MessageState::Taken, None)));
    let lost = read_ok(fixture!("sms_status_undelivered.form"));
    assert_eq!(lost.message, Some(fate(MessageState::Lost, Some("30003"))));
    let old = read_ok(format!("SmsSid={MESSAGE}&SmsStatus=failed&ErrorCode=0"));
    assert_eq!(old.message, Some(fate(MessageState::Lost, None)));

    for word in ["accepted", "scheduled", "queued", "sending", "sent", "delivered", "read"] {
        assert_eq!(status::message_state(word), Some(MessageState::Taken), "{word}");
    }
    for word in ["partially_delivered", "receiving", "received"] {
        assert_eq!(status::message_state(word), Some(MessageState::Taken), "{word}");
    }
    for word in ["undelivered", "failed", "canceled"] {
        assert_eq!(status::message_state(word), Some(MessageState::Lost), "{word}");
    }
    let new = read_ok(format!("MessageSid={MESSAGE}&MessageStatus=teleported"));
    assert_eq!((new.event.kind, new.message), (EventKind::Other, None));
    let of_call = read_ok(format!("MessageSid={MESSAGE}&MessageStatus=sent&CallSid={CALL}"));
    assert_eq!((of_call.event.kind, of_call.message), (EventKind::Other, None));
}

#[test]
fn json_with_the_same_names_reads_the_same() {
    for form in FIXTURES {
        let pairs = url::form_urlencoded::parse(form).into_owned();
        let object: serde_json::Map<String, Value> =
            pairs.map(|(name, value)| (name, json!(value))).collect();
        let by_json = read_ok(Value::Object(object).to_string());
        assert_eq!(by_json, read_ok(form));
    }
}

#[test]
fn what_cannot_be_used_says_why() {
    let why = |body: &[u8]| read(body, received()).expect_err("unreadable");
    assert_eq!(why(b"<html>"), Unreadable::NotForm);
    assert_eq!(why(b"CallSid=CA1&CallStatus=completed%00"), Unreadable::Nul);
    let problem = "is missing or not usable";
    for body in [
        "CallStatus=ringing".to_owned(),
        format!("CallStatus=busy&CallDuration=0&CallSid={}", "x".repeat(201)),
    ] {
        assert_eq!(why(body.as_bytes()), Unreadable::Field { path: "CallSid", problem });
    }
    let long = format!("SmsStatus=sent&SmsSid={}", "x".repeat(201));
    assert!(matches!(why(long.as_bytes()), Unreadable::Field { path: "MessageSid", .. }));
    for (path, body) in [
        ("call", json!({"recordings": []})),
        ("call.sid", json!({"call": {"status": "busy"}})),
        ("call.status", json!({"call": {"sid": "CA1"}})),
    ] {
        let error = read_resource(body.to_string().as_bytes(), received());
        assert_eq!(error, Err(Unreadable::Field { path, problem }));
    }
}

fn resource() -> Value {
    json!({
        "call": {
            "sid": CALL, "status": "completed", "direction": "outbound-api",
            "from": "+14155550100", "to": "+14155552671", "duration": "127",
            "date_created": "Fri, 20 Nov 2026 15:00:00 +0000",
            "start_time": "Fri, 20 Nov 2026 15:00:07 +0000",
            "end_time": "Fri, 20 Nov 2026 15:02:14 +0000",
            "date_updated": "Fri, 20 Nov 2026 15:10:00 +0000",
            "price": "-0.02600", "price_unit": "USD", "answered_by": "human",
        },
        "recordings": [
            {"sid": "RE0", "status": "processing",
             "uri": "/2010-04-01/Accounts/AC1/Recordings/RE0.json"},
            {"sid": "RE1", "status": "completed", "media_url": null,
             "uri": "/2010-04-01/Accounts/AC1/Calls/CA1/Recordings/RE1.json"},
            {"sid": "RE2", "status": "completed", "media_url": "https://api.twilio.com/AC1/RE2"},
            {"sid": "RE3", "status": "completed", "uri": "@evil.example/RE3"},
        ],
    })
}

fn fetched(body: &Value) -> Incoming {
    read_resource(body.to_string().as_bytes(), received()).expect("readable")
}

#[test]
fn a_fetched_call_tells_everything_at_once() {
    let incoming = fetched(&resource());
    assert_eq!(incoming.message_type, "api.call/completed");
    assert_eq!(incoming.provider_call_id.as_deref(), Some(CALL));
    assert_eq!(incoming.event_key, format!("{CALL}/sweep/report"));
    assert_eq!((incoming.event.kind, incoming.event.at), (EventKind::Report, second(134)));
    let recordings = [
        "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1.wav",
        "https://api.twilio.com/AC1/RE2.wav",
    ];
    let expected = CallFacts {
        created_at: Some(second(0)),
        cost_usd: Some("0.026".parse().expect("a number")),
        metadata: Some(json!({"answered_by": "human"})),
        recording_urls: Some(recordings.map(str::to_owned).to_vec()),
        ..read_ok(COMPLETED).event.facts
    };
    assert_eq!(incoming.event.facts, expected);
}

#[test]
fn a_fetched_call_that_goes_on_or_was_never_answered_has_no_more_than_that() {
    let mut body = resource();
    body["call"]["status"] = json!("in-progress");
    body["call"]["end_time"] = Value::Null;
    let running = fetched(&body);
    assert_eq!(running.event_key, format!("{CALL}/sweep/in-progress"));
    assert_eq!(running.message_type, "api.call/in-progress");
    assert_eq!(running.event.kind, EventKind::Progress);
    assert_eq!(running.event.facts.started_at, Some(second(7)));
    assert_eq!(running.event.facts.duration_seconds, None);
    body["call"]["status"] = json!("no-answer");
    body["call"]["duration"] = json!("0");
    let missed = fetched(&body).event;
    assert_eq!((missed.kind, missed.at), (EventKind::Report, second(600)));
    assert_eq!((missed.facts.started_at, missed.facts.duration_seconds), (None, Some(0)));
    body["call"]["status"] = json!("somewhere");
    let unknown = fetched(&body);
    assert_eq!(unknown.event_key, format!("{CALL}/sweep/somewhere"));
    assert_eq!((unknown.event.kind, unknown.event.facts.status), (EventKind::Progress, None));
}

#[test]
fn durations_and_prices_are_taken_where_they_are_believable() {
    let with = |name: &str, value: Value| {
        let mut body = resource();
        body["call"][name] = value;
        fetched(&body).event.facts
    };
    assert_eq!(with("duration", Value::Null).duration_seconds, Some(127));
    assert_eq!(with("duration", json!("x")).duration_seconds, Some(127));
    assert_eq!(with("duration", json!(-5)).duration_seconds, Some(0));
    assert_eq!(with("start_time", Value::Null).started_at, Some(second(7)));
    for (price, cost) in [
        (json!(-0.5), Some("0.5")),
        (json!("0.0"), Some("0")),
        (json!("-0.00000049"), Some("0")),
        (Value::Null, None),
        (json!(""), None),
        (json!("free"), None),
        (json!("-1000000"), None),
        (json!(1e300), None),
    ] {
        let cost = cost.map(|cost| cost.parse().expect("a number"));
        assert_eq!(with("price", price.clone()).cost_usd, cost, "{price}");
    }
    assert_eq!(with("price_unit", json!("EUR")).cost_usd, None);
    assert_eq!(with("price_unit", Value::Null).cost_usd, None);
}

#[test]
fn a_sweep_and_the_callbacks_make_one_record_in_any_order() {
    let swept = fetched(&resource()).event;
    let events = [RINGING, ANSWERED, COMPLETED, RECORDED].map(|body| read_ok(body).event);
    let forward = fold(events.iter().chain([&swept]));
    let backward = fold([&swept].into_iter().chain(events.iter().rev()));
    assert_eq!(forward, backward);
    assert_eq!((forward.duration_seconds, forward.started_at), (Some(127), Some(second(7))));
    assert!(forward.cost_usd.is_some() && forward.created_at.is_some());
}

fn assert_bounded(result: Result<Incoming, Unreadable>) {
    let Ok(incoming) = result else { return };
    assert!(incoming.event_key.len() <= MAX_EVENT_KEY_BYTES);
    assert!(incoming.message_type.chars().count() <= MAX_MESSAGE_TYPE_CHARS);
    assert!(incoming.provider_call_id.is_none_or(|id| id.len() <= MAX_CALL_ID_BYTES));
    let text = serde_json::to_string(&incoming.event).expect("an event");
    assert!(!text.contains("\\u0000"), "{text}");
    assert_eq!(incoming.message.is_some(), incoming.event.kind == EventKind::Message);
    fold([&incoming.event]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
        assert_bounded(read(&body, received()));
        assert_bounded(read_resource(&body, received()));
    }

    #[test]
    fn damaged_fixtures_are_read_or_refused(
        form in prop::sample::select(FIXTURES.to_vec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
    ) {
        let mut body = form.to_vec();
        for (index, byte) in damage {
            let at = index.index(body.len());
            body[at] = byte;
        }
        assert_bounded(read(&body, received()));
        body.truncate(length.index(body.len()));
        assert_bounded(read(&body, received()));
    }

    #[test]
    fn odd_values_are_read_or_refused(
        name in prop::sample::select(vec!["CallSid", "CallStatus", "SequenceNumber", "Timestamp",
            "CallDuration", "RecordingUrl", "RecordingSid", "RecordingStatus", "RecordingDuration",
            "RecordingStartTime", "MessageSid", "MessageStatus", "Direction", "SipResponseCode"]),
        value in prop_oneof![
            "\\PC{0,900}",
            "[0-9]{1,12}",
            Just("Mon, 31 Dec 262142 23:59:59 +0000".to_owned()),
        ],
        form in prop::sample::select(FIXTURES.to_vec()),
    ) {
        assert_bounded(read(&changed(form, name, Some(&value)), received()));
    }

    #[test]
    fn odd_resources_are_read_or_refused(
        name in prop::sample::select(vec!["sid", "status", "duration", "price", "price_unit",
            "start_time", "end_time", "date_created", "direction", "from"]),
        value in prop_oneof![
            "\\PC{0,900}".prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(|number| json!(number.to_string())),
            Just(json!([{}])),
        ],
    ) {
        let mut body = resource();
        body["call"][name] = value.clone();
        body["recordings"][1]["uri"] = value;
        assert_bounded(read_resource(body.to_string().as_bytes(), received()));
    }
}
