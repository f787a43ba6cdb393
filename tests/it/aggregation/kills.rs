//! kill -9 of the worker at every await of an aggregation, one by one.

mod week;

use contract::usage::{AggregateUsage, UsageAggregated};
use futures::StreamExt;

use self::week::Week;
use crate::{
    alerts::told::Told,
    harness::{
        Options, World,
        books::unchanged,
        held::Hold::{self, Commit, Lock},
    },
};

/// Worlds of this test at once: they mostly wait for Temporal to miss the worker.
const AT_ONCE: usize = 4;

/// An await of the page.
#[derive(Debug, Clone, Copy)]
struct Await {
    /// What the worker is about to do, or about to hear that it did.
    what: &'static str,
    hold: Hold<'static>,
    /// Words of the statement that waits.
    words: &'static str,
    /// The alert was written before, and Temporal lost its workflow.
    is_lost: bool,
    /// What the worker did is done, and it has not heard of it.
    is_done: bool,
}

/// One that waits for what `statements` lock, so that nothing is done.
const fn before(what: &'static str, statements: &'static str, words: &'static str) -> Await {
    Await { what, hold: Lock(statements), words, is_lost: false, is_done: false }
}

/// In the order in which a page passes them. `{updated}`, `{removed}` and `{touched}` are days.
const AWAITS: [Await; 15] = [
    before(
        "waits for its turn",
        "select pg_advisory_xact_lock(hashtext('postcall.aggregation'))",
        "pg_advisory_xact_lock(hashtext('postcall.aggregation'))",
    ),
    before(
        "reads the organizations",
        "lock table organizations",
        "select id, timezone from organizations",
    ),
    before(
        "reads the touched days",
        "lock table usage_days_touched",
        "select organization_id, date, xmin",
    ),
    before("reads the calls", "lock table calls", ADDS_UP),
    before(
        "replaces a day of the first week",
        "select from daily_usage where date = '{updated}' for update",
        ADDS_UP,
    ),
    before(
        "removes a day of the second week",
        "select from daily_usage where date = '{removed}' for update",
        ADDS_UP,
    ),
    before(
        "writes a touched day",
        "insert into daily_usage (organization_id, date, total_calls, completed_calls,
             failed_calls, total_minutes, total_seconds, cost_usd, computed_at)
         select id, '{touched}', 9, 9, 0, 9, 9, 9, now() from organizations",
        ADDS_UP,
    ),
    before(
        "writes alerts",
        "insert into usage_alerts (id, organization_id, period_id, threshold, included_minutes,
             used_minutes)
         select gen_random_uuid(), organization_id, id, 50, 9, 9 from billing_periods",
        "with missing as",
    ),
    before(
        "writes an alert's event",
        "insert into events (id, organization_id, type, effect_key, payload)
         select gen_random_uuid(), organization_id, 'usage.threshold_reached',
             'usage.threshold_reached/' || id || '/75', '{}' from billing_periods",
        "insert into events",
    ),
    // By the same statement, of which Postgres shows the first 1,024 bytes.
    before("writes an event's deliveries", "select from webhooks for update", "insert into events"),
    before(
        "asks for an alert's workflow",
        "lock table workflow_starts in share mode",
        "insert into workflow_starts",
    ),
    before(
        "looks for alerts that were lost",
        "lock table organization_emails",
        "select highest.id",
    ),
    Await {
        is_lost: true,
        ..before(
            "asks for a lost alert's workflow",
            "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
             select gen_random_uuid(), organization_id, 'usage-alert', 'usage-alert-' || id, '{}'
             from usage_alerts where threshold = 75",
            "insert into workflow_starts",
        )
    },
    before(
        "forgets the touched days",
        "select from usage_days_touched for update",
        "delete from usage_days_touched",
    ),
    Await {
        what: "commits",
        hold: Commit("delete on usage_days_touched", "true"),
        words: "commit",
        is_lost: false,
        is_done: true,
    },
];

/// Of the statement that adds days up and replaces them.
const ADDS_UP: &str = "-- Adds days of organizations up";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_await_of_a_page_leaves_the_days_and_alerts_of_its_calls() {
    let struck = futures::stream::iter(AWAITS).map(struck).buffer_unordered(AT_ONCE);
    struck.collect::<Vec<()>>().await;
}

async fn struck(at: Await) {
    let what = at.what;
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.start_worker(&[]).await;
    let week = if at.is_lost { Week::of_lost_alerts(&world).await } else { Week::of(&world).await };
    let before = world.page_wrote().await;
    let statements;
    let hold = match at.hold {
        Lock(lock) => {
            statements = week.dated(lock);
            Lock(&statements)
        }
        hold => hold,
    };
    let held = world.hold(hold).await;
    let run = world.begin_aggregation(week.days()).await;
    world.killed_at(held, at.words).await;
    assert_eq!(world.page_wrote().await != before, at.is_done, "{what}: all of it or nothing");
    world.start_worker(&[]).await;
    let aggregated = world.end_of_aggregation(&run).await;
    if at.is_done {
        assert_eq!(aggregated, unchanged(1), "{what}");
    } else {
        let told = if at.is_lost { 0 } else { 2 };
        let found = (aggregated.touched_days, aggregated.rows_removed, aggregated.alerts);
        assert_eq!(found, (3, 1, told), "{what}: by the run that ended");
    }
    world.is_whole(what, week.days()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_or_after_a_page_leaves_the_days_and_alerts_of_its_calls() {
    tokio::join!(killed_at("aggregate.before"), killed_at("aggregate.after"));
}

async fn killed_at(point: &'static str) {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.start_worker(&world.faults(&format!("{point}=kill"))).await;
    let week = Week::of(&world).await;
    let before = world.page_wrote().await;
    let run = world.begin_aggregation(week.days()).await;
    world.dies_at(point).await;
    let is_done = point == "aggregate.after";
    assert_eq!(world.page_wrote().await != before, is_done, "{point}");
    world.start_worker(&[]).await;
    let aggregated = world.end_of_aggregation(&run).await;
    assert_eq!(aggregated == unchanged(1), is_done, "{point}: {aggregated:?}");
    world.is_whole(point, week.days()).await;
}

/// The first page's organizations are done, the second page's are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_two_pages_leaves_the_days_of_both() {
    let mut world = World::start().await;
    let sql = "insert into organizations (id, name, slug, timezone)
            select gen_random_uuid(), 'House', 'house-' || n, 'Asia/Kathmandu'
            from generate_series(1, 10001) n;
        insert into calls (id, organization_id, provider, provider_call_id, status,
            duration_seconds, billed_minutes, cost_usd, origin, created_at, occurred_at)
        select gen_random_uuid(), id, 'vapi', slug, 'completed', 90, 2, 0.15, 'webhook', now(), now()
        from (select id, slug, row_number() over (order by id) n from organizations) o
        where n in (1, 10000, 10001, 10002)";
    world.db.batch_execute(sql).await.unwrap();
    let last = "insert into daily_usage (organization_id, date, total_calls, completed_calls,
            failed_calls, total_minutes, total_seconds, cost_usd, computed_at)
        select o.id, (c.occurred_at at time zone o.timezone)::date, 9, 9, 0, 9, 9, 9, now()
        from calls c join organizations o on o.id = c.organization_id order by o.id desc limit 1";
    let held = world.hold(Lock(last)).await;
    let run = world.begin_aggregation(AggregateUsage::default()).await;
    world.killed_at(held, ADDS_UP).await;
    assert_eq!(world.days_that_differ().await.len(), 2, "those of the second page");
    world.start_worker(&[]).await;
    let aggregated = world.end_of_aggregation(&run).await;
    assert_eq!(aggregated, UsageAggregated { rows_written: 4, ..unchanged(10_002) });
    assert_eq!(world.days_that_differ().await, [""; 0]);
}

impl World {
    /// Days are what their calls say, everything is told once, and the books agree.
    async fn is_whole(&self, what: &str, days: AggregateUsage) {
        assert_eq!(self.days_that_differ().await, [""; 0], "{what}");
        self.told_exactly(what, &Told::once(&[50, 75], &[75])).await;
        self.is_reconciled(what).await;
        assert_eq!(self.aggregate_days(days).await, unchanged(1), "{what}: run again");
    }
}
