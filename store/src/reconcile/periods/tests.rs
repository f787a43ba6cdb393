#![expect(clippy::unwrap_used, reason = "a failed test")]

use contract::period;
use uuid::Uuid;

use super::*;

const LATER: &str = "2026-12-20T00:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn amounts(minutes: i64) -> Amounts {
    Amounts { calls: 0, minutes, seconds: 0, cost: 0 }
}

/// November, 1,200 of 1,000 minutes used, frozen, reported, accepted.
fn november() -> PeriodBooks {
    PeriodBooks {
        organization_id: OrganizationId(Uuid::nil()),
        id: PeriodId(Uuid::nil()),
        span: period::period_of(at("2026-11-10T00:00:00Z"), 1, period::zone_or_utc("UTC")),
        watermark: Some(at("2026-12-01T00:05:00Z")),
        included_minutes: 1000,
        limit: UsageLimit::Soft,
        carried_minutes: 0,
        frozen: Some(Frozen { minutes: 1200, seconds: 0, cost: 0, overage: 200 }),
        ledger: Booked { all: amounts(1200), ..Booked::default() },
        totals: amounts(1200),
        sequence: Some(7),
        reports: vec![report(200, ReportState::Accepted)],
        waits: Waiting { has_customer: true, ..Waiting::default() },
    }
}

fn report(quantity: i64, state: ReportState) -> Report {
    Report { quantity, counted: None, state, at: at("2026-12-01T00:06:00Z") }
}

/// Stripe was told 200 minutes, and has counted these.
fn counted(minutes: i64) -> Report {
    Report { counted: Some(minutes), ..report(200, ReportState::Accepted) }
}

fn stored(minutes: i64, sequence: i64) -> Option<Stored> {
    Some(Stored { minutes, seconds: 0, cost_micros: 0, sequence })
}

fn asked(stored: Option<Stored>) -> Counter {
    Counter::Asked { stored, healing: Healing::Done }
}

fn row(period: &PeriodBooks, measure: Measure, redis: Option<Stored>, now: &str) -> Row {
    let rows = rows(period, asked(redis), at(now));
    rows.into_iter().find(|row| row.measure == measure).unwrap()
}

fn billed(period: &PeriodBooks, now: &str) -> Row {
    row(period, Measure::Overage, stored(1200, 7), now)
}

#[test]
fn a_period_that_was_billed_is_clean() {
    let rows = rows(&november(), asked(stored(1200, 7)), at(LATER));
    assert!(rows.iter().all(Row::is_equal), "{rows:?}");
}

#[test]
fn totals_and_statement_are_never_excused() {
    let mut period = november();
    period.totals.minutes = 1201;
    assert_eq!(row(&period, Measure::Minutes, stored(1201, 7), LATER).unexplained, 1);
    // A ledger that changed after the freeze, within the included minutes.
    let mut period = november();
    period.included_minutes = 5000;
    period.frozen = Some(Frozen { minutes: 1200, seconds: 0, cost: 0, overage: 0 });
    period.reports.clear();
    period.ledger.all.minutes = 1300;
    period.totals.minutes = 1300;
    assert_eq!(row(&period, Measure::Minutes, stored(1300, 7), LATER).unexplained, 100);
    assert!(billed(&period, LATER).is_equal());
}

#[test]
fn redis_may_be_behind_or_gone_but_not_wrong() {
    let period = november();
    let minutes = |redis| row(&period, Measure::Minutes, redis, LATER);
    for (redis, in_flight) in [(None, -1200), (stored(1190, 6), -10)] {
        let row = minutes(redis);
        assert_eq!(row.unexplained, 0);
        assert_eq!(
            row.explanations,
            [super::super::Explanation { reason: Reason::InFlight, quantity: in_flight }]
        );
    }
    assert_eq!(minutes(stored(1190, 7)).unexplained, 10, "wrong at the same sequence");
    assert_eq!(minutes(stored(1200, 8)).unexplained, 1, "ahead of the ledger");
    let refused = Counter::Asked { stored: stored(1190, 6), healing: Healing::Refused };
    let refused = rows(&period, refused, at(LATER));
    assert_eq!(refused[0].unexplained, 10, "it does not take its projection");
    assert!(rows(&period, Counter::NotAsked, at(LATER)).iter().all(Row::is_equal));
    // Nothing was counted, nothing is there.
    let mut unused = november();
    unused.sequence = None;
    assert!(!unused.lags(None));
}

#[test]
fn what_is_late_is_shown_and_what_is_misplaced_is_not_excused() {
    let mut period = november();
    period.ledger.late = amounts(5);
    period.ledger.away = amounts(2);
    let late = row(&period, Measure::Minutes, stored(1200, 7), LATER);
    assert_eq!((late.difference, late.unexplained, late.explanations.len()), (7, 0, 2));
    period.ledger.misplaced = amounts(4);
    let row = row(&period, Measure::Minutes, stored(1200, 7), LATER);
    assert_eq!((row.difference, row.unexplained), (11, 4));
}

#[test]
fn what_stripe_lacks_is_in_flight_only_while_somebody_is_about_to_report_it() {
    use ReportState::{Accepted, Pending, Rejected, Sending, Unknown};
    let soon = "2026-12-01T01:00:00Z";
    // A person has to know of what waits for longer.
    let (days, too_long) = ("2026-12-04T00:04:00Z", "2026-12-04T00:07:00Z");
    for (reports, now, unexplained) in [
        (vec![report(200, Pending)], days, 0),
        (vec![report(200, Pending)], too_long, 200),
        (vec![report(200, Sending)], soon, 0),
        (vec![report(200, Sending)], LATER, 200),
        (vec![report(200, Unknown)], soon, 200),
        (vec![report(200, Rejected)], soon, 200),
        (vec![report(200, Rejected), report(200, Pending)], soon, 0),
        (vec![report(200, Rejected), report(200, Accepted)], LATER, 0),
        // What waits is not what is missing.
        (vec![report(150, Pending)], soon, 200),
        (vec![report(150, Accepted)], soon, 50),
        (vec![report(200, Accepted), report(200, Accepted)], LATER, 200),
        (Vec::new(), soon, 0),
        (Vec::new(), LATER, 200),
    ] {
        let mut period = november();
        period.reports = reports;
        let row = billed(&period, now);
        assert_eq!(row.unexplained, unexplained, "{:?} {now}", period.reports);
    }
}

#[test]
fn what_stripe_has_counted_is_its_book_and_not_what_it_accepted() {
    let unasked = "Stripe was not asked yet what it has counted";
    let otherwise = "Stripe has counted another quantity than it was told";
    let rejected = || report(200, ReportState::Rejected);
    for (reports, stripe, unexplained, note) in [
        (vec![report(200, ReportState::Accepted)], 200, 0, Some(unasked)),
        (vec![counted(200)], 200, 0, None),
        (vec![counted(0)], 0, 200, Some(otherwise)),
        (vec![counted(150)], 150, 50, Some(otherwise)),
        (vec![counted(400)], 400, 200, Some(otherwise)),
        (vec![rejected(), counted(400)], 400, 200, Some(otherwise)),
        // Seen counted once, and rejected since: not billed.
        (
            vec![Report { counted: Some(200), ..rejected() }],
            0,
            200,
            Some("Stripe rejected the report"),
        ),
        (
            vec![Report { quantity: 150, ..counted(150) }],
            150,
            50,
            Some("Stripe accepted another quantity"),
        ),
    ] {
        let mut period = november();
        period.reports = reports;
        let row = billed(&period, LATER);
        let found = (row.stripe, row.unexplained, row.note);
        assert_eq!(found, (Some(stripe), unexplained, note), "{:?}", period.reports);
        assert_eq!(row.is_equal(), unexplained == 0);
    }
}

#[test]
fn a_report_that_was_given_up_is_money_that_was_not_billed() {
    let mut period = november();
    period.reports.clear();
    period.waits = Waiting::default();
    let (days, too_long) = ("2026-12-04T00:04:00Z", "2026-12-04T00:06:00Z");
    assert_eq!(billed(&period, days).unexplained, 0, "no customer yet");
    assert_eq!(billed(&period, too_long).unexplained, 200, "and nobody has cared for days");
    period.waits.is_given_up = true;
    assert_eq!(billed(&period, days).unexplained, 200);
}

#[test]
fn a_period_that_nobody_closes_is_found() {
    let mut period = november();
    period.frozen = None;
    period.watermark = None;
    period.reports.clear();
    assert!(billed(&period, "2026-11-30T00:00:00Z").is_equal());
    let closing = billed(&period, "2026-12-01T00:05:00Z");
    assert_eq!((closing.unexplained, closing.explanations.len()), (0, 1));
    assert_eq!(billed(&period, LATER).unexplained, 200);
}

#[test]
fn what_was_owed_lowers_what_is_billed() {
    let mut period = november();
    period.carried_minutes = -30;
    assert_eq!(billed(&period, LATER).unexplained, 30, "the statement left it out");
    period.frozen = Some(Frozen { minutes: 1200, seconds: 0, cost: 0, overage: 170 });
    period.reports = vec![report(170, ReportState::Accepted)];
    assert!(billed(&period, LATER).is_equal());
}
