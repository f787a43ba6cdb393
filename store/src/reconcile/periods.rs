//! One billing period: ledger, totals, Redis, the frozen statement and Stripe.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::{Statement, UsageLimit},
    ids::{OrganizationId, PeriodId},
    period::Span,
};

use super::row::{Amounts, Measure, Reason, Row, Scope};
use crate::{billing::ReportState, counters::Stored};

/// Periods that are over are frozen by an hourly schedule; one that was not by now was missed.
const FREEZE_PATIENCE: TimeDelta = TimeDelta::hours(3);
/// The report follows the freeze within minutes, unless Stripe does not answer.
const REPORT_PATIENCE: TimeDelta = TimeDelta::hours(2);
/// One that waits for a customer, a key or Stripe is waited for without a word for so long; then a person
/// has to know, a month before Stripe would not take it any more.
const WAITING_PATIENCE: TimeDelta = TimeDelta::days(3);
/// A report that was sent and not answered is settled, one way or the other, after a day.
const SENDING_PATIENCE: TimeDelta = TimeDelta::hours(25);

/// What the books say of a period.
#[derive(Debug, Clone)]
pub(super) struct PeriodBooks {
    pub(super) organization_id: OrganizationId,
    pub(super) id: PeriodId,
    pub(super) span: Span,
    pub(super) watermark: Option<DateTime<Utc>>,
    pub(super) included_minutes: i64,
    pub(super) limit: UsageLimit,
    /// What the period before comes to be owed by its own figures; else what was written down.
    pub(super) carried_minutes: i64,
    pub(super) frozen: Option<Frozen>,
    pub(super) ledger: Booked,
    pub(super) totals: Amounts,
    /// Of all meters; nothing where nothing was counted.
    pub(super) sequence: Option<i64>,
    /// Oldest revision first.
    pub(super) reports: Vec<Report>,
    pub(super) waits: Waiting,
}

/// What was fixed when the period was frozen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frozen {
    pub(super) minutes: i64,
    pub(super) seconds: i64,
    pub(super) cost: i64,
    pub(super) overage: i64,
}

/// What is on a period's ledger, and what of it occurred outside of the period.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Booked {
    pub(super) all: Amounts,
    /// Occurred before, in a period that was frozen, or before all periods.
    pub(super) late: Amounts,
    /// Taken back from such a period, for calls that were voided.
    pub(super) voided: Amounts,
    /// Occurred after the end.
    pub(super) early: Amounts,
    /// Occurred before, in a period that could have taken it. Sum of absolute values.
    pub(super) misplaced: Amounts,
    /// Occurred in this period, and is on the ledger of another.
    pub(super) away: Amounts,
}

/// A report to Stripe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) quantity: i64,
    /// What Stripe has counted of it, where it was asked.
    pub(super) counted: Option<i64>,
    pub(super) state: ReportState,
    /// When it was last sent, else written.
    pub(super) at: DateTime<Utc>,
}

/// Whether a report can be expected.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    pub(super) has_customer: bool,
    /// `report.waiting` was logged.
    pub(super) is_logged: bool,
    /// `period.unreported` was logged: nothing will come any more.
    pub(super) is_given_up: bool,
}

/// What is known of the period's counter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counter {
    /// Redis is not compared.
    NotAsked,
    /// It was asked.
    Asked {
        /// What it had.
        stored: Option<Stored>,
        /// What it took, where it was behind.
        healing: Healing,
    },
}

/// What became of a counter that Redis does not have, or has an old value of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Healing {
    /// Nothing was wrong with it, or it is right again.
    Done,
    /// Redis does not answer.
    Down,
    /// Redis answers, and the counter still is not what it should be.
    Refused,
}

impl PeriodBooks {
    /// Whether Redis has to be told of it.
    pub(super) fn lags(&self, redis: Option<Stored>) -> bool {
        self.sequence.is_some_and(|sequence| redis.is_none_or(|redis| redis.sequence < sequence))
    }

    fn statement(&self) -> Statement {
        let used = self.ledger.all.minutes;
        Statement::of(used, self.carried_minutes, self.included_minutes, self.limit)
    }

    fn accepted(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|report| report.state == ReportState::Accepted)
    }
}

impl Report {
    fn is_miscounted(&self) -> bool {
        self.counted.is_some_and(|counted| counted != self.quantity)
    }
}

/// Compares a period.
pub(super) fn rows(period: &PeriodBooks, counter: Counter, now: DateTime<Utc>) -> Vec<Row> {
    let measures = [Measure::Minutes, Measure::Seconds, Measure::Cost];
    let mut rows: Vec<_> =
        measures.into_iter().map(|measure| used(period, measure, counter)).collect();
    rows.push(overage(period, now));
    rows
}

fn used(period: &PeriodBooks, measure: Measure, counter: Counter) -> Row {
    let booked = &period.ledger;
    let (ledger, totals) = (booked.all.of(measure), period.totals.of(measure));
    let mut row = new_row(period, measure);
    row.ledger = Some(ledger);
    row.totals = Some(totals);
    row.statement = period.frozen.map(|frozen| match measure {
        Measure::Seconds => frozen.seconds,
        Measure::Cost => frozen.cost,
        _ => frozen.minutes,
    });
    if let Counter::Asked { stored: Some(stored), .. } = counter {
        row.redis = Some(match measure {
            Measure::Seconds => stored.seconds,
            Measure::Cost => stored.cost_micros,
            _ => stored.minutes,
        });
    }
    row.spread();
    row.unexplained = distance(totals, ledger) + row.statement.map_or(0, |s| distance(s, ledger));
    if let Counter::Asked { stored, healing } = counter {
        compare_counter(&mut row, period, stored, healing);
    }
    displaced(&mut row, booked, measure);
    row
}

/// What Redis says. Behind or gone it is told again; anything else must be right.
fn compare_counter(row: &mut Row, period: &PeriodBooks, redis: Option<Stored>, healing: Healing) {
    let (said, totals) = (row.redis.unwrap_or(0), row.totals.unwrap_or(0));
    if period.lags(redis) {
        if said == totals {
            return;
        }
        row.note = Some("not projected");
        match healing {
            Healing::Done | Healing::Down => row.explain(Reason::InFlight, said - totals),
            Healing::Refused => {
                row.note = Some("the counter cannot be projected");
                row.unexplained += distance(said, totals);
            }
        }
    } else if let Some(redis) = redis {
        row.unexplained += distance(said, totals);
        if redis.sequence > period.sequence.unwrap_or(0) {
            // It would keep every right value out from now on.
            row.unexplained = row.unexplained.max(1);
            row.note = Some("the counter is ahead of the ledger");
        }
    }
}

/// What occurred outside of the period whose ledger it is on.
fn displaced(row: &mut Row, booked: &Booked, measure: Measure) {
    let late = booked.late.of(measure);
    let voided = booked.voided.of(measure);
    let adjusted = booked.early.of(measure) - booked.away.of(measure);
    let misplaced = booked.misplaced.of(measure);
    for (reason, quantity) in
        [(Reason::Late, late), (Reason::Voided, voided), (Reason::Adjusted, adjusted)]
    {
        if quantity != 0 {
            row.explain(reason, quantity);
        }
        row.difference += quantity.abs();
    }
    if misplaced != 0 {
        row.difference += misplaced;
        row.unexplained += misplaced;
        row.note = Some("booked outside of its period, which was not frozen");
    }
}

/// What is to be billed, was fixed, and Stripe has counted.
fn overage(period: &PeriodBooks, now: DateTime<Utc>) -> Row {
    let expected = period.statement().overage_minutes;
    let mut row = new_row(period, Measure::Overage);
    row.ledger = Some(expected);
    let Some(frozen) = period.frozen else {
        if expected != 0 && now >= period.span.end {
            row.difference = expected;
            if now < period.span.end + FREEZE_PATIENCE {
                row.explain(Reason::InFlight, -expected);
                row.note = Some("the period is being closed");
            } else {
                row.unexplained = expected;
                row.note = Some("the period was not closed");
            }
        }
        return row;
    };
    let counted = period.accepted().map(|report| report.counted.unwrap_or(report.quantity)).sum();
    row.statement = Some(frozen.overage);
    row.stripe = Some(counted);
    row.spread();
    row.unexplained = distance(frozen.overage, expected);
    let missing = frozen.overage - counted;
    if missing == 0 {
        if period.accepted().any(|report| report.counted.is_none()) {
            row.note = Some("Stripe was not asked yet what it has counted");
        }
        return row;
    }
    row.note = Some(state_of(period));
    if missing == under_way(period, frozen, now) {
        row.explain(Reason::InFlight, -missing);
    } else {
        row.unexplained += missing.abs();
    }
    row
}

/// How many minutes a workflow still is about to report.
fn under_way(period: &PeriodBooks, frozen: Frozen, now: DateTime<Utc>) -> i64 {
    if period.waits.is_given_up {
        return 0;
    }
    let is_younger_than = |patience| period.watermark.is_some_and(|at| now - at < patience);
    match period.reports.last() {
        Some(report) => match report.state {
            ReportState::Pending if now - report.at < WAITING_PATIENCE => report.quantity,
            ReportState::Sending if now - report.at < SENDING_PATIENCE => report.quantity,
            _ => 0,
        },
        None => {
            let is_waited_for = period.waits.is_logged || !period.waits.has_customer;
            let patience = if is_waited_for { WAITING_PATIENCE } else { REPORT_PATIENCE };
            if is_younger_than(patience) { frozen.overage } else { 0 }
        }
    }
}

fn state_of(period: &PeriodBooks) -> &'static str {
    if period.waits.is_given_up {
        return "the report was given up";
    }
    match period.reports.last().map(|report| report.state) {
        Some(ReportState::Pending) => "the report waits",
        Some(ReportState::Sending) => "the report was sent and not answered",
        Some(ReportState::Unknown) => "nobody knows what became of the report",
        Some(ReportState::Rejected) => "Stripe rejected the report",
        Some(ReportState::Accepted) if period.accepted().any(Report::is_miscounted) => {
            "Stripe has counted another quantity than it was told"
        }
        Some(ReportState::Accepted) => "Stripe accepted another quantity",
        None if !period.waits.has_customer => "no customer at Stripe yet",
        None => "no report yet",
    }
}

fn new_row(period: &PeriodBooks, measure: Measure) -> Row {
    let scope = Scope::Period { id: period.id, start: period.span.start };
    Row::new(period.organization_id, scope, measure)
}

const fn distance(a: i64, b: i64) -> i64 {
    a.saturating_sub(b).saturating_abs()
}

#[cfg(test)]
mod tests;
