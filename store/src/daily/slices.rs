//! Which instants bound which days of which organizations, as the statement takes it.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use contract::{
    period::{self, Span},
    usage::{Days, LONGEST_AFTER_CREATION, LONGEST_BEFORE_CREATION},
};
use uuid::Uuid;

/// Organizations and a run of days in each of their zones. Organizations are many and zones few, so
/// bounds are kept by zone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slices {
    pub(super) organizations: Vec<Uuid>,
    /// Names as the organizations have them; a name that is no zone's stands for UTC.
    pub(super) zones: Vec<String>,
    /// The first day, by zone.
    pub(super) first_days: Vec<NaiveDate>,
    /// Where a zone's bounds begin and end in `bounds`, counted from 1.
    pub(super) firsts: Vec<i32>,
    pub(super) lasts: Vec<i32>,
    /// Beginnings of days, and after them the end of the last one, zone after zone.
    pub(super) bounds: Vec<DateTime<Utc>>,
    /// The first and the last of all days.
    pub(super) days: (NaiveDate, NaiveDate),
    /// When calls of these days occurred.
    pub(super) occurred: Span,
    /// When the rows of these calls were made, which decides their partitions.
    pub(super) created: Span,
}

impl Slices {
    /// Nothing where there are no organizations. `days` gives a zone's first and last day.
    pub(super) fn new<'a>(
        organizations: Vec<Uuid>,
        zones: impl Iterator<Item = &'a str>,
        days: impl Fn(&str) -> (NaiveDate, NaiveDate),
    ) -> Option<Self> {
        let zones: Vec<String> =
            zones.collect::<BTreeSet<&str>>().into_iter().map(str::to_owned).collect();
        let (mut first_days, mut last_days) = (Vec::new(), Vec::new());
        let (mut firsts, mut lasts, mut bounds) = (Vec::new(), Vec::new(), Vec::new());
        for name in &zones {
            let zone = period::zone_or_utc(name);
            let (first, last) = days(name);
            firsts.push(place(bounds.len()));
            let all = first.iter_days().take_while(|day| *day <= last);
            bounds.extend(all.map(|day| period::day_start(day, zone)));
            bounds.push(period::day(last, zone).end);
            lasts.push(place(bounds.len() - 1));
            first_days.push(first);
            last_days.push(last);
        }
        let occurred = Span { start: *bounds.iter().min()?, end: *bounds.iter().max()? };
        Some(Self {
            organizations,
            zones,
            days: (*first_days.iter().min()?, *last_days.iter().max()?),
            first_days,
            firsts,
            lasts,
            bounds,
            occurred,
            created: Span {
                start: occurred.start - LONGEST_AFTER_CREATION,
                end: occurred.end + LONGEST_BEFORE_CREATION,
            },
        })
    }
}

/// The first and the last day that `days` are in a zone.
pub(super) fn days_in(days: Days, zone: &str) -> (NaiveDate, NaiveDate) {
    match days {
        Days::Between { from, to } => (from, to),
        Days::Around { at } => {
            let zone = period::zone_or_utc(zone);
            let last = period::local_date(at, zone);
            // A day that a zone left out is none: the last whole one lies before it.
            let has_length = |day: &NaiveDate| {
                let Span { start, end } = period::day(*day, zone);
                start < end
            };
            let earlier = std::iter::successors(last.pred_opt(), NaiveDate::pred_opt);
            (earlier.take(2).find(has_length).unwrap_or(last), last)
        }
    }
}

/// The same days as one or several, each of at most `most` days.
pub(super) fn pieces(days: Days, most: u32) -> Vec<Days> {
    let Days::Between { from, to } = days else { return vec![days] };
    let step = usize::try_from(most.max(1)).unwrap_or(1);
    let starts = from.iter_days().step_by(step).take_while(|start| *start <= to);
    let pieces = starts.map(|from| {
        let last = from.iter_days().take(step).take_while(|day| *day <= to).last();
        Days::Between { from, to: last.unwrap_or(from) }
    });
    pieces.collect()
}

/// Whether the days from `first` to `last` are at most `most`.
pub(super) fn fits(first: NaiveDate, last: NaiveDate, most: u32) -> bool {
    (last - first).num_days() < i64::from(most)
}

/// Whether `days` hold a day of a zone.
pub(super) fn holds(days: Days, zone: &str, day: NaiveDate) -> bool {
    let (first, last) = days_in(days, zone);
    (first..=last).contains(&day)
}

/// A position as Postgres counts: from 1.
fn place(index: usize) -> i32 {
    i32::try_from(index + 1).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn on(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn around(at: &str, zone: &str) -> [String; 2] {
        let (first, last) = days_in(Days::Around { at: utc(at) }, zone);
        [first.to_string(), last.to_string()]
    }

    #[test]
    fn a_run_takes_the_last_whole_day_and_the_one_that_has_begun() {
        let at = "2026-11-21T02:00:00Z";
        assert_eq!(around(at, "UTC"), ["2026-11-20", "2026-11-21"]);
        assert_eq!(around(at, "America/New_York"), ["2026-11-19", "2026-11-20"]);
        assert_eq!(around(at, "Asia/Kathmandu"), ["2026-11-20", "2026-11-21"]);
        assert_eq!(around("2026-11-21T12:00:00Z", "Pacific/Apia"), ["2026-11-21", "2026-11-22"]);
        assert_eq!(around(at, "Mars/Olympus"), ["2026-11-20", "2026-11-21"]);
        // The zone jumped over the 30th.
        assert_eq!(around("2011-12-30T12:00:00Z", "Pacific/Apia"), ["2011-12-29", "2011-12-31"]);
    }

    #[test]
    fn pieces_are_the_whole() {
        let between = |from, to| Days::Between { from: on(from), to: on(to) };
        let week = |from, to| pieces(between(from, to), 7);
        assert_eq!(week("2026-11-01", "2026-11-01"), [between("2026-11-01", "2026-11-01")]);
        assert_eq!(week("2026-11-01", "2026-11-07"), [between("2026-11-01", "2026-11-07")]);
        let three = [
            between("2026-10-25", "2026-10-31"),
            between("2026-11-01", "2026-11-07"),
            between("2026-11-08", "2026-11-08"),
        ];
        assert_eq!(week("2026-10-25", "2026-11-08"), three);
        assert_eq!(week("2026-11-02", "2026-11-01"), []);
        let around = Days::Around { at: utc("2026-11-21T02:00:00Z") };
        assert_eq!(pieces(around, 7), [around]);
        assert!(fits(on("2026-11-01"), on("2026-11-07"), 7));
        assert!(!fits(on("2026-11-01"), on("2026-11-08"), 7));
    }

    #[test]
    fn each_zone_has_its_own_bounds() {
        let days = |_: &str| (on("2026-10-31"), on("2026-11-01"));
        let zones = ["Asia/Kathmandu", "America/New_York", "Asia/Kathmandu"];
        let ids = vec![Uuid::nil(); 3];
        let slices = Slices::new(ids, zones.into_iter(), days).unwrap();
        assert_eq!(slices.zones, ["America/New_York", "Asia/Kathmandu"]);
        assert_eq!((slices.firsts, slices.lasts), (vec![1, 4], vec![3, 6]));
        let bounds = [
            "2026-10-31T04:00:00Z",
            "2026-11-01T04:00:00Z",
            // 25 hours later.
            "2026-11-02T05:00:00Z",
            "2026-10-30T18:15:00Z",
            "2026-10-31T18:15:00Z",
            "2026-11-01T18:15:00Z",
        ];
        assert_eq!(slices.bounds, bounds.map(utc));
        assert_eq!(slices.occurred, Span { start: utc(bounds[3]), end: utc(bounds[2]) });
        assert_eq!(slices.created.start, utc("2026-09-28T18:15:00Z"));
        assert_eq!(slices.created.end, utc("2026-12-12T05:00:00Z"));
        assert_eq!(Slices::new(Vec::new(), [].into_iter(), days), None);
    }
}
