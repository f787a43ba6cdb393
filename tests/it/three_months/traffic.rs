//! Calls of three months, as a seed makes them: told late, twice, again and otherwise.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use contract::{
    billing::UsageLimit,
    call::{CallStatus, EventKind},
    merge::{CallEvent, CallFacts, MAX_DURATION_SECONDS},
    period::{day_start, local_date},
};
use rust_decimal::Decimal;

use super::model::{Model, Sums, Used};
use crate::harness::nemesis::drawn;

/// Zones that are far from UTC, by odd times, or change their clocks within the months.
const ZONES: [Tz; 10] = [
    Tz::Asia__Kathmandu,
    Tz::Pacific__Apia,
    Tz::America__New_York,
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Honolulu,
    Tz::Pacific__Kiritimati,
    Tz::America__St_Johns,
    Tz::Asia__Beirut,
];
/// Calls of an organization.
const CALLS: u64 = 36;
/// Days in which they take place.
const DAYS: i64 = 90;

/// Numbers by a seed and a name.
pub(super) struct Dice {
    seed: u64,
    name: String,
    throws: u64,
}

impl Dice {
    pub(super) fn new(seed: u64, name: &str) -> Self {
        Self { seed, name: name.to_owned(), throws: 0 }
    }

    /// A number below `sides`.
    pub(super) fn below(&mut self, sides: u64) -> u64 {
        self.throws += 1;
        drawn(self.seed, &format!("{} {}", self.name, self.throws)) % sides
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(u64::try_from(high - low).unwrap())).unwrap()
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Something that is told of a call.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    /// When it arrives.
    pub(super) at: DateTime<Utc>,
    /// Which call of the organization.
    pub(super) call: usize,
    /// Which telling of it: the same one again is a duplicate.
    pub(super) version: usize,
    pub(super) event: CallEvent,
    /// What is known of the call from then on, if it is the last word.
    pub(super) used: Used,
}

/// The books of an organization, empty, and what it will be told, in the order of arrival.
pub(super) fn organization(
    seed: u64,
    number: usize,
    start: DateTime<Utc>,
) -> (Model, Vec<Telling>) {
    let mut dice = Dice::new(seed, &format!("organization {number}"));
    let zone = ZONES[number % ZONES.len()];
    let anchor = [1, 1, 15, 28, 31][usize::try_from(dice.below(5)).unwrap()];
    let included = [0, 0, 60, 200, 100_000][usize::try_from(dice.below(5)).unwrap()];
    let limit = if dice.percent(15) { UsageLimit::Hard } else { UsageLimit::Soft };
    let model = Model::new(zone, anchor, included, limit);
    let mut tellings = Vec::new();
    for call in 0..CALLS {
        let mut dice = Dice::new(seed, &format!("call {number}/{call}"));
        tellings.extend(call_of(&mut dice, usize::try_from(call).unwrap(), zone, start));
    }
    tellings.sort_by_key(|telling: &Telling| (telling.at, telling.call, telling.version));
    (model, tellings)
}

/// Everything that is told of one call.
fn call_of(dice: &mut Dice, call: usize, zone: Tz, start: DateTime<Utc>) -> Vec<Telling> {
    // Not on the first days: no nightly run looks at what was before it.
    let mut began = start + TimeDelta::seconds(dice.between(2 * 86_400, DAYS * 86_400));
    if dice.percent(35) {
        // Around a local midnight, where days and periods begin.
        let midnight = day_start(local_date(began, zone), zone);
        began = midnight + TimeDelta::milliseconds(dice.between(-3_600_000, 3_600_000));
    }
    let mut tellings = vec![telling(dice, call, 0, began)];
    if dice.percent(40) {
        // The report, after the end or long after; it may correct the duration, and the start too.
        let shift = if dice.percent(25) { dice.between(-7200, 7200) } else { 0 };
        tellings.push(telling(dice, call, 1, began + TimeDelta::seconds(shift)));
    }
    if dice.percent(15) {
        tellings.push(telling(dice, call, 2, began));
    }
    let again = tellings.len();
    for place in 0..again {
        if dice.percent(20) {
            let mut same = tellings[place].clone();
            same.at += TimeDelta::seconds(dice.between(1, 20 * 86_400));
            tellings.push(same);
        }
    }
    tellings
}

/// The `version`th word on a call: later ones know more, however late they are.
fn telling(dice: &mut Dice, call: usize, version: usize, began: DateTime<Utc>) -> Telling {
    let is_completed = !dice.percent(15);
    let told_seconds = match dice.below(100) {
        0..3 => dice.between(86_000, 5_000_000),
        3..6 => dice.between(59, 62),
        _ => dice.between(1, 1800),
    };
    let seconds = if is_completed { told_seconds } else { 0 };
    let ended = began + TimeDelta::seconds(seconds);
    let counted = seconds.min(i64::from(MAX_DURATION_SECONDS));
    let cost_micros = if dice.percent(80) { dice.between(0, 5_000_000) } else { 0 };
    let rank = i64::try_from(version).unwrap();
    let event = CallEvent {
        kind: if version == 0 { EventKind::Ended } else { EventKind::Report },
        at: began.max(ended) + TimeDelta::days(60 * rank),
        facts: CallFacts {
            status: Some(if is_completed { CallStatus::Completed } else { CallStatus::NoAnswer }),
            created_at: Some(began - TimeDelta::seconds(4)),
            started_at: Some(began),
            ended_at: Some(ended),
            duration_seconds: Some(u32::try_from(seconds).unwrap()),
            cost_usd: Some(Decimal::new(cost_micros, 6)),
            ..CallFacts::default()
        },
    };
    let late = match dice.below(20) {
        0..13 => dice.between(1, 60),
        13..16 => dice.between(60, 6 * 3600),
        16..18 => dice.between(6 * 3600, 3 * 86_400),
        _ => dice.between(3 * 86_400, 45 * 86_400),
    };
    let sums = Sums {
        minutes: counted.div_euclid(60) + i64::from(counted % 60 > 0),
        seconds: counted,
        cost_micros,
    };
    // Nothing is told before it happened; what lasts for weeks is told when it is noticed.
    let told = began + TimeDelta::seconds(counted + late);
    Telling { at: told, call, version, event, used: Used { sums, at: began, is_completed } }
}
