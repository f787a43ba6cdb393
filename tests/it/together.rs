//! Metering and billing with everything going on at once.
//!
//! `TOGETHER_SECONDS=60` makes the traffic of the first test last for a minute; in CI it is half of one.

mod audit;
mod made;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use contract::{ids::CallId, usage::AggregateUsage};
use futures::StreamExt;
use tokio::time::{Instant, interval, sleep_until};
use uuid::Uuid;

use self::made::{Counted, PATIENCE};
use crate::harness::{World, calls::fresh_id, wait::until};

/// Seconds of traffic, where `TOGETHER_SECONDS` does not say.
const SECONDS: u64 = 30;
/// Webhooks of a second.
const RATE: u64 = 20;
/// Webhooks that wait for their answer at once.
const AT_ONCE: usize = 16;
/// Between two sweeps for periods that are over.
const SWEEP: Duration = Duration::from_secs(4);
/// Aggregations and sweeps at least, while calls come or are still being worked off.
const LEAST: u32 = 3;
/// The world's customer at Stripe.
const CUSTOMER: &str = "cus_together";

#[tokio::test(flavor = "multi_thread")]
async fn calls_days_and_closing_periods_at_once_leave_books_that_agree() {
    let seconds = std::env::var("TOGETHER_SECONDS");
    let seconds = seconds.map_or(SECONDS, |seconds| seconds.parse().expect("a number"));
    let world = World::with_account_at_stripe().await;
    let now = Utc::now();
    let middle = now + TimeDelta::seconds(i64::try_from(seconds / 2).unwrap());
    world.has_periods(now - TimeDelta::days(1), middle).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let (calls, runs, sweeps) =
        tokio::join!(world.traffic(seconds), world.aggregates_until(end), world.sweeps_until(end));
    eprintln!("{} calls, {runs} aggregations, {sweeps} sweeps", calls.len());

    world.is_quiet(calls.len()).await;
    world.sweep_for_periods().await;
    world.everything_over_is_closed().await;
    world.aggregate_days(AggregateUsage::default()).await;
    world.books_agree(&calls, middle).await;
}

impl World {
    /// Reports of calls of the last two days, each day's early and late, and of some that ended just
    /// now. Gives what each has to count.
    async fn traffic(&self, seconds: u64) -> BTreeMap<CallId, Counted> {
        let start = Instant::now();
        let posts = futures::stream::iter(0..seconds * RATE).map(|place| async move {
            sleep_until(start + Duration::from_millis(place * 1000 / RATE)).await;
            self.post_one(place).await
        });
        posts.buffer_unordered(AT_ONCE).collect().await
    }

    async fn post_one(&self, place: u64) -> (CallId, Counted) {
        let id = fresh_id();
        // Every fourth ends just now, so that each of the periods gets some of its own.
        let counted = if place.is_multiple_of(4) {
            let seconds = 1 + place % 5;
            Counted::since(Utc::now() - TimeDelta::seconds(seconds.cast_signed()), seconds)
        } else {
            let ago = TimeDelta::seconds((place * 7919 % (48 * 3600)).cast_signed());
            Counted::since(Utc::now() - ago, place * 37 % 600)
        };
        let report = counted.report(&id);
        assert_eq!(self.post(report.clone()).await, 200);
        if place.is_multiple_of(10) {
            assert_eq!(self.post(report).await, 200, "again");
        }
        (self.call_id(&id), counted)
    }

    async fn aggregates_until(&self, end: Instant) -> u32 {
        let mut runs = 0;
        while runs < LEAST || Instant::now() < end {
            let aggregated = self.aggregate_days(AggregateUsage::default()).await;
            assert_eq!((aggregated.organizations, aggregated.unknown_zones), (4, 0));
            runs += 1;
        }
        runs
    }

    async fn sweeps_until(&self, end: Instant) -> u32 {
        let mut ticks = interval(SWEEP);
        ticks.tick().await;
        let mut sweeps = 0;
        while sweeps < LEAST || Instant::now() < end {
            ticks.tick().await;
            self.sweep_for_periods().await;
            sweeps += 1;
        }
        sweeps
    }

    /// Every call is on the ledger, and nothing waits to be done.
    async fn is_quiet(&self, calls: usize) {
        let sql = "select (select count(distinct call_id) from usage_ledger),
            (select count(*) from inbox where status = 'received'),
            (select count(*) from workflow_starts)";
        let calls = i64::try_from(calls).unwrap();
        until("every call is counted, and nothing waits", PATIENCE, || async {
            let row = self.db.query_one(sql, &[]).await.ok()?;
            let found: [i64; 3] = std::array::from_fn(|column| row.get(column));
            (found == [calls, 0, 0]).then_some(())
        })
        .await;
        self.workflows_have_ended().await;
    }

    async fn everything_over_is_closed(&self) {
        let sql = "select (select count(*) from billing_periods
                where status <> 'closed' and period_end <= now()),
            (select count(*) from stripe_reports where state <> 'accepted'),
            (select count(*) from workflow_starts)";
        until("every period that is over is closed and reported", PATIENCE, || async {
            let row = self.db.query_one(sql, &[]).await.ok()?;
            let open: [i64; 3] = std::array::from_fn(|column| row.get(column));
            (open == [0; 3]).then_some(())
        })
        .await;
        self.workflows_have_ended().await;
    }

    /// Two periods that are over while calls go on: one that was over a day before and is not frozen,
    /// and one that ends at `middle`. Three more organizations close theirs then, unused.
    async fn has_periods(&self, boundary: DateTime<Utc>, middle: DateTime<Utc>) {
        let sql = "update organizations set plan_minutes = 20, overage_price = 0.05,
                usage_limit = 'soft', stripe_customer_id = $2, timezone = 'Asia/Kathmandu'
            where id = $1";
        self.db.execute(sql, &[&self.organization(), &CUSTOMER]).await.unwrap();
        let month = TimeDelta::days(31);
        self.period(self.organization(), boundary - month, boundary, "closing").await;
        self.period(self.organization(), boundary, middle, "open").await;
        for zone in ["UTC", "Pacific/Apia", "America/New_York"] {
            let id = Uuid::now_v7();
            let sql =
                "insert into organizations (id, name, slug, timezone) values ($1, 'Quiet', $2, $3)";
            self.db.execute(sql, &[&id, &id.to_string(), &zone]).await.unwrap();
            self.period(id, middle - month, middle, "open").await;
        }
    }

    async fn period(
        &self,
        organization: Uuid,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        status: &str,
    ) {
        let sql = "insert into billing_periods (id, organization_id, period_start, period_end,
                status, included_minutes, overage_price, usage_limit)
            select gen_random_uuid(), id, $2, $3, $4, plan_minutes, overage_price, usage_limit
            from organizations where id = $1";
        let written = self.db.execute(sql, &[&organization, &start, &end, &status]).await;
        assert_eq!(written.unwrap(), 1);
    }
}
