//! What the books must say: kept beside them in plain sums, by the rules of billing.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use contract::{
    billing::{Statement, UsageLimit},
    period::{Span, local_date, period_after, period_of},
};

/// Minutes, seconds and millionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) minutes: i64,
    pub(super) seconds: i64,
    pub(super) cost_micros: i64,
}

impl Sums {
    pub(super) fn and(self, other: Self, times: i64) -> Self {
        Self {
            minutes: self.minutes + times * other.minutes,
            seconds: self.seconds + times * other.seconds,
            cost_micros: self.cost_micros + times * other.cost_micros,
        }
    }
}

/// What a call used, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) sums: Sums,
    pub(super) at: DateTime<Utc>,
    pub(super) is_completed: bool,
}

/// A period of the model.
#[derive(Debug, Clone)]
pub(super) struct Period {
    pub(super) span: Span,
    pub(super) sums: Sums,
    pub(super) carried: i64,
    /// What it came to, once it is frozen.
    pub(super) frozen: Option<Statement>,
}

/// A day of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) calls: i64,
    pub(super) completed: i64,
    pub(super) sums: Sums,
}

/// The books of one organization.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) zone: Tz,
    pub(super) anchor_day: u32,
    pub(super) included: i64,
    pub(super) limit: UsageLimit,
    pub(super) periods: Vec<Period>,
    calls: BTreeMap<usize, Used>,
    /// The newest word on each call.
    versions: BTreeMap<usize, usize>,
}

impl Model {
    pub(super) fn new(zone: Tz, anchor_day: u32, included: i64, limit: UsageLimit) -> Self {
        Self {
            zone,
            anchor_day,
            included,
            limit,
            periods: Vec::new(),
            calls: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    /// Whether a later word on a call is known than this one, or this one was; else it is from now on.
    pub(super) fn knows_better(&mut self, call: usize, version: usize) -> bool {
        if self.versions.get(&call).is_some_and(|known| *known >= version) {
            return true;
        }
        self.versions.insert(call, version);
        false
    }

    /// A call is known to have used this, from `now` on.
    pub(super) fn tell(&mut self, call: usize, used: Used, now: DateTime<Utc>) {
        let before = self.calls.insert(call, used);
        if before.is_some_and(|before| before.at == used.at && before.sums == used.sums) {
            return;
        }
        self.roll(now);
        match before {
            Some(before) if before.at == used.at => {
                let difference = used.sums.and(before.sums, -1);
                self.book(used.at, difference);
            }
            Some(before) => {
                self.book(before.at, Sums::default().and(before.sums, -1));
                self.book(used.at, used.sums);
            }
            None => self.book(used.at, used.sums),
        }
    }

    fn book(&mut self, at: DateTime<Utc>, sums: Sums) {
        let takes = |period: &&mut Period| {
            period.frozen.is_none() && period.span.start <= at && at < period.span.end
        };
        let own = self.periods.iter_mut().find(takes);
        let period = match own {
            Some(period) => period,
            None => self.periods.last_mut().expect("a period is open"),
        };
        period.sums = period.sums.and(sums, 1);
    }

    fn roll(&mut self, now: DateTime<Utc>) {
        if self.periods.is_empty() {
            self.open(period_of(now, self.anchor_day, self.zone));
        }
        while let Some(end) =
            self.periods.last().map(|last| last.span.end).filter(|end| *end <= now)
        {
            self.open(period_after(end, self.anchor_day, self.zone));
        }
    }

    fn open(&mut self, span: Span) {
        self.periods.push(Period { span, sums: Sums::default(), carried: 0, frozen: None });
    }

    /// Every period that is over is closed.
    pub(super) fn sweep(&mut self, now: DateTime<Utc>) {
        if self.periods.is_empty() {
            return;
        }
        self.roll(now);
        for place in 0..self.periods.len() {
            let period = &mut self.periods[place];
            if period.span.end > now || period.frozen.is_some() {
                continue;
            }
            let statement =
                Statement::of(period.sums.minutes, period.carried, self.included, self.limit);
            period.frozen = Some(statement);
            self.periods[place + 1].carried = statement.carried_on_minutes;
        }
    }

    /// Minutes that Stripe was told of, over all periods.
    pub(super) fn billed(&self) -> i64 {
        self.periods.iter().filter_map(|p| p.frozen).map(|frozen| frozen.overage_minutes).sum()
    }

    /// The days on which something was used.
    pub(super) fn days(&self) -> BTreeMap<NaiveDate, Day> {
        let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        for used in self.calls.values() {
            let day = days.entry(local_date(used.at, self.zone)).or_default();
            day.calls += 1;
            day.completed += i64::from(used.is_completed);
            day.sums = day.sums.and(used.sums, 1);
        }
        days
    }

    /// Everything that was used.
    pub(super) fn total(&self) -> Sums {
        self.calls.values().fold(Sums::default(), |sum, used| sum.and(used.sums, 1))
    }
}
