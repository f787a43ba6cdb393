//! Which period takes what.

use chrono::{DateTime, TimeDelta, Utc};

use super::books::{Books, answered, at};
use crate::harness::World;

impl Books<'_> {
    /// Closes the period that began then, as billing does.
    async fn freeze(&self, world: &World, start: &str) {
        let sql = "update billing_periods set watermark = period_end, status = 'closed'
                   where organization_id = $1 and period_start = $2 and status = 'closing'";
        let frozen = world.db.execute(sql, &[&self.organization.0, &at(start)]).await.unwrap();
        assert_eq!(frozen, 1, "{start}");
    }

    /// Finishes a call of a minute.
    async fn minute(&self, name: &str, started: DateTime<Utc>, now: DateTime<Utc>) {
        let call = self.call_told(name, now).await;
        self.finish(call, &answered(started, 60), now).await.unwrap();
    }

    /// Status and minutes of each period.
    async fn booked(&self) -> Vec<(String, i64)> {
        self.periods().await.into_iter().map(|(_, _, status, minutes)| (status, minutes)).collect()
    }
}

fn booked(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected.iter().map(|(status, minutes)| ((*status).to_owned(), *minutes)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_freeze_is_an_adjustment_in_the_open_period() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let (november, december) = (at("2026-11-30T23:50:00Z"), at("2026-12-01T00:05:00Z"));
    let call = books.call("late").await;
    books.finish(call, &answered(november, 300), november).await.unwrap();
    books.minute("of December", december, december).await;
    assert_eq!(books.booked().await, booked(&[("closing", 5), ("open", 1)]));
    // Not frozen yet: what occurred in November is of November.
    books.finish(call, &answered(november, 420), december).await.unwrap();
    books.minute("of November", november, december).await;
    assert_eq!(books.booked().await, booked(&[("closing", 8), ("open", 1)]));
    assert_eq!(books.touched().await, ["2026-11-30"]);

    books.freeze(&world, "2026-11-01T00:00:00Z").await;
    books.finish(call, &answered(november, 60), december).await.unwrap();
    books.minute("found late", november, december).await;
    assert_eq!(books.booked().await, booked(&[("closed", 8), ("open", -4)]), "-6, and 1 and 1");
    let sql = "select quantity, reason from usage_ledger l join billing_periods p on p.id = period_id
               where l.organization_id = $1 and meter = 'call_minutes' and occurred_at < period_start
               order by quantity";
    let rows = world.db.query(sql, &[&books.organization.0]).await.unwrap();
    let rows: Vec<(i64, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [(-6, "late"), (1, "late")]);
    // Back to December altogether: what was taken back so far counts.
    books.finish(call, &answered(december, 60), december).await.unwrap();
    assert_eq!(books.booked().await, booked(&[("closed", 8), ("open", -4)]));
    books.are_even().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_before_the_first_period_is_late_only_where_another_period_came_before() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let (now, before) = (at("2026-12-01T00:05:00Z"), at("2026-11-30T23:59:00Z"));
    let reasons = || async {
        let sql = "select distinct reason from usage_ledger where organization_id = $1 order by 1";
        let rows = world.db.query(sql, &[&books.organization.0]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    books.minute("over midnight", before, now).await;
    assert_eq!(reasons().await, ["call"]);
    let january = at("2027-01-02T00:00:00Z");
    books.minute("long ago", before, january).await;
    assert_eq!(reasons().await, ["call", "late"]);
    assert_eq!(books.booked().await, booked(&[("closing", 1), ("open", 1)]));
    books.are_even().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_slept_for_months_gets_every_period() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "America/New_York", 31).await;
    let autumn = at("2026-11-20T12:00:00Z");
    books.minute("autumn", autumn, autumn).await;
    let spring = at("2027-03-20T12:00:00Z");
    books.minute("spring", spring, spring).await;
    let periods = books.periods().await;
    let starts: Vec<String> = periods.iter().map(|(start, ..)| start.to_rfc3339()).collect();
    // Midnight there, by winter and by summer time; the last day of a month without a 31st.
    let expected = [
        "2026-10-31T04:00",
        "2026-11-30T05:00",
        "2026-12-31T05:00",
        "2027-01-31T05:00",
        "2027-02-28T05:00",
    ];
    assert_eq!(starts, expected.map(|start| format!("{start}:00+00:00")));
    assert!(periods.windows(2).all(|pair| pair[0].1 == pair[1].0), "{periods:?}");
    assert_eq!(periods[4].1, at("2027-03-31T04:00:00Z"));
    let statuses = [("closing", 1), ("closing", 0), ("closing", 0), ("closing", 0), ("open", 1)];
    assert_eq!(books.booked().await, booked(&statuses));
    let sql = "select count(*) from billing_events
               where organization_id = $1 and event = 'period.opened'";
    let opened: i64 = world.db.query_one(sql, &[&books.organization.0]).await.unwrap().get(0);
    assert_eq!(opened, 5);
    let totals = store::usage::unprojected_totals(&books.db, books.organization).await.unwrap();
    assert_eq!(totals.iter().map(|total| total.minutes).collect::<Vec<_>>(), [1, 0, 0, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_once_at_the_end_of_a_period_open_one() {
    const CALLS: usize = 50;
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let december = at("2026-12-01T00:00:00Z");
    for (place, now) in [at("2026-11-30T23:59:00Z"), december].into_iter().enumerate() {
        let mut calls = Vec::new();
        for number in 0..CALLS {
            calls.push(books.call(&format!("{place} {number}")).await);
        }
        // Every other one began before the end of November.
        let started = |number: usize| now - TimeDelta::seconds(30 * (number % 2) as i64);
        let finishing = calls.iter().enumerate().map(|(number, call)| {
            let (books, facts) = (&books, answered(started(number), 60));
            async move {
                // Fifty wait for a few connections; on a slow machine some of them too long.
                loop {
                    match books.finish(*call, &facts, now).await {
                        Err(error) if error.can_retry() => {}
                        done => return done,
                    }
                }
            }
        });
        let finished = futures::future::join_all(finishing).await;
        let failed: Vec<_> = finished.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
    assert_eq!(books.booked().await, booked(&[("closing", 75), ("open", 25)]));
    books.are_even().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_decides_where_its_subscriptions_periods_end() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let sql = "update organizations set current_period_start = '2026-11-15T08:30:00Z',
                   current_period_end = '2026-12-15T08:30:00Z' where id = $1";
    world.db.execute(sql, &[&books.organization.0]).await.unwrap();
    let now = at("2026-11-20T12:00:00Z");
    books.minute("within", now, now).await;
    let later = at("2026-12-15T08:30:00Z");
    books.minute("after", later, later).await;
    let spans: Vec<_> =
        books.periods().await.into_iter().map(|(start, end, ..)| (start, end)).collect();
    let expected = [(at("2026-11-15T08:30:00Z"), later), (later, at("2027-01-01T00:00:00Z"))];
    assert_eq!(spans, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_passes_a_threshold_is_told_of_in_its_transaction() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let now = at("2026-11-20T12:00:00Z");
    let alerts = || async {
        let sql = "select threshold from usage_alerts where organization_id = $1 order by 1";
        let rows = world.db.query(sql, &[&books.organization.0]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<i16>>()
    };
    let call = books.call("long").await;
    books.finish(call, &answered(now, 499 * 60), now).await.unwrap();
    assert!(alerts().await.is_empty());
    books.minute("the five hundredth", now, now).await;
    assert_eq!(alerts().await, [50]);
    books.finish(call, &answered(now, 899 * 60), now).await.unwrap();
    assert_eq!(alerts().await, [50, 75, 90]);
    books.finish(call, &answered(now, 60), now).await.unwrap();
    books.finish(call, &answered(now, 899 * 60), now).await.unwrap();
    assert_eq!(alerts().await, [50, 75, 90], "each once");
}
