//! Redis loses everything each second while calls are counted: no number is wrong for it, and nobody
//! hears too early that the minutes are used up.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use contract::names::period_name;
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::time::{interval, sleep};

use super::told::Told;
use crate::harness::{Options, World};

/// Minutes of the plan.
const INCLUDED: i64 = 40;
/// Rounds of calls, one each second or slower; the plan is used up by the eighth.
const ROUNDS: usize = 12;
/// Calls of a round, a minute each.
const CALLS: usize = 5;
/// Redis forgets this often.
const EACH: Duration = Duration::from_secs(1);
/// Between two looks at what is said of the limit.
const LOOK: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread")]
async fn redis_losing_everything_each_second_leaves_totals_exact_and_no_limit_reached_too_early() {
    let world = World::with(Options { own_servers: true, ..Options::default() }).await;
    world.plan(i32::try_from(INCLUDED).unwrap()).await;
    let (is_over, forgotten) = (AtomicBool::new(false), AtomicU32::new(0));
    let traffic = async {
        world.rounds().await;
        is_over.store(true, Ordering::Relaxed);
    };
    let ((), (), seen) = tokio::join!(
        traffic,
        forgets(world.redis().await, &is_over, &forgotten),
        world.looks_at_the_limit(&is_over),
    );
    let forgotten = forgotten.into_inner();
    eprintln!("{forgotten} times all was lost, {seen:?}");
    assert!(forgotten >= 10, "{forgotten}");
    assert!(seen.before > 20 && seen.reached > 5 && seen.in_redis > 5, "{seen:?}");

    assert_eq!(world.aggregate().await, 0);
    let expected = Told::once(&[50, 75, 90, 100], &[50, 75, 90, 100]);
    world.told_exactly("Redis forgets", &expected).await;
    // The next call shows everything that was counted before it, too.
    world.post_calls_of(&[1]).await;
    world.counted(ROUNDS * CALLS + 1).await;
    world.redis_equals_ledger().await;
    world.totals_equal_ledger().await;
    world.is_reconciled("Redis forgets").await;
}

/// What was seen of the limit while calls were counted.
#[derive(Debug, Default)]
struct Seen {
    /// Answers that it is not reached.
    before: u32,
    /// Answers that it is.
    reached: u32,
    /// Counters in Redis.
    in_redis: u32,
}

/// Redis forgets until the traffic is over.
async fn forgets(mut redis: MultiplexedConnection, is_over: &AtomicBool, times: &AtomicU32) {
    let mut ticks = interval(EACH);
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.unwrap();
        times.fetch_add(1, Ordering::Relaxed);
    }
}

impl World {
    /// Calls of the whole plan and more, and an aggregation with each round of them.
    async fn rounds(&self) {
        let mut ticks = interval(EACH);
        for _ in 0..ROUNDS {
            ticks.tick().await;
            let ((), found) = tokio::join!(self.post_calls_of(&[1; CALLS]), self.aggregate());
            assert_eq!(found, 0, "the ledger tells with what it counts");
        }
        self.counted(ROUNDS * CALLS).await;
    }

    async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Looks at every place that says how much is used up, until the traffic is over. Minutes are only
    /// ever added here: whatever is said must lie between what the ledger said before and after.
    async fn looks_at_the_limit(&self, is_over: &AtomicBool) -> Seen {
        let mut redis = self.redis().await;
        let mut seen = Seen::default();
        while !is_over.load(Ordering::Relaxed) {
            let before = self.used_minutes().await;
            let (status, usage) = self.get("/v1/usage/current").await;
            let counter = self.counter(&mut redis).await;
            let alerts = self.alerts_of_all_minutes().await;
            let after = self.used_minutes().await;

            assert_eq!(status, 200, "{usage}");
            let said = usage["used_minutes"].as_i64().unwrap();
            assert!((before..=after).contains(&said), "{before} to {after} minutes: {usage}");
            let is_reached = usage["limit_reached"].as_bool().unwrap();
            assert_eq!(is_reached, said >= INCLUDED, "{usage}");
            assert!(!is_reached || after >= INCLUDED, "of {after} minutes: {usage}");
            assert!(alerts == 0 || after >= INCLUDED, "{alerts} told of all at {after} minutes");
            assert!(counter.is_none_or(|counter| counter <= after), "{counter:?} of {after}");
            seen.before += u32::from(!is_reached);
            seen.reached += u32::from(is_reached);
            seen.in_redis += u32::from(counter.is_some());
            sleep(LOOK).await;
        }
        seen
    }

    async fn used_minutes(&self) -> i64 {
        let sql = "select coalesce(sum(quantity), 0)::bigint from usage_ledger
            where meter = 'call_minutes'";
        self.db.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Rows, events and emails that tell of all minutes.
    async fn alerts_of_all_minutes(&self) -> i64 {
        let sql = "select (select count(*) from usage_alerts where threshold = 100)
            + (select count(*) from events where type = 'usage.threshold_reached'
                and payload->'data'->>'threshold_percent' = '100')
            + (select count(*) from organization_emails e join usage_alerts a on a.id::text = e.about
                where a.threshold = 100)";
        self.db.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Minutes that Redis shows of the open period, where it shows any.
    async fn counter(&self, redis: &mut MultiplexedConnection) -> Option<i64> {
        let sql = "select period_start from billing_periods where status = 'open'";
        let start = self.db.query_opt(sql, &[]).await.unwrap()?.get(0);
        let key = format!("org:{}:usage:{}", self.organization(), period_name(start));
        redis.hget(key, "minutes").await.unwrap()
    }

    async fn totals_equal_ledger(&self) {
        let sql = "select count(*) from (
                select period_id, meter, sum(quantity)::bigint as total from usage_ledger group by 1, 2) l
            full join usage_totals t using (period_id, meter)
            where l.total is distinct from t.total";
        let differing: i64 = self.db.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(differing, 0, "totals that are not the ledger's");
        assert_eq!(self.used_minutes().await, (ROUNDS * CALLS + 1) as i64);
    }
}
