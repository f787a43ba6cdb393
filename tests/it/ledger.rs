//! The ledger says what the calls say: by call, by day, by period, and in Redis. The time is told.

mod books;
mod periods;
mod redis_counters;

use chrono::TimeDelta;
use contract::{call::CallStatus, merge::CallFacts};
use rust_decimal::Decimal;

use self::books::{Books, Row, answered, at};
use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_duration_is_a_revision_with_the_difference() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let now = at("2026-11-20T12:00:00Z");
    let started = now - TimeDelta::hours(1);
    let call = books.call("one").await;
    let mut facts = answered(started, 151);
    facts.cost_usd = Some(Decimal::new(70_001, 6));
    books.finish(call, &facts, now).await.unwrap();
    let rows = books.ledger(call).await;
    let first = |meter, quantity| Row::new(meter, 0, quantity, "call", started);
    let expected =
        [first("call_cost", 70_001), first("call_minutes", 3), first("call_seconds", 151)];
    assert_eq!(rows, expected);
    let total = books.total().await;
    assert_eq!((total.minutes, total.seconds, total.cost_micros), (3, 151, 70_001));
    assert_eq!(total.sequence, 3);

    books.finish(call, &facts, now).await.unwrap();
    assert_eq!(books.ledger(call).await, expected, "the same again");
    assert_eq!(books.total().await, total);

    let shorter = CallFacts { duration_seconds: Some(150), ..facts.clone() };
    books.finish(call, &shorter, now).await.unwrap();
    let mut with_seconds = expected.to_vec();
    with_seconds.push(Row::new("call_seconds", 1, -1, "correction", started));
    assert_eq!(books.ledger(call).await, with_seconds, "of what differs only");
    let total = books.total().await;
    assert_eq!((total.minutes, total.seconds, total.sequence), (3, 150, 4));
    assert!(books.touched().await.is_empty(), "the day goes on");

    let unanswered = CallFacts {
        status: Some(CallStatus::NoAnswer),
        created_at: Some(started),
        duration_seconds: Some(0),
        ..CallFacts::default()
    };
    let other = books.call("unanswered").await;
    books.finish(other, &unanswered, now).await.unwrap();
    let rows = books.ledger(other).await;
    assert_eq!(rows.iter().map(|row| row.quantity).collect::<Vec<_>>(), [0; 3]);
    assert_eq!(books.total().await, total, "nothing was used");
    books.are_even().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_moves_to_another_day_is_taken_back_there_and_counted_here() {
    let world = World::postgres_only().await;
    // Days there begin at 18:15 in UTC.
    let books = Books::open(&world, "Asia/Kathmandu", 1).await;
    let now = at("2026-11-20T21:00:00Z");
    let (after, before) = (at("2026-11-20T18:15:00Z"), at("2026-11-20T18:14:59.999999Z"));
    let (talked, silent) = (books.call("talked").await, books.call("silent").await);
    books.finish(talked, &answered(after, 61), now).await.unwrap();
    books.finish(silent, &answered(after, 0), now).await.unwrap();
    assert!(books.touched().await.is_empty());
    books.finish(talked, &answered(before, 61), now).await.unwrap();
    books.finish(silent, &answered(before, 0), now).await.unwrap();
    let moved =
        |revision, quantity, when| Row::new("call_minutes", revision, quantity, "moved", when);
    let minutes = |rows: Vec<Row>| {
        rows.into_iter().filter(|row| row.meter == "call_minutes").skip(1).collect::<Vec<_>>()
    };
    let rows = minutes(books.ledger(talked).await);
    assert_eq!(rows, [moved(1, -2, after), moved(2, 2, before)]);
    assert_eq!(minutes(books.ledger(silent).await), [moved(1, 0, before)], "where it is now");
    assert_eq!(books.touched().await, ["2026-11-20"], "the one that is over");
    assert_eq!(books.total().await.minutes, 2);
    books.are_even().await;

    let tomorrow = now + TimeDelta::days(1);
    books.finish(talked, &answered(after, 61), tomorrow).await.unwrap();
    assert_eq!(books.touched().await, ["2026-11-20", "2026-11-21"], "the old and the new day");
    books.are_even().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voided_call_counts_nothing_whatever_is_told_later() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let now = at("2026-11-20T12:00:00Z");
    let call = books.call("voided").await;
    books.finish(call, &answered(now, 600), now).await.unwrap();
    let sql =
        "insert into usage_voids (organization_id, call_id, reason) values ($1, $2, 'a test')";
    world.db.execute(sql, &[&books.organization.0, &call.0]).await.unwrap();
    for seconds in [600, 1200, 60] {
        books.finish(call, &answered(now, seconds), now).await.unwrap();
        assert_eq!(books.total().await.minutes, 0, "{seconds}");
    }
    let rows = books.ledger(call).await;
    let reasons = rows.iter().filter(|row| row.meter == "call_minutes").map(|row| &*row.reason);
    assert_eq!(reasons.collect::<Vec<_>>(), ["call", "voided"]);
    let row = books.call_row(call).await;
    assert_eq!((row.seconds, row.minutes), (Some(60), Some(1)), "the call says what was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn durations_that_cannot_be_are_cut_and_flagged() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let now = at("2026-11-20T12:00:00Z");
    let endless = answered(now, u32::MAX);
    let reversed = CallFacts {
        ended_at: Some(now - TimeDelta::seconds(1)),
        duration_seconds: None,
        ..answered(now, 0)
    };
    let ordinary = answered(now, 86_400);
    for (name, facts, seconds, flag) in [
        ("endless", endless, 86_400, Some("capped")),
        ("reversed", reversed, 0, Some("negative")),
        ("ordinary", ordinary, 86_400, None),
    ] {
        let call = books.call(name).await;
        books.finish(call, &facts, now).await.unwrap();
        let row = books.call_row(call).await;
        assert_eq!((row.seconds, row.flag.as_deref()), (Some(seconds), flag), "{name}");
        // Bodies age out: the row is asked then.
        books.finish_from_row(call, now).await.unwrap();
        assert_eq!(books.call_row(call).await.flag.as_deref(), flag, "{name}");
    }
    books.are_even().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_is_told_to_the_onboarding_that_waits_for_it() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "UTC", 1).await;
    let now = at("2026-11-20T12:00:00Z");
    let sql = "insert into onboardings (organization_id) values ($1)";
    world.db.execute(sql, &[&books.organization.0]).await.unwrap();
    for name in ["first", "second"] {
        let call = books.call(name).await;
        books.finish(call, &answered(now, 5), now).await.unwrap();
        let sql = "select s.workflow_id, o.first_call_at from organizations o
                   left join workflow_starts s on s.organization_id = o.id where o.id = $1";
        let rows = world.db.query(sql, &[&books.organization.0]).await.unwrap();
        assert_eq!(rows.len(), 1);
        let workflow: String = rows[0].get(0);
        assert_eq!(workflow, format!("onboarding-{}", books.organization));
        assert_eq!(rows[0].get::<_, Option<chrono::DateTime<chrono::Utc>>>(1), Some(now));
    }
    let other = Books::open(&world, "UTC", 1).await;
    let call = other.call("nobody waits").await;
    other.finish(call, &answered(now, 5), now).await.unwrap();
    let sql = "select count(*) from workflow_starts where organization_id = $1";
    let asked: i64 = world.db.query_one(sql, &[&other.organization.0]).await.unwrap().get(0);
    assert_eq!(asked, 0);
}
