//! Whatever comes of a call's events, in whatever order: one record.

use contract::merge::fold;
use proptest::prelude::*;

use super::*;

/// All that can be told of one call: the cost grows, the transcript is mended, the sweep looks
/// early, late and at last.
fn life() -> Vec<CallEvent> {
    let cost =
        |cents: f64| move |call: &mut Value| call["call_cost"]["combined_cost"] = json!(cents);
    let swept = |body: Vec<u8>, at| read_resource(&body, at).expect("readable").event;
    let ended = changed(ENDED, |call| {
        cost(99.9)(call);
        call["transcript"] = json!("zzz a first draft");
    });
    vec![
        read_ok(STARTED).event,
        swept(resource(STARTED, |_| ()), received()),
        read_ok(ended).event,
        swept(resource(ENDED, cost(88.8)), received()),
        swept(resource(ENDED, cost(1.0)), received() + TimeDelta::hours(1)),
        read_ok(ANALYZED).event,
    ]
}

/// Every order of every subset.
fn arrangements(events: &[CallEvent]) -> Vec<Vec<&CallEvent>> {
    let mut all: Vec<Vec<&CallEvent>> = vec![Vec::new()];
    let mut from = 0;
    while from < all.len() {
        let shorter = all[from].clone();
        for event in events {
            if !shorter.iter().any(|used| std::ptr::eq(*used, event)) {
                all.push([shorter.as_slice(), &[event]].concat());
            }
        }
        from += 1;
    }
    all
}

#[test]
fn every_order_of_every_subset_folds_the_same_and_the_analysis_wins() {
    let life = life();
    let arrangements = arrangements(&life);
    assert_eq!(arrangements.len(), 1957, "sum of 6!/(6-k)!");
    let analyzed = life.last().expect("some");
    for arrangement in &arrangements {
        let folded = fold(arrangement.iter().copied());
        let in_order: Vec<&CallEvent> = life
            .iter()
            .filter(|event| arrangement.iter().any(|used| std::ptr::eq(*used, *event)))
            .collect();
        assert_eq!(folded, fold(in_order));
        let has = |event: &CallEvent| arrangement.iter().any(|used| std::ptr::eq(*used, event));
        // The aged report of the sweep is of the same rank and time; the greater text decides.
        if has(analyzed) {
            assert_eq!(folded, analyzed.facts);
        }
        if arrangement.iter().any(|event| event.kind.is_final()) {
            assert_eq!(folded.status, Some(CallStatus::Completed));
            assert_eq!(folded.duration_seconds, Some(128));
        }
    }
}

#[test]
fn a_call_never_connected_folds_the_same_in_every_order() {
    let analyzed =
        changed(NO_ANSWER, |call| call["call_analysis"] = json!({"in_voicemail": false}));
    let analyzed =
        String::from_utf8(analyzed).expect("text").replace("call_ended", "call_analyzed");
    let events = [
        read_ok(NO_ANSWER).event,
        read_ok(analyzed).event,
        read_resource(&resource(NO_ANSWER, |_| ()), received()).expect("readable").event,
    ];
    for arrangement in arrangements(&events).into_iter().filter(|events| !events.is_empty()) {
        let folded = fold(arrangement);
        assert_eq!(folded.status, Some(CallStatus::NoAnswer));
        assert_eq!((folded.started_at, folded.duration_seconds), (None, Some(0)));
    }
}

proptest! {
    #[test]
    fn repetitions_in_any_order_fold_the_same(
        picks in prop::collection::vec(0_usize..6, 0..20),
    ) {
        let life = life();
        let mut once = picks.clone();
        once.sort_unstable();
        once.dedup();
        let chosen = |picks: &[usize]| picks.iter().map(|&at| life[at].clone()).collect::<Vec<_>>();
        prop_assert_eq!(fold(&chosen(&picks)), fold(&chosen(&once)));
    }
}
