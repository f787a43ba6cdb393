//! A row of the comparison: what each book says of one day or period.

use chrono::{DateTime, NaiveDate, Utc};
use contract::ids::{OrganizationId, PeriodId};

/// What the comparison of some organizations found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// How many were compared.
    pub organizations: u32,
    /// Where books differ, or explain themselves.
    pub rows: Vec<Row>,
    /// The last organization of a page that was full.
    pub next: Option<OrganizationId>,
}

impl Books {
    /// Rows that differ, and every unit of it is accounted for.
    pub fn explained(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_equal() && row.unexplained == 0).count()
    }

    /// Rows that differ, and nobody knows why.
    pub fn unexplained(&self) -> usize {
        self.rows.iter().filter(|row| row.unexplained != 0).count()
    }
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A day in the organization's zone.
    Day(NaiveDate),
    /// A billing period.
    Period {
        /// Its id.
        id: PeriodId,
        /// Its first instant.
        start: DateTime<Utc>,
    },
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Calls.
    Calls,
    /// Begun minutes.
    Minutes,
    /// Seconds.
    Seconds,
    /// Millionths of a US dollar.
    Cost,
    /// Minutes to be billed.
    Overage,
}

impl Measure {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Calls, Self::Minutes, Self::Seconds, Self::Cost, Self::Overage];

    /// The literal of API and command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Minutes => "minutes",
            Self::Seconds => "seconds",
            Self::Cost => "cost",
            Self::Overage => "overage",
        }
    }
}

/// Why books may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The period's ledger holds usage of a period that was frozen before it was known.
    Late,
    /// Usage that occurred in this period is on the ledger of another one, or the other way round
    /// because it was booked before its own period began.
    Adjusted,
    /// A book that is written later has not been written yet.
    InFlight,
    /// What calls say that are not to be paid for.
    Voided,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Late, Self::Adjusted, Self::InFlight, Self::Voided];

    /// The literal of API and command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Adjusted => "adjusted",
            Self::InFlight => "in-flight",
            Self::Voided => "voided",
        }
    }
}

/// A part of a difference, and why it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// Why.
    pub reason: Reason,
    /// How much of the difference it accounts for, in units of the row; negative where a book says
    /// less for it.
    pub quantity: i64,
}

/// What each book says of one thing, in whole units of its measure. A book that says nothing of it is
/// absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose books.
    pub organization_id: OrganizationId,
    /// Which day or period.
    pub scope: Scope,
    /// What is counted.
    pub measure: Measure,
    /// What the calls say, voided ones included.
    pub calls: Option<i64>,
    /// What the ledger says: of a day, by when it occurred; of a period, by what was booked in it; of
    /// an overage, what the period's ledger comes to.
    pub ledger: Option<i64>,
    /// What the aggregated day says.
    pub daily_usage: Option<i64>,
    /// What stands beside the ledger.
    pub totals: Option<i64>,
    /// What was fixed when the period was frozen.
    pub statement: Option<i64>,
    /// What the counters say.
    pub redis: Option<i64>,
    /// What Stripe has counted of what it accepted; where it was not asked yet, what it was told.
    pub stripe: Option<i64>,
    /// Between the book that says most and the one that says least; of a period also what of its
    /// ledger occurred outside of it. 0 or more.
    pub difference: i64,
    /// Why it is there.
    pub explanations: Vec<Explanation>,
    /// What of it no explanation accounts for. 0 or more; anything but 0 is an alert.
    pub unexplained: i64,
    /// What else is known of it.
    pub note: Option<&'static str>,
}

impl Row {
    /// A row without any book.
    pub(super) const fn new(
        organization_id: OrganizationId,
        scope: Scope,
        measure: Measure,
    ) -> Self {
        Self {
            organization_id,
            scope,
            measure,
            calls: None,
            ledger: None,
            daily_usage: None,
            totals: None,
            statement: None,
            redis: None,
            stripe: None,
            difference: 0,
            explanations: Vec::new(),
            unexplained: 0,
            note: None,
        }
    }

    /// Whether all books say the same, and there is nothing to explain.
    pub const fn is_equal(&self) -> bool {
        self.difference == 0 && self.unexplained == 0 && self.explanations.is_empty()
    }

    pub(super) fn explain(&mut self, reason: Reason, quantity: i64) {
        self.explanations.push(Explanation { reason, quantity });
    }

    /// Sets the difference to what lies between the books that are there.
    pub(super) fn spread(&mut self) {
        let books = [
            self.calls,
            self.ledger,
            self.daily_usage,
            self.totals,
            self.statement,
            self.redis,
            self.stripe,
        ];
        let said = || books.iter().flatten();
        let (most, least) = (said().max(), said().min());
        self.difference = most.zip(least).map_or(0, |(most, least)| most.saturating_sub(*least));
    }
}

/// Amounts of every measure of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) calls: i64,
    pub(super) minutes: i64,
    pub(super) seconds: i64,
    pub(super) cost: i64,
}

impl Amounts {
    pub(super) const fn of(&self, measure: Measure) -> i64 {
        match measure {
            Measure::Calls => self.calls,
            Measure::Minutes => self.minutes,
            Measure::Seconds => self.seconds,
            Measure::Cost => self.cost,
            Measure::Overage => 0,
        }
    }
}
