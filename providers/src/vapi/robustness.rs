//! Nothing that arrives makes the readers panic, and what they read stays within its bounds.

use chrono::{DateTime, TimeZone, Utc};
use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{auth, read, read_resource, reply};
use crate::incoming::{
    Incoming, MAX_CALL_ID_BYTES, MAX_EVENT_KEY_BYTES, MAX_MESSAGE_TYPE_CHARS, Unreadable,
};

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        &[$(include_bytes!(concat!("../../../tests/fixtures/vapi/", $name)) as &[u8]),*]
    };
}

const FIXTURES: &[&[u8]] = fixtures![
    "assistant_request.json",
    "conversation_update.json",
    "create_call_response_201.json",
    "end_of_call_report.json",
    "end_of_call_report_outbound_no_answer.json",
    "end_of_call_report_schema_minimal.json",
    "hang.json",
    "status_update_ended.json",
    "status_update_queued.json",
    "tool_calls.json",
    "transcript_final_bracket_type.json",
    "transfer_destination_request.json",
    "unknown_future_type.json",
];

fn received() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 15, 2, 17).single().expect("exists")
}

/// Reads a body in every way, twice.
fn read_all(body: &[u8]) -> Result<(), TestCaseError> {
    for read in [read, read_resource] {
        let once: Result<Incoming, Unreadable> = read(body, received());
        prop_assert_eq!(&once, &read(body, received()), "pure");
        if let Ok(incoming) = once {
            prop_assert!(incoming.event_key.len() <= MAX_EVENT_KEY_BYTES);
            prop_assert!(incoming.message_type.chars().count() <= MAX_MESSAGE_TYPE_CHARS);
            let id = incoming.provider_call_id.unwrap_or_default();
            prop_assert!(id.len() <= MAX_CALL_ID_BYTES);
            prop_assert!(!incoming.event.kind.is_of_call() || !id.is_empty());
        }
    }
    prop_assert_eq!(reply(body, Some("a")), reply(body, Some("a")));
    Ok(())
}

/// One value of a fixture, found by chance, replaced.
fn replace(value: &mut Value, mut place: usize, by: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let index = place % (fields.len() + 1);
            place /= fields.len() + 1;
            match fields.values_mut().nth(index) {
                Some(inner) => replace(inner, place, by),
                None => *value = by.clone(),
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            let (count, index) = (entries.len(), place % entries.len());
            replace(&mut entries[index], place / count, by);
        }
        _ => *value = by.clone(),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!([])),
        Just(json!([null, 1, "x", {}, []])),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9TZ:.+-]{0,30}".prop_map(Value::from),
        Just(json!("x".repeat(10_000))),
        Just(json!("+262142-12-31T23:59:59.999999999Z")),
    ]
}

/// Any JSON, with fields that the reader looks at more often than chance.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9:.+-]{0,12}".prop_map(Value::from),
        Just(json!("ended")),
        Just(json!("2026-11-20T15:00:00Z")),
    ];
    let names = prop::sample::select(vec![
        "call",
        "id",
        "type",
        "status",
        "timestamp",
        "startedAt",
        "endedAt",
        "artifact",
        "messages",
        "role",
        "customer",
        "number",
        "durationSeconds",
        "cost",
        "recording",
        "mono",
        "endedReason",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..6).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_message_is_read_or_refused(
        message in any_json(),
        kind in prop::sample::select(vec!["status-update", "end-of-call-report", "hang", "x"]),
    ) {
        let mut message = message;
        if let Some(fields) = message.as_object_mut() {
            fields.insert("type".to_owned(), json!(kind));
        }
        read_all(message.to_string().as_bytes())?;
        read_all(json!({ "message": message }).to_string().as_bytes())?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&body)?;
    }

    #[test]
    fn any_text_is_read_or_refused(body in r#"[{}\[\]":,0-9a-z\\ ]{0,200}"#) {
        read_all(body.as_bytes())?;
    }

    #[test]
    fn damaged_fixtures_are_read_or_refused(
        fixture in prop::sample::select(FIXTURES),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut body = fixture.to_vec();
        for (place, byte) in damage {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        read_all(&body)?;
    }

    #[test]
    fn fixtures_with_other_values_are_read_or_refused(
        fixture in prop::sample::select(FIXTURES),
        changes in prop::collection::vec((any::<usize>(), any_value()), 1..6),
        unwrapped in any::<bool>(),
    ) {
        let mut body: Value = serde_json::from_slice(fixture).expect("a fixture");
        if unwrapped && let Some(call) = body.pointer("/message/call") {
            body = call.clone();
        }
        for (place, by) in changes {
            replace(&mut body, place, &by);
        }
        read_all(body.to_string().as_bytes())?;
    }

    #[test]
    fn no_header_makes_the_check_panic_or_pass(
        names in prop::collection::vec(
            prop::sample::select(vec![
                "x-signature", "x-timestamp", "x-vapi-signature", "x-vapi-secret", "authorization",
            ]),
            0..5,
        ),
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 5),
        plan in r#"[a-z{}.]{0,20}(\{body\})?[{}a-z.]{0,9}"#,
        body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let headers: HeaderMap = names
            .iter()
            .zip(&values)
            .filter_map(|(name, value)| {
                let value = HeaderValue::from_bytes(value).ok()?;
                Some((HeaderName::from_static(name), value))
            })
            .collect();
        let secret = [SecretString::from("a secret that chance does not find")];
        let plan = auth::HmacPlan { payload_format: plan, ..Default::default() };
        prop_assert!(auth::verify(&headers, &body, &secret, &plan, received()).is_err());
    }
}
