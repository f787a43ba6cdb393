//! Days and billing periods in an organization's own time zone. Pure: the clock is the caller's.
//!
//! Zones are IANA's, from the database that the binary carries, so that every process and every
//! statement agrees on where a day begins.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// A span of time: from its first instant to the first one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub start: DateTime<Utc>,
    /// First instant after it.
    pub end: DateTime<Utc>,
}

/// The zone of this name, as `Asia/Kathmandu`. Nothing where there is none.
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The zone of this name; UTC where there is none, so that no organization goes unbilled for it.
pub fn zone_or_utc(name: &str) -> Tz {
    zone(name).unwrap_or(Tz::UTC)
}

/// The day that it is somewhere.
pub fn local_date(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first instant of a day. A day may begin later than at midnight, or twice (then the first one
/// counts), and one that a zone left out (Apia, 30 December 2011) begins where the next one does.
pub fn day_start(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let mut local = date.and_time(NaiveTime::MIN);
    loop {
        if let Some(start) = zone.from_local_datetime(&local).earliest() {
            return start.with_timezone(&Utc);
        }
        // Clocks jumped over it, by at most a day.
        local += TimeDelta::minutes(1);
    }
}

/// A day, 23 to 25 hours long where clocks change in it.
pub fn day(date: NaiveDate, zone: Tz) -> Span {
    let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
    Span { start: day_start(date, zone), end: day_start(next, zone) }
}

/// The period around an instant: from an anchor day to the next. `anchor_day` is 1 to 31; in a shorter
/// month it is the last day.
pub fn period_of(at: DateTime<Utc>, anchor_day: u32, zone: Tz) -> Span {
    let date = local_date(at, zone);
    let this = anchored(date, anchor_day);
    let first = if date >= this { this } else { anchored(month_before(date), anchor_day) };
    let next = anchored(month_after(first), anchor_day);
    Span { start: day_start(first, zone), end: day_start(next, zone) }
}

/// The period after one that ended at `end`: the next anchor day ends it. No gap, no overlap, also
/// where the one before ended in mid-month.
pub fn period_after(end: DateTime<Utc>, anchor_day: u32, zone: Tz) -> Span {
    Span { start: end, end: period_of(end, anchor_day, zone).end }
}

/// Where a period that began at `start` ends beside a subscription at Stripe: with Stripe's period if it
/// began in that, at the beginning of Stripe's if that comes next, else at the anchor day.
pub fn end_beside(start: DateTime<Utc>, stripe: Span, anchor_day: u32, zone: Tz) -> DateTime<Utc> {
    if stripe.start <= start && start < stripe.end {
        return stripe.end;
    }
    let anchored = period_after(start, anchor_day, zone).end;
    // Stripe's periods begin at an hour of the anchor day in UTC, here perhaps the day after it: a midnight
    // before that would leave a period of some hours, with all its included minutes.
    let is_next = local_date(stripe.start, zone) <= local_date(anchored, zone) + Days::new(1);
    if start < stripe.start && is_next { stripe.start } else { anchored }
}

fn anchored(month: NaiveDate, anchor_day: u32) -> NaiveDate {
    let days = (28..=31).rev().chain([1]);
    let mut candidates = [anchor_day].into_iter().chain(days.filter(|day| *day <= anchor_day));
    candidates.find_map(|day| month.with_day(day)).unwrap_or(month)
}

fn month_before(date: NaiveDate) -> NaiveDate {
    let first = date.with_day(1).unwrap_or(date);
    first.checked_sub_months(Months::new(1)).unwrap_or(first)
}

fn month_after(date: NaiveDate) -> NaiveDate {
    let first = date.with_day(1).unwrap_or(date);
    first.checked_add_months(Months::new(1)).unwrap_or(first)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn on(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_of_january_is_followed_by_the_last_of_february_and_of_march() {
        let mut span = period_of(utc("2027-01-31T12:00:00Z"), 31, Tz::UTC);
        let mut starts = Vec::new();
        for _ in 0..4 {
            starts.push(local_date(span.start, Tz::UTC).to_string());
            span = period_after(span.end, 31, Tz::UTC);
        }
        assert_eq!(starts, ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]);
        let leap = period_of(utc("2028-02-29T00:00:00Z"), 30, Tz::UTC);
        assert_eq!(local_date(leap.start, Tz::UTC).to_string(), "2028-02-29");
    }

    #[test]
    fn days_are_as_long_as_their_clocks_make_them() {
        let hours = |date, zone: &str| {
            let span = day(on(date), super::zone(zone).unwrap());
            (span.end - span.start).num_minutes()
        };
        assert_eq!(hours("2026-03-08", "America/New_York"), 23 * 60);
        assert_eq!(hours("2026-11-01", "America/New_York"), 25 * 60);
        assert_eq!(hours("2026-11-02", "America/New_York"), 24 * 60);
        assert_eq!(hours("2011-12-30", "Pacific/Apia"), 0, "a day that never was");
        assert_eq!(hours("2026-04-05", "Australia/Lord_Howe"), 24 * 60 + 30);
    }

    #[test]
    fn zones_are_far_from_utc_by_odd_times() {
        let start = |zone: &str| day_start(on("2026-11-20"), super::zone(zone).unwrap());
        assert_eq!(start("Asia/Kathmandu"), utc("2026-11-19T18:15:00Z"));
        assert_eq!(start("Pacific/Apia"), utc("2026-11-19T11:00:00Z"));
        // Clocks went from 23:59 to 01:00: the day began at one o'clock.
        let beirut = day_start(on("2026-03-29"), super::zone("Asia/Beirut").unwrap());
        assert_eq!(beirut, utc("2026-03-28T22:00:00Z"));
        assert_eq!(zone_or_utc("Mars/Olympus"), Tz::UTC);
    }

    #[test]
    fn a_period_that_was_cut_ends_at_the_next_anchor() {
        let cut = period_after(utc("2026-11-20T15:30:00Z"), 1, Tz::UTC);
        assert_eq!(cut.start, utc("2026-11-20T15:30:00Z"));
        assert_eq!(cut.end, utc("2026-12-01T00:00:00Z"));
    }

    proptest! {
        #[test]
        fn days_and_periods_touch(
            seconds in 0_i64..4_000_000_000,
            anchor in 1_u32..=31,
            zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
        ) {
            let at = DateTime::from_timestamp(seconds, 0).unwrap();
            let date = local_date(at, zone);
            let day = day(date, zone);
            prop_assert!(day.start <= at && at < day.end, "{at} {zone} {day:?}");
            let period = period_of(at, anchor, zone);
            prop_assert!(period.start <= at && at < period.end, "{at} {zone} {period:?}");
            let next = period_after(period.end, anchor, zone);
            prop_assert_eq!(next, period_of(period.end, anchor, zone));
            let days = (next.end - next.start).num_hours();
            prop_assert!((27 * 24..=32 * 24).contains(&days), "{days}");
        }
    }
}
