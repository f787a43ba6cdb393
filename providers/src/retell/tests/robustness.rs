//! Nothing that anyone sends makes the reader panic or change its mind.

use proptest::prelude::*;

use super::*;
use crate::incoming::MAX_EVENT_KEY_BYTES;

/// JSON with the names that the reader looks for, holding anything.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é]{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["ended", "ongoing", "web_call", "https://x", "dial_busy"])
            .prop_map(Value::from),
    ];
    let names = prop::sample::select(NAMES.to_vec());
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..5).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

const NAMES: [&str; 18] = [
    "call_id",
    "call_status",
    "call_type",
    "direction",
    "from_number",
    "agent_id",
    "metadata",
    "start_timestamp",
    "end_timestamp",
    "duration_ms",
    "disconnection_reason",
    "call_cost",
    "combined_cost",
    "call_analysis",
    "call_summary",
    "transcript",
    "transcript_object",
    "recording_url",
];

/// Reads in every way, twice: nothing panics, and the same is read again.
fn read_all(body: &[u8]) -> Result<(), TestCaseError> {
    for at in [received(), DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        prop_assert_eq!(read(body, at), read(body, at));
        prop_assert_eq!(read_resource(body, at), read_resource(body, at));
        if let (Ok(once), Ok(swept)) = (read(body, at), read_resource(body, at)) {
            prop_assert!(once.event_key.len() <= MAX_EVENT_KEY_BYTES);
            prop_assert!(swept.event_key.len() <= MAX_EVENT_KEY_BYTES);
        }
    }
    let _ = reply(body);
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&body)?;
    }

    #[test]
    fn arbitrary_calls_are_read_or_refused(
        call in any_json(),
        event in prop::sample::select(vec!["call_started", "call_ended", "call_analyzed", "x"]),
    ) {
        read_all(json!({"event": event, "call": call}).to_string().as_bytes())?;
        read_all(call.to_string().as_bytes())?;
    }

    #[test]
    fn changed_fixtures_are_read_or_refused(
        body in prop::sample::select(vec![STARTED, ENDED, ANALYZED, NO_ANSWER]),
        name in prop::sample::select(NAMES.to_vec()),
        value in any_json(),
    ) {
        read_all(&changed(body, |call| call[name] = value.clone()))?;
        read_all(&resource(body, |call| call[name] = value))?;
    }

    #[test]
    fn damaged_fixtures_are_read_or_refused(
        body in prop::sample::select(vec![STARTED, ENDED, ANALYZED, NO_ANSWER, INBOUND, REGISTERED]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut body = body.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        if cut {
            body.truncate(at);
        }
        read_all(&body)?;
    }
}
