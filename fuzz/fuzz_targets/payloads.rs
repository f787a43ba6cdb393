//! Whatever a provider sends or answers is refused, or read into what Postgres can hold.

#![no_main]

use contract::{
    call::{EventKind, Origin},
    merge::{CallEvent, MAX_DURATION_SECONDS, fold},
};
use fuzz::{Delivery, received_at};
use libfuzzer_sys::fuzz_target;
use providers::incoming::{
    self, Incoming, MAX_CALL_ID_BYTES, MAX_EVENT_KEY_BYTES, MAX_MESSAGE_TYPE_CHARS,
};
use serde_json::Value;

/// Digits before and after the point of a cost: `numeric(12, 6)`.
const MAX_COST_USD: i64 = 999_999;
const COST_SCALE: u32 = 6;

fuzz_target!(|input: &[u8]| {
    let Some(Delivery { provider, origin, body }) = Delivery::of(input) else { return };
    let read_at = |at| incoming::read(provider, origin, body, at);
    let read = read_at(received_at());
    assert_eq!(read, read_at(received_at()), "reading is pure");
    let Ok(incoming) = read else { return };
    if origin == Origin::Webhook {
        let later = read_at(received_at() + chrono::TimeDelta::hours(1)).expect("still readable");
        assert_eq!(later.event_key, incoming.event_key, "a repetition has the same key");
        assert_eq!(later.message_type, incoming.message_type);
    }
    names_are_bounded(&incoming);
    texts_hold_no_nul(&incoming);
    numbers_fit(&incoming.event);
    json_loses_nothing(&incoming.event);
});

fn names_are_bounded(incoming: &Incoming) {
    let Incoming { message_type, provider_call_id, event_key, event, message } = incoming;
    assert!((1..=MAX_EVENT_KEY_BYTES).contains(&event_key.len()), "event key");
    assert!((1..=MAX_MESSAGE_TYPE_CHARS).contains(&message_type.chars().count()), "message type");
    if let Some(id) = provider_call_id {
        assert!((1..=MAX_CALL_ID_BYTES).contains(&id.len()), "call id");
    }
    assert!(!event.kind.is_of_call() || provider_call_id.is_some(), "whose event is it?");
    assert_eq!(message.is_some(), event.kind == EventKind::Message, "whose fate is it?");
    if let Some(message) = message {
        assert!((1..=MAX_CALL_ID_BYTES).contains(&message.provider_id.len()), "message id");
    }
}

fn texts_hold_no_nul(incoming: &Incoming) {
    let message = incoming.message.as_ref();
    let texts = [
        Some(&incoming.event_key),
        Some(&incoming.message_type),
        incoming.provider_call_id.as_ref(),
        message.map(|message| &message.provider_id),
        message.and_then(|message| message.error_code.as_ref()),
    ];
    assert!(texts.into_iter().flatten().all(|text| !text.contains('\0')), "a name holds NUL");
    let facts = serde_json::to_value(&incoming.event.facts).expect("facts are JSON");
    assert!(!holds_nul(&facts), "a fact holds NUL");
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(entries) => entries.iter().any(holds_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value))
        }
        _ => false,
    }
}

fn numbers_fit(event: &CallEvent) {
    let facts = fold([event]);
    assert!(facts.duration_seconds.is_none_or(|seconds| seconds <= MAX_DURATION_SECONDS));
    if let Some(cost) = facts.cost_usd {
        assert!(!cost.is_sign_negative() || cost.is_zero(), "a negative cost");
        assert!(cost <= MAX_COST_USD.into() && cost.scale() <= COST_SCALE, "a cost without room");
    }
}

fn json_loses_nothing(event: &CallEvent) {
    let written = serde_json::to_string(event).expect("an event is JSON");
    let read: CallEvent = serde_json::from_str(&written).expect("its own JSON is readable");
    assert_eq!(&read, event);
}
