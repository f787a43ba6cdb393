//! What comes late, and what comes at the same time.

use chrono::{NaiveDate, TimeDelta};

use super::made::{self, Call, Household, TOUCH, at, on, whole_day};
use crate::harness::{
    World,
    held::{pid_of, waits_for},
};

#[tokio::test(flavor = "multi_thread")]
async fn days_that_late_calls_touched_are_mended_by_the_next_run() {
    let world = World::of_days().await;
    let house = Household::open(&world, "America/New_York").await;
    let other = Household::open(&world, "Asia/Tokyo").await;
    let day = |text: &str| on(text);
    let long_ago = [day("2026-09-10"), day("2026-09-11"), day("2026-10-31")];
    let yesterday = day("2026-11-20");
    let around = whole_day(yesterday);
    for past in [&house, &other] {
        for date in long_ago.into_iter().chain([yesterday]) {
            past.called(Call::answered_at(past.noon(date))).await;
        }
    }
    house.aggregate(around).await;
    let only_yesterday = [(yesterday, 1)];
    assert_eq!(made::totals(&house.days().await), only_yesterday);
    for date in long_ago.into_iter().chain([yesterday]) {
        house.touch(date).await;
    }
    let mended = house.aggregate(around).await;
    assert_eq!((mended.touched_days, mended.rows_written), (4, 6));
    let all: Vec<(NaiveDate, i64)> =
        long_ago.into_iter().chain([yesterday]).map(|d| (d, 1)).collect();
    assert_eq!(made::totals(&house.days().await), all);
    assert_eq!(made::totals(&other.days().await), only_yesterday, "nobody touched its days");
    assert_eq!(house.touched().await, [], "they are done");

    // One that comes late, and one that was taken away.
    house.called(Call::answered_at(house.noon(long_ago[0]))).await;
    world
        .db
        .execute(
            "delete from calls where occurred_at between $1 and $2",
            &[&at("2026-10-31T00:00:00Z"), &at("2026-11-01T12:00:00Z")],
        )
        .await
        .unwrap();
    assert_eq!(house.aggregate(around).await.rows_written, 0, "of days that nothing touched");
    house.touch(long_ago[0]).await;
    house.touch(long_ago[2]).await;
    let mended = house.aggregate(around).await;
    assert_eq!((mended.rows_written, mended.rows_removed), (2, 2));
    let all = [(long_ago[0], 2), (long_ago[1], 1), (yesterday, 1)];
    assert_eq!(made::totals(&house.days().await), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_finished_during_a_run_is_not_forgotten() {
    let world = World::of_days().await;
    let house = Household::open(&world, "UTC").await;
    let (past, yesterday) = (on("2026-10-05"), on("2026-11-20"));
    house.called(Call::answered_at(house.noon(past))).await;
    house.touch(past).await;
    // A finished call holds the row of its day; the run reads what was there before, and waits.
    world.db.batch_execute("begin").await.unwrap();
    house.called(Call::answered_at(house.noon(past))).await;
    world.db.execute(TOUCH, &[&house.id, &past]).await.unwrap();
    let (look, holder) = (world.another_connection().await, pid_of(&world.db).await);
    let run = house.aggregate(whole_day(yesterday));
    let commit = async {
        waits_for(&look, holder, "usage_days_touched").await;
        world.db.batch_execute("commit").await.unwrap();
    };
    let (aggregated, ()) = tokio::join!(run, commit);
    assert_eq!(aggregated.rows_written, 2);
    assert_eq!(made::totals(&house.days().await), [(past, 1)], "as it was when the run began");
    assert_eq!(house.touched().await, [past], "what came since waits for the next run");
    house.aggregate(whole_day(yesterday)).await;
    assert_eq!(made::totals(&house.days().await), [(past, 2)]);
    assert_eq!(house.touched().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_leave_what_one_leaves() {
    let world = World::of_days().await;
    let house = Household::open(&world, "Pacific/Apia").await;
    let first = on("2026-11-01");
    for hours in 0..240 {
        house.called(Call::answered_at(house.noon(first) + TimeDelta::hours(hours))).await;
    }
    let days = made::between("2026-11-01", "2026-11-20");
    let runs = futures::future::join_all((0..4).map(|_| house.aggregate(days))).await;
    let written: u64 = runs.iter().map(|run| run.rows_written).sum();
    let days = house.days().await;
    assert_eq!(written, u64::try_from(days.len()).unwrap(), "three of them had nothing to do");
    assert_eq!(made::totals(&days).iter().map(|(_, calls)| calls).sum::<i64>(), 240);
}
