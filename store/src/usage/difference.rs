//! What has to be added to the ledger of a call. Pure.

use chrono::{DateTime, Utc};
use contract::usage::Meter;

/// What the ledger says of a call on one meter and at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Net {
    pub(super) meter: Meter,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) quantity: i64,
    /// The newest revision there.
    pub(super) revision: i32,
}

/// Why a revision is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeKind {
    /// The call was not counted before.
    Call,
    /// It used more or less than was said.
    Correction,
    /// It occurred at another time than was said.
    Moved,
}

impl ChangeKind {
    /// The literal of the database.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Correction => "correction",
            Self::Moved => "moved",
        }
    }
}

/// A revision to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) meter: Meter,
    pub(super) revision: i32,
    pub(super) quantity: i64,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) kind: ChangeKind,
}

/// The revisions after which the ledger says `wanted` of each meter at `occurred_at`, and nothing at
/// any other time. The newest revision of a meter always carries the call's time, also of 0.
pub(super) fn changes(
    nets: &[Net],
    wanted: impl Fn(Meter) -> i64,
    occurred_at: DateTime<Utc>,
) -> Vec<Change> {
    let of = |&meter: &Meter| of_meter(nets, meter, wanted(meter), occurred_at);
    Meter::ALL.iter().flat_map(of).collect()
}

fn of_meter(nets: &[Net], meter: Meter, wanted: i64, occurred_at: DateTime<Utc>) -> Vec<Change> {
    let mut changes = Vec::new();
    let nets = || nets.iter().filter(|net| net.meter == meter);
    let Some(newest) = nets().max_by_key(|net| net.revision) else {
        let kind = ChangeKind::Call;
        return vec![Change { meter, revision: 0, quantity: wanted, occurred_at, kind }];
    };
    let mut revision = newest.revision;
    let mut push = |quantity, occurred_at, kind| {
        revision += 1;
        changes.push(Change { meter, revision, quantity, occurred_at, kind });
    };
    let mut is_moved = newest.occurred_at != occurred_at;
    for net in nets().filter(|net| net.occurred_at != occurred_at && net.quantity != 0) {
        push(-net.quantity, net.occurred_at, ChangeKind::Moved);
        is_moved = true;
    }
    let here = nets().find(|net| net.occurred_at == occurred_at).map_or(0, |net| net.quantity);
    if is_moved || wanted != here {
        let kind = if is_moved { ChangeKind::Moved } else { ChangeKind::Correction };
        push(wanted - here, occurred_at, kind);
    }
    changes
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    /// The ledger of a call, as the database groups it.
    #[derive(Default)]
    struct Ledger(Vec<Change>);

    impl Ledger {
        fn nets(&self) -> Vec<Net> {
            let mut nets: BTreeMap<(Meter, DateTime<Utc>), Net> = BTreeMap::new();
            for row in &self.0 {
                let Change { meter, occurred_at, revision, .. } = *row;
                let net = Net { meter, occurred_at, quantity: 0, revision };
                let net = nets.entry((meter, occurred_at)).or_insert(net);
                net.quantity += row.quantity;
                net.revision = net.revision.max(revision);
            }
            nets.into_values().collect()
        }

        fn says(&mut self, quantities: [i64; 3], second: i64) -> Vec<(i64, ChangeKind)> {
            let wanted = |meter| match meter {
                Meter::CallMinutes => quantities[0],
                Meter::CallSeconds => quantities[1],
                Meter::CallCost => quantities[2],
            };
            let new = changes(&self.nets(), wanted, at(second));
            self.0.extend(&new);
            new.iter().map(|change| (change.quantity, change.kind)).collect()
        }
    }

    #[test]
    fn only_what_differs_is_written() {
        use ChangeKind::{Call, Correction, Moved};
        let mut ledger = Ledger::default();
        assert_eq!(ledger.says([3, 151, 0], 10), [(3, Call), (151, Call), (0, Call)]);
        assert_eq!(ledger.says([3, 151, 0], 10), []);
        assert_eq!(ledger.says([3, 150, 7], 10), [(-1, Correction), (7, Correction)]);
        let moved = [(-3, Moved), (2, Moved), (-150, Moved), (90, Moved), (-7, Moved), (7, Moved)];
        assert_eq!(ledger.says([2, 90, 7], 20), moved);
        assert_eq!(ledger.says([0, 0, 0], 20).len(), 3, "voided");
        assert_eq!(ledger.says([0, 0, 0], 30), [(0, Moved); 3], "where it is, is known of 0 too");
    }

    /// Four words on a call: every order of some minutes at some times.
    #[test]
    fn the_ledger_of_every_time_is_what_the_call_says_last() {
        const WORDS: [(i64, i64); 6] = [(0, 0), (0, 1), (2, 0), (2, 1), (3, 1), (3, 2)];
        for order in 0..WORDS.len().pow(4) {
            let mut ledger = Ledger::default();
            for turn in 0..4 {
                let (minutes, second) = WORDS[order / WORDS.len().pow(turn) % WORDS.len()];
                let quantities = [minutes, minutes * 50, 7];
                ledger.says(quantities, second);
                for (meter, quantity) in Meter::ALL.iter().zip(quantities) {
                    let mut nets = ledger.nets();
                    nets.retain(|net| net.meter == *meter);
                    nets.sort_by_key(|net| net.revision);
                    let last = nets.pop().unwrap();
                    assert_eq!((last.occurred_at, last.quantity), (at(second), quantity));
                    assert!(nets.iter().all(|net| net.quantity == 0), "{nets:?}");
                    let rows = ledger.0.iter().filter(|row| row.meter == *meter);
                    assert!(rows.map(|row| row.revision).eq(0..=last.revision));
                }
                assert_eq!(ledger.says(quantities, second), []);
            }
        }
    }
}
