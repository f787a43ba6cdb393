//! One local day: calls, ledger and `daily_usage`.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use contract::{ids::OrganizationId, period::Span};

use super::row::{Amounts, Measure, Reason, Row, Scope};

/// When the schedule aggregates, in UTC: an hour of the day.
const AGGREGATED_AT_HOUR: u32 = 2;
/// An aggregation that has not come this long after its time is missed.
const AGGREGATION_PATIENCE: TimeDelta = TimeDelta::hours(1);
/// A day that was touched is aggregated by the next run: within a day and that patience.
const TOUCHED_PATIENCE: TimeDelta = TimeDelta::hours(25);

/// What the books say of a day.
#[derive(Debug, Clone)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) span: Span,
    /// Voided calls included.
    pub(super) calls: Amounts,
    /// What voided calls say; each is a call all the same.
    pub(super) voided: Amounts,
    pub(super) ledger: Amounts,
    pub(super) daily: Amounts,
    /// When something last touched it that is not aggregated yet.
    pub(super) touched_at: Option<DateTime<Utc>>,
}

/// Compares a day.
pub(super) fn rows(organization: OrganizationId, day: &Day, now: DateTime<Utc>) -> Vec<Row> {
    let measures = [Measure::Calls, Measure::Minutes, Measure::Seconds, Measure::Cost];
    measures.into_iter().map(|measure| row(organization, day, measure, now)).collect()
}

fn row(organization: OrganizationId, day: &Day, measure: Measure, now: DateTime<Utc>) -> Row {
    let calls = day.calls.of(measure);
    let voided = day.voided.of(measure);
    let (ledger, daily) = (day.ledger.of(measure), day.daily.of(measure));
    let mut row = Row::new(organization, Scope::Day(day.date), measure);
    row.calls = Some(calls);
    row.ledger = Some(ledger);
    row.daily_usage = Some(daily);
    row.spread();
    if voided != 0 {
        row.explain(Reason::Voided, -voided);
    }
    let expected = calls - voided;
    // Call and ledger are written in one transaction, so nothing is ever in flight between them.
    row.unexplained = ledger.abs_diff(expected).try_into().unwrap_or(i64::MAX);
    let behind = daily - expected;
    if behind != 0 && is_in_flight(day, now) {
        row.explain(Reason::InFlight, behind);
        row.note = Some("not aggregated yet");
    } else {
        row.unexplained = row.unexplained.max(behind.saturating_abs());
    }
    row
}

/// Whether the aggregation still owes this day a look.
fn is_in_flight(day: &Day, now: DateTime<Utc>) -> bool {
    let is_touched = day.touched_at.is_some_and(|at| now - at < TOUCHED_PATIENCE);
    is_touched || now < aggregated_after(day.span.end) + AGGREGATION_PATIENCE
}

/// The first run of the schedule for which a day that ended at `end` is over.
fn aggregated_after(end: DateTime<Utc>) -> DateTime<Utc> {
    let hour = NaiveTime::from_hms_opt(AGGREGATED_AT_HOUR, 0, 0).unwrap_or(NaiveTime::MIN);
    let that_day = end.date_naive().and_time(hour).and_utc();
    if that_day >= end { that_day } else { that_day + TimeDelta::days(1) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use contract::period;
    use uuid::Uuid;

    use super::*;

    fn amounts(minutes: i64) -> Amounts {
        Amounts { calls: 1, minutes, seconds: 60 * minutes, cost: 0 }
    }

    /// A day in Kathmandu, long over and aggregated.
    fn day(calls: i64, ledger: i64, daily: i64) -> Day {
        let date: NaiveDate = "2026-11-20".parse().unwrap();
        Day {
            date,
            span: period::day(date, period::zone("Asia/Kathmandu").unwrap()),
            calls: amounts(calls),
            voided: Amounts::default(),
            ledger: amounts(ledger),
            daily: amounts(daily),
            touched_at: None,
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn minutes_of(day: &Day, now: &str) -> Row {
        let rows = rows(OrganizationId(Uuid::nil()), day, at(now));
        rows.into_iter().find(|row| row.measure == Measure::Minutes).unwrap()
    }

    const LATER: &str = "2026-11-25T00:00:00Z";

    #[test]
    fn books_that_agree_need_no_words() {
        assert!(minutes_of(&day(3, 3, 3), LATER).is_equal());
        let rows = rows(OrganizationId(Uuid::nil()), &day(3, 3, 3), at(LATER));
        assert_eq!((rows.len(), rows.iter().all(Row::is_equal)), (4, true));
    }

    #[test]
    fn whichever_book_differs_is_found() {
        for (books, unexplained) in [((3, 4, 3), 1), ((4, 3, 3), 1), ((3, 3, 5), 2), ((3, 0, 6), 3)]
        {
            let row = minutes_of(&day(books.0, books.1, books.2), LATER);
            assert_eq!(row.unexplained, unexplained, "{books:?}");
            assert!(row.explanations.is_empty(), "{books:?}");
        }
        assert_eq!(minutes_of(&day(3, 0, 6), LATER).difference, 6);
    }

    #[test]
    fn voided_calls_account_for_what_they_say_and_no_more() {
        let mut voided = day(10, 7, 7);
        voided.voided = Amounts { minutes: 3, ..Amounts::default() };
        let row = minutes_of(&voided, LATER);
        assert_eq!((row.difference, row.unexplained), (3, 0));
        assert_eq!(row.explanations[0].reason, Reason::Voided);
        voided.ledger.minutes = 8;
        assert_eq!(minutes_of(&voided, LATER).unexplained, 1);
        // Voided, and never taken back.
        voided.ledger.minutes = 10;
        assert_eq!(minutes_of(&voided, LATER).unexplained, 3);
    }

    #[test]
    fn a_day_is_in_flight_until_the_aggregation_was_due() {
        let behind = day(3, 3, 0);
        // The day ends at 18:15 UTC; its run is at 2:00.
        for (now, in_flight) in [
            ("2026-11-20T18:00:00Z", true),
            ("2026-11-21T02:30:00Z", true),
            ("2026-11-21T03:30:00Z", false),
            (LATER, false),
        ] {
            let row = minutes_of(&behind, now);
            assert_eq!(row.unexplained == 0, in_flight, "{now}");
            assert_eq!(row.difference, 3);
        }
        let mut touched = behind;
        touched.touched_at = Some(at("2026-11-24T20:00:00Z"));
        assert_eq!(minutes_of(&touched, LATER).unexplained, 0);
        // Two runs have passed it over.
        assert_eq!(minutes_of(&touched, "2026-11-26T12:00:00Z").unexplained, 3);
    }

    #[test]
    fn far_from_utc_a_day_is_owed_by_the_first_run_after_its_end() {
        for (zone, end, owed_until) in [
            // At 4:00 UTC on the 21st it is not over, and at 2:00 on the 22nd it is.
            ("Pacific/Honolulu", "2026-11-21T10:00:00Z", "2026-11-22T03:00:00Z"),
            ("Pacific/Kiritimati", "2026-11-20T10:00:00Z", "2026-11-21T03:00:00Z"),
            // Over when the books are compared, and not yet when the day before was added up.
            ("America/Sao_Paulo", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"),
            ("America/Noronha", "2026-11-21T02:00:00Z", "2026-11-21T03:00:00Z"),
        ] {
            let mut behind = day(3, 3, 1);
            behind.span = period::day(behind.date, period::zone(zone).unwrap());
            assert_eq!(behind.span.end, at(end), "{zone}");
            let unexplained = |now: &str| minutes_of(&behind, now).unexplained;
            let last = at(owed_until) - TimeDelta::seconds(1);
            assert_eq!(unexplained(&last.to_rfc3339()), 0, "{zone}");
            assert_eq!(unexplained(owed_until), 2, "{zone}");
        }
    }

    #[test]
    fn a_day_in_flight_hides_no_difference_of_the_ledger() {
        let row = minutes_of(&day(3, 4, 0), "2026-11-20T12:00:00Z");
        assert_eq!((row.unexplained, row.explanations.len()), (1, 1));
    }
}
