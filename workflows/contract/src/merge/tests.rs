//! Every order and repetition folds the same.
#![expect(clippy::expect_used, reason = "a failed test")]

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;

fn event(kind: EventKind, second: i64, status: CallStatus) -> CallEvent {
    CallEvent {
        kind,
        at: Utc.timestamp_opt(1_795_186_800 + second, 0).single().expect("in range"),
        facts: CallFacts { status: Some(status), ..CallFacts::default() },
    }
}

#[test]
fn a_started_event_after_the_end_changes_nothing() {
    let ended = event(EventKind::Ended, 10, CallStatus::Completed);
    let late = event(EventKind::Progress, 20, CallStatus::InProgress);
    assert_eq!(fold([&ended, &late]).status, Some(CallStatus::Completed));
}

#[test]
fn duration_comes_from_times_of_different_events() {
    let mut started = event(EventKind::Progress, 0, CallStatus::InProgress);
    started.facts.started_at = Some(started.at);
    let mut ended = event(EventKind::Ended, 61, CallStatus::Completed);
    ended.facts.ended_at = Some(ended.at);
    assert_eq!(fold([&ended, &started]).duration_seconds, Some(61));
}

/// What is folded of a call that was told so long, or began and ended at these seconds.
fn lasted(told: Option<u32>, times: Option<(i64, i64)>) -> (Option<u32>, Option<DurationFlag>) {
    let mut report = event(EventKind::Report, 0, CallStatus::Completed);
    report.facts.duration_seconds = told;
    report.facts.started_at = times.and_then(|(start, _)| DateTime::from_timestamp(start, 0));
    report.facts.ended_at = times.and_then(|(_, end)| DateTime::from_timestamp(end, 0));
    let facts = fold([&report]);
    (facts.duration_seconds, facts.duration_flag)
}

#[test]
fn a_duration_that_cannot_be_is_cut_and_flagged() {
    const MAX: u32 = MAX_DURATION_SECONDS;
    let capped = (Some(MAX), Some(DurationFlag::Capped));
    assert_eq!(lasted(Some(u32::MAX), None), capped);
    assert_eq!(lasted(Some(MAX + 1), None), capped);
    assert_eq!(lasted(Some(MAX), None), (Some(MAX), None));
    assert_eq!(lasted(None, Some((0, i64::from(MAX) + 1))), capped);
    assert_eq!(lasted(None, Some((0, 400 * 366 * 86_400))), capped);
    let negative = Some(DurationFlag::Negative);
    assert_eq!(lasted(None, Some((100, 99))), (None, negative));
    assert_eq!(lasted(Some(0), Some((100, 99))), (Some(0), negative));
    assert_eq!(lasted(Some(7), Some((100, 99))), (Some(7), None), "what is told wins");
    assert_eq!(lasted(Some(0), Some((100, 100))), (Some(0), None));
}

#[test]
fn a_row_in_place_of_its_events_keeps_their_flag_until_another_duration_wins() {
    let mut row = event(EventKind::Report, 0, CallStatus::Completed);
    row.facts.duration_seconds = Some(MAX_DURATION_SECONDS);
    row.facts.duration_flag = Some(DurationFlag::Capped);
    let mut report = event(EventKind::Report, 1, CallStatus::Completed);
    assert_eq!(fold([&report, &row]).duration_flag, Some(DurationFlag::Capped));
    report.facts.duration_seconds = Some(61);
    assert_eq!(fold([&report, &row]).duration_flag, None);
}

fn any_event() -> impl Strategy<Value = CallEvent> {
    let kinds = prop::sample::select(EventKind::ALL);
    let statuses = prop::option::of(prop::sample::select(CallStatus::ALL));
    let text = prop::option::of("[ab]{0,2}");
    let seconds = prop_oneof![0_u32..3, MAX_DURATION_SECONDS - 1..MAX_DURATION_SECONDS + 3];
    let flag = prop::option::of(prop::sample::select(DurationFlag::ALL));
    let time = || prop::option::of(0_i64..200_000);
    let times = (prop::option::of(seconds), flag, time(), time());
    (kinds, 0_i64..3, statuses, text.clone(), text, times).prop_map(
        |(kind, second, status, from_number, transcript, times)| {
            let (duration_seconds, duration_flag, started, ended) = times;
            let at = |second: i64| DateTime::from_timestamp(second, 0);
            CallEvent {
                facts: CallFacts {
                    status,
                    from_number,
                    transcript,
                    started_at: started.and_then(at),
                    ended_at: ended.and_then(at),
                    duration_seconds,
                    duration_flag,
                    ..CallFacts::default()
                },
                ..event(kind, second, CallStatus::Queued)
            }
        },
    )
}

proptest! {
    #[test]
    fn any_order_and_repetition_folds_the_same(
        (events, shuffled) in prop::collection::vec(any_event(), 0..8)
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        repeated in 0_usize..8,
    ) {
        let expected = fold(&events);
        let again = shuffled.iter().chain(shuffled.iter().take(repeated));
        prop_assert_eq!(expected, fold(again));
    }
}
