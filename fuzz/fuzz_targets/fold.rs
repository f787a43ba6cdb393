//! Events of one call fold to one record, in whatever order and however often they came.

#![no_main]

use contract::merge::{CallEvent, fold};
use fuzz::{Delivery, received_at};
use libfuzzer_sys::fuzz_target;
use providers::incoming;

/// Most events of one input: every rotation of them is folded.
const MAX_EVENTS: usize = 8;
/// Stands between deliveries; no body that can be stored holds it.
const SEPARATOR: u8 = 0;

fuzz_target!(|input: &[u8]| {
    let deliveries = input.split(|byte| *byte == SEPARATOR).take(MAX_EVENTS);
    let events = deliveries.filter_map(Delivery::of).zip(0_i64..).filter_map(|(sent, second)| {
        let at = received_at() + chrono::TimeDelta::seconds(second);
        Some(incoming::read(sent.provider, sent.origin, sent.body, at).ok()?.event)
    });
    let mut events: Vec<CallEvent> = events.collect();
    let record = fold(&events);
    assert_eq!(fold(events.iter().chain(&events)), record, "repeated");
    for _ in 0..events.len() {
        events.rotate_left(1);
        assert_eq!(fold(&events), record, "rotated");
        assert_eq!(fold(events.iter().rev()), record, "rotated and reversed");
        let twice = events.iter().flat_map(|event| [event, event]);
        assert_eq!(fold(twice.chain(events.first())), record, "rotated, each twice");
    }
});
