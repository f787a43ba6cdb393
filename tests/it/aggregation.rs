//! Days of usage: each organization's own, recomputed and replaced, without reading what is not of them.

mod kills;
mod made;
mod races;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Months, NaiveDate, TimeDelta, Utc};
use contract::{
    period,
    usage::{Days, UsageAggregated},
};
use store::daily::{
    generated::{self, Generated},
    plan,
};
use uuid::Uuid;

use self::made::{Call, Day, Household, at, between, on};
use crate::harness::{Options, World};

/// Enough that an index is worth its while.
const CALLS: u64 = 60_000;

impl World {
    /// Nobody but the test aggregates here.
    async fn of_days() -> Self {
        Self::with(Options { no_worker: true, ..Options::default() }).await
    }
}

/// Zone, day, and its first instant and the first one after it, by the zones' own clocks.
const BOUNDS: [(&str, &str, &str, &str); 8] = [
    // 23 and 25 hours long.
    ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
    ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
    ("Asia/Kathmandu", "2026-03-08", "2026-03-07T18:15:00Z", "2026-03-08T18:15:00Z"),
    ("Asia/Kathmandu", "2026-11-01", "2026-10-31T18:15:00Z", "2026-11-01T18:15:00Z"),
    ("Pacific/Apia", "2026-03-08", "2026-03-07T11:00:00Z", "2026-03-08T11:00:00Z"),
    ("Pacific/Apia", "2026-11-01", "2026-10-31T11:00:00Z", "2026-11-01T11:00:00Z"),
    // By half an hour.
    ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"),
    // Nobody knows it: days of UTC.
    ("Mars/Olympus", "2026-11-01", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_day_begins_and_ends_when_its_zone_says() {
    let world = World::of_days().await;
    let microsecond = TimeDelta::microseconds(1);
    for (zone, day, start, end) in BOUNDS {
        let house = Household::open(&world, zone).await;
        let (start, end) = (at(start), at(end));
        for occurred_at in [start - microsecond, start, end - microsecond, end] {
            house.called(Call { occurred_at, ..Call::answered() }).await;
        }
        let aggregated = house.aggregate(between(day, day)).await;
        assert_eq!(aggregated.rows_written, 2, "{zone} {day}: two calls of one assistant");
        let days = house.days().await;
        let totals = [(on(day), 2)];
        assert_eq!(made::totals(&days), totals, "{zone} {day}");
        house.aggregate(between("2026-03-01", "2026-04-30")).await;
        house.aggregate(between("2026-10-25", "2026-11-05")).await;
        let around = [on(day) - TimeDelta::days(1), on(day), on(day) + TimeDelta::days(1)];
        let totals = around.into_iter().zip([1, 2, 1]).collect::<Vec<_>>();
        assert_eq!(made::totals(&house.days().await), totals, "{zone} {day}");
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_in_the_day_that_it_occurred_on_there() {
    let world = World::of_days().await;
    let zones = ["America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Europe/Berlin"];
    for zone in zones {
        let house = Household::open(&world, zone).await;
        let mut expected = BTreeMap::new();
        for (from, to) in [("2026-03-01", "2026-04-10"), ("2026-10-20", "2026-11-10")] {
            let noons = on(from).iter_days().take_while(|day| *day <= on(to));
            for noon in noons.map(|day| house.noon(day)) {
                // Around the clock, and over each change of it.
                for occurred_at in (-7..=7).map(|step| noon + TimeDelta::minutes(step * 97)) {
                    *expected.entry(house.local(occurred_at)).or_insert(0) += 1;
                    house.called(Call::answered_at(occurred_at)).await;
                }
            }
        }
        house.aggregate(between("2026-02-20", "2026-12-31")).await;
        let totals: Vec<(NaiveDate, i64)> = expected.into_iter().collect();
        assert_eq!(made::totals(&house.days().await), totals, "{zone}");
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_says_what_its_calls_say_by_assistant_too() {
    let world = World::of_days().await;
    let house = Household::open(&world, "Asia/Kathmandu").await;
    let occurred_at = at("2026-11-20T10:00:00Z");
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let call = |assistant, status, seconds, cost| Call {
        occurred_at,
        assistant,
        status,
        seconds: Some(seconds),
        cost,
    };
    house.called(call(Some(first), "completed", 61, "0.100001")).await;
    house.called(call(Some(first), "no-answer", 0, "0")).await;
    house.called(call(Some(second), "completed", 59, "0.2")).await;
    house.called(call(None, "failed", 10, "0.05")).await;
    // Nobody has counted it yet.
    house
        .called(Call { status: "in-progress", seconds: None, ..Call::answered_at(occurred_at) })
        .await;
    let voided = house.called(call(Some(second), "completed", 600, "1")).await;
    house.void(voided).await;
    house.aggregate(between("2026-11-20", "2026-11-20")).await;
    let row = |assistant,
               [calls, completed, minutes, seconds]: [i64; 4],
               average: &str,
               cost: &str| Day {
        date: on("2026-11-20"),
        assistant,
        calls,
        completed,
        failed: calls - completed,
        minutes,
        seconds,
        average: average.to_owned(),
        cost: cost.to_owned(),
    };
    let expected = [
        row(None, [5, 3, 4, 130], "26.000", "0.350001"),
        row(Some(first), [2, 1, 2, 61], "30.500", "0.100001"),
        row(Some(second), [2, 2, 1, 59], "29.500", "0.200000"),
    ];
    assert_eq!(house.days().await, expected);

    // The only call of an assistant becomes another's: its row goes.
    let sql = "update calls set assistant_id = $2 where assistant_id = $1";
    world.db.execute(sql, &[&second, &first]).await.unwrap();
    let changed = house.aggregate(between("2026-11-20", "2026-11-20")).await;
    assert_eq!((changed.rows_written, changed.rows_removed), (1, 1));
    let expected = [
        row(None, [5, 3, 4, 130], "26.000", "0.350001"),
        row(Some(first), [4, 3, 3, 120], "30.000", "0.300001"),
    ];
    assert_eq!(house.days().await, expected);
    world.db.execute("delete from calls", &[]).await.unwrap();
    let changed = house.aggregate(between("2026-11-20", "2026-11-20")).await;
    assert_eq!((changed.rows_written, changed.rows_removed), (0, 2));
    assert_eq!(house.days().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_take_every_organization_once_and_those_that_are_gone_too() {
    let world = World::of_days().await;
    let day = "2026-11-20";
    let mut houses = Vec::new();
    for zone in ["UTC", "Pacific/Apia", "Mars/Olympus", "Asia/Tokyo", "Not/AZone"] {
        let house = Household::open(&world, zone).await;
        house.called(Call::answered_at(house.noon(on(day)))).await;
        houses.push(house);
    }
    houses[3].close().await;
    let (mut all, mut after, mut pages) = (UsageAggregated::default(), None, 0);
    loop {
        let page = houses[0].page(between(day, day), after, 2).await;
        all = all.and(page.aggregated);
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // The world's own organization has no calls.
    assert_eq!((pages, all.organizations, all.unknown_zones), (3, 6, 2));
    assert_eq!(all.rows_written, 2 * 5);
    for house in &houses {
        assert_eq!(made::totals(&house.days().await), [(on(day), 1)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_read_without_the_rest_of_its_month() {
    let world = World::of_days().await;
    let today = Utc::now().date_naive();
    let month = today.with_day(1).unwrap() - Months::new(1);
    let generated = Generated { month, calls: CALLS, organizations: 200 };
    generated::fill(&world.database_url(), generated).await.unwrap();
    let house = Household::open(&world, "UTC").await;
    let explain = |days| plan::explain(&house.db, days, 10_000, Utc::now());
    let middle = month + TimeDelta::days(14);
    let day = explain(Days::Between { from: middle, to: middle }).await.unwrap();
    assert!(day.pruned > 0 && day.pruned < day.partitions, "{day:?}");
    assert_eq!(day.read_in_full, BTreeSet::new(), "{day:?}");
    assert!(day.rows_read > CALLS / 31 && day.rows_read < CALLS / 8, "{day:?}");

    let to = month + Months::new(1) - TimeDelta::days(1);
    let whole = Days::Between { from: month, to };
    let all = explain(whole).await.unwrap();
    assert!(all.pruned > 0, "{all:?}");
    // A week at a time, and of each zone its own: the weeks overlap by a day.
    assert!(all.rows_read >= CALLS && all.rows_read < CALLS * 3 / 2, "{all:?}");

    // What was explained was taken back.
    let fingerprint = || async { generated::fingerprint(&world.database_url()).await.unwrap() };
    assert_eq!(fingerprint().await.0, 0);
    let first = house.aggregate(whole).await;
    let after_first = fingerprint().await;
    assert_eq!(i64::try_from(first.rows_written).unwrap(), after_first.0);
    let later = Utc::now() + TimeDelta::hours(1);
    let again = house.aggregate_at(whole, later).await;
    assert_eq!((again.rows_written, again.rows_removed), (0, 0));
    assert_eq!(fingerprint().await, after_first, "nor was a time of computation written");
    assert_eq!(generated_total(&world).await, i64::try_from(CALLS).unwrap());
}

/// Calls in the days, but for those whose local day is another month's: they stay in its last or first.
async fn generated_total(world: &World) -> i64 {
    let sql =
        "select (select coalesce(sum(total_calls), 0) from daily_usage where assistant_id is null)
        + (select count(*) from calls c join organizations o on o.id = c.organization_id
           where (c.occurred_at at time zone
               case o.timezone when 'Mars/Olympus' then 'UTC' else o.timezone end)::date
               not between $1 and $2)";
    let today = Utc::now().date_naive();
    let first = today.with_day(1).unwrap() - Months::new(1);
    let last = first + Months::new(1) - TimeDelta::days(1);
    world.db.query_one(sql, &[&first, &last]).await.unwrap().get(0)
}

#[test]
fn the_bounds_of_this_test_are_those_of_the_zones() {
    for (zone, day, start, end) in BOUNDS {
        let span = period::day(on(day), period::zone_or_utc(zone));
        assert_eq!((span.start, span.end), (at(start), at(end)), "{zone} {day}");
    }
}
