//! What was counted: the truth that invariant "billed = ledger" is checked against.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many meter events are kept. Forgetting some would make the sums wrong, so there are no more.
const MOST: usize = 1_000_000;

/// Usage by meter, customer and time.
#[derive(Debug, Default)]
pub(super) struct Books {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    counted: BTreeMap<Line, u64>,
    identifiers: Vec<String>,
}

/// One meter's usage of one customer in one second.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) event_name: String,
    pub(super) customer: String,
    /// Seconds since 1970.
    pub(super) timestamp: i64,
}

impl Books {
    pub(super) fn are_full(&self) -> bool {
        self.lock().identifiers.len() >= MOST
    }

    /// Writes a meter event down; without a line it is taken but not counted.
    pub(super) fn write(&self, identifier: &str, counted: Option<(Line, u64)>) {
        let mut kept = self.lock();
        kept.identifiers.push(identifier.to_owned());
        if let Some((line, value)) = counted {
            let sum = kept.counted.entry(line).or_default();
            *sum = sum.saturating_add(value);
        }
    }

    /// The sum of a meter for a customer in a time; nothing where nothing was counted at all.
    pub(super) fn sum(&self, event_name: &str, customer: &str, time: Range<i64>) -> Option<u64> {
        let line = |timestamp| Line {
            event_name: event_name.to_owned(),
            customer: customer.to_owned(),
            timestamp,
        };
        let kept = self.lock();
        let counted = kept.counted.range(line(time.start)..line(time.end));
        counted.map(|(_, value)| *value).reduce(u64::saturating_add)
    }

    pub(super) fn billed(&self, customer: &str) -> u64 {
        let kept = self.lock();
        let own = kept.counted.iter().filter(|(line, _)| line.customer == customer);
        own.fold(0, |sum, (_, value)| sum.saturating_add(*value))
    }

    /// Everything that was counted, by customer.
    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for (line, value) in &self.lock().counted {
            let sum: &mut u64 = all.entry(line.customer.clone()).or_default();
            *sum = sum.saturating_add(*value);
        }
        all
    }

    pub(super) fn identifiers(&self) -> Vec<String> {
        self.lock().identifiers.clone()
    }

    pub(super) fn event_names(&self) -> BTreeSet<String> {
        self.lock().counted.keys().map(|line| line.event_name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
