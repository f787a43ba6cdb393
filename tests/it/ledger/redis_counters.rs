//! Redis shows the totals, whoever writes them and whatever it lost.

use chrono::{DateTime, Utc};
use contract::names::period_name;
use store::{
    counters::{Counters, Stored},
    usage::{self, Total},
};

use super::books::{Books, answered, at};
use crate::harness::World;

fn shown(total: &Total) -> Option<Stored> {
    let Total { minutes, seconds, cost_micros, sequence, .. } = *total;
    Some(Stored { minutes, seconds, cost_micros, sequence })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_totals_are_shown_and_come_back_whole_after_redis_lost_them() {
    let world = World::postgres_only().await;
    let books = Books::open(&world, "Asia/Kathmandu", 1).await;
    let counters = Counters::new(&world.redis_url.clone().into()).unwrap();
    let now = at("2026-11-20T12:00:00Z");
    let call = books.call("one").await;
    books.finish(call, &answered(now, 600), now).await.unwrap();
    let older = books.total().await;
    books.finish(call, &answered(now, 61), now).await.unwrap();
    let newer = books.total().await;
    assert!(newer.sequence > older.sequence && newer.minutes < older.minutes);
    let name = period_name(newer.period_start);
    assert_eq!(name, "2026-10-31T18:15:00Z");
    let read = || async { counters.stored(books.organization, &name).await.unwrap() };
    assert_eq!(read().await, None);
    for total in [&older, &newer, &older] {
        counters.project(total).await.unwrap();
    }
    assert_eq!(read().await, shown(&newer), "an older one changes nothing");

    // As FLUSHALL does, which other tests would notice.
    let client = redis::Client::open(world.redis_url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("org:{}:usage:{name}", books.organization);
    let lost: i64 = redis::cmd("DEL").arg(&key).query_async(&mut redis).await.unwrap();
    assert_eq!(lost, 1);
    counters.project(&newer).await.unwrap();
    assert_eq!(read().await, shown(&newer), "the whole value");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_period_that_takes_usage_is_listed_for_every_organization() {
    let world = World::postgres_only().await;
    let (november, december) = (at("2026-11-20T12:00:00Z"), at("2026-12-20T12:00:00Z"));
    let mut expected = Vec::new();
    for number in 0..3_i64 {
        let books = Books::open(&world, "UTC", 1).await;
        for (name, now) in [("november", november), ("december", december)] {
            let call = books.call(name).await;
            let seconds = u32::try_from(60 * (number + 1)).unwrap();
            books.finish(call, &answered(now, seconds), now).await.unwrap();
        }
        let start = |text: &str| -> DateTime<Utc> { at(text) };
        for start in [start("2026-11-01T00:00:00Z"), start("2026-12-01T00:00:00Z")] {
            expected.push((books.organization, start, number + 1));
        }
    }
    expected.sort();
    let db = &Books::open(&world, "UTC", 1).await.db;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = usage::totals_page(db, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.organization_id);
        assert!(page.len() <= 4, "two organizations of two periods");
        found.extend(page.iter().map(|t| (t.organization_id, t.period_start, t.minutes)));
    }
    assert_eq!(found, expected);
}
