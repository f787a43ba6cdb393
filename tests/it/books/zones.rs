//! Zones far from UTC: what the nightly comparison finds of days that the nightly aggregation could not
//! have added up yet.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::{
    period::{day, zone},
    usage::Days,
};
use store::{
    daily,
    reconcile::{self, Look, Reason, Row, Scope},
};

use super::made::{Account, on};
use crate::harness::World;

/// Days that the schedule compares, the last of them the one before that of the run, in UTC.
const COMPARED: i64 = 35;
/// Hours from one call to the next.
const APART: i64 = 6;

impl Account<'_> {
    /// What the schedule does at 2:00 UTC.
    async fn aggregate_as_scheduled(&self, night: NaiveDate) {
        let at = at_hour(night, 2);
        daily::aggregate_page(&self.db, Days::Around { at }, None, 1000, at).await.unwrap();
    }

    /// What the schedule finds of days at 4:00 UTC.
    async fn compare_as_scheduled(&self, night: NaiveDate) -> Vec<Row> {
        let (from, to) = (night - TimeDelta::days(COMPARED), night - TimeDelta::days(1));
        let look = Look { from, to, now: at_hour(night, 4), all: false };
        let books = reconcile::of_organization(&self.db, &self.counters, self.organization, look);
        let is_of_day = |row: &Row| matches!(row.scope, Scope::Day(_));
        books.await.unwrap().rows.into_iter().filter(is_of_day).collect()
    }

    /// Calls that begin from one instant until another and are told a minute later.
    async fn calls_between(&self, from: DateTime<Utc>, until: DateTime<Utc>) {
        let starts = std::iter::successors(Some(from), |at| Some(*at + TimeDelta::hours(APART)));
        for started in starts.take_while(|at| *at < until) {
            let (started, told) = (started.to_rfc3339(), started + TimeDelta::minutes(1));
            self.call(&started, &started, 61, &told.to_rfc3339()).await;
        }
    }
}

fn at_hour(date: NaiveDate, hour: u32) -> DateTime<Utc> {
    date.and_hms_opt(hour, 0, 0).unwrap().and_utc()
}

fn half_past_two(date: NaiveDate) -> DateTime<Utc> {
    at_hour(date, 2) + TimeDelta::minutes(30)
}

/// The days that rows are about, each with what explains it or `None` where nothing does.
fn days_of(rows: &[Row]) -> Vec<(NaiveDate, Option<Reason>)> {
    let mut days: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let Scope::Day(date) = row.scope else { return None };
            let is_explained = row.unexplained == 0;
            let reason = row.explanations.first().map(|explanation| explanation.reason);
            Some((date, reason.filter(|_| is_explained)))
        })
        .collect();
    days.dedup();
    days
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_the_nightly_run_could_not_have_added_up_is_in_flight_and_no_other() {
    let world = World::with_quiet_books().await;
    for name in [
        // The day before ends at 10:00 UTC today.
        "Pacific/Honolulu",
        // It ended at 10:00 UTC yesterday.
        "Pacific/Kiritimati",
        // It ends between the two runs,
        "America/Sao_Paulo",
        // with the first of them,
        "America/Noronha",
        // and after both.
        "America/New_York",
        // It ended in the evening.
        "Asia/Kathmandu",
    ] {
        let account = Account::open(&world, name).await;
        let first = on("2026-11-20");
        for night in (0..=3).map(|nights| first + TimeDelta::days(nights)) {
            // Before, between and after the two runs.
            account.calls_between(at_hour(night, 0), at_hour(night, 2)).await;
            account.aggregate_as_scheduled(night).await;
            account.calls_between(half_past_two(night), at_hour(night, 4)).await;
            let found = days_of(&account.compare_as_scheduled(night).await);
            let newest = night - TimeDelta::days(1);
            let end = day(newest, zone(name).unwrap()).end;
            let is_in_flight = end > at_hour(night, 2);
            let expected: Vec<_> =
                is_in_flight.then_some((newest, Some(Reason::InFlight))).into_iter().collect();
            assert_eq!(found, expected, "{name}, the night of {night}");
            account.calls_between(at_hour(night, 6), at_hour(night, 23)).await;
        }
        // A night without its run: the day that was over before it has no excuse any more.
        let night = first + TimeDelta::days(4);
        let is_over = |date: &NaiveDate| day(*date, zone(name).unwrap()).end <= at_hour(night, 2);
        let owed = first.iter_days().take_while(is_over).last().unwrap();
        let found = days_of(&account.compare_as_scheduled(night).await);
        assert!(found.contains(&(owed, None)), "{name}, {owed} of {found:?}");
        account.aggregate_as_scheduled(night).await;
        let found = days_of(&account.compare_as_scheduled(night).await);
        assert!(found.iter().all(|(_, reason)| reason.is_some()), "{name}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_day_that_was_added_up_puts_it_in_flight_until_the_next_night() {
    let world = World::with_quiet_books().await;
    for name in ["Pacific/Honolulu", "Pacific/Kiritimati"] {
        let account = Account::open(&world, name).await;
        let night = on("2026-11-22");
        let zone = zone(name).unwrap();
        let over = |date: &NaiveDate| day(*date, zone).end <= at_hour(night, 2);
        let date = on("2026-11-19").iter_days().take_while(over).last().unwrap();
        let noon = day(date, zone).start + TimeDelta::hours(12);
        account.call("on time", &noon.to_rfc3339(), 61, &noon.to_rfc3339()).await;
        account.aggregate_as_scheduled(night).await;
        assert_eq!(days_of(&account.compare_as_scheduled(night).await), [], "{name}");
        account.call("late", &noon.to_rfc3339(), 61, "2026-11-22T03:30:00Z").await;
        let found = days_of(&account.compare_as_scheduled(night).await);
        assert_eq!(found, [(date, Some(Reason::InFlight))], "{name}");
        let next = night + TimeDelta::days(1);
        account.aggregate_as_scheduled(next).await;
        assert_eq!(days_of(&account.compare_as_scheduled(next).await), [], "{name}");
    }
}
