//! kill -9 of the worker before and after each effect of billing, one by one.

use std::time::Duration;

use activities::faults::OF_BOOKS;
use chrono::DateTime;
use contract::{
    billing::SweepPeriods,
    names::{BILLING_QUEUE, period_name},
};
use futures::StreamExt;
use redis::AsyncCommands;
use temporalio_client::WorkflowStartOptions;
use workflows::BillingSweep;

use super::made::{Account, PATIENCE, Plan, temporal_of};
use crate::harness::{World, wait::until};

/// Worlds of this test at once: they mostly wait for Temporal to miss the worker.
const AT_ONCE: usize = 4;
/// The points that closing a period passes.
const OF_BILLING: [&str; 4] = ["due.", "freeze.", "report.", "close-period."];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_point_of_billing_bills_once() {
    let is_ours = |point: &&str| OF_BILLING.iter().any(|family| point.starts_with(family));
    let points: Vec<&'static str> = OF_BOOKS.iter().copied().filter(is_ours).collect();
    assert_eq!(points.len(), 11, "{points:?}");
    futures::stream::iter(points)
        .map(killed_at)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::postgres_alone().await;
    let faults = world.faults(&format!("{point}=kill"));
    world.start_biller(&faults).await;
    let (period, story) = {
        let account = Account::open(&world, Plan::default()).await;
        account.uses(1200).await;
        let options = WorkflowStartOptions::new(BILLING_QUEUE, "billing-sweep").build();
        let client = temporal_of(&world).await;
        let sweep = client.start_workflow(BillingSweep::run, SweepPeriods::default(), options);
        sweep.await.expect("it starts");
        (account.period, account.organization)
    };
    tokio::time::timeout(Duration::from_secs(60), world.worker().ended())
        .await
        .unwrap_or_else(|_| panic!("{point} did not strike"));
    world.start_biller(&[]).await;
    let told = "select (select array_agg(event order by id) from billing_events
            where organization_id = $1), (select array_agg(type order by id) from events
            where organization_id = $1), (select array_agg(state) from stripe_reports
            where organization_id = $1), p.status
        from billing_periods p where p.id = $2";
    let row = until(&format!("{point}: the period is closed and billed"), PATIENCE, || async {
        let row = world.db.query_one(told, &[&story.0, &period.0]).await.ok()?;
        let reports: Option<Vec<String>> = row.get(2);
        let is_done = row.get::<_, String>(3) == "closed" && reports? == ["accepted"];
        is_done.then_some(row)
    })
    .await;
    let lines = ["period.opened", "period.frozen", "report.accepted", "period.closed"];
    let mut shown: Vec<String> = row.get(0);
    // The report may have had to wait until after the close.
    shown.sort_by_key(|line| lines.iter().position(|known| known == line));
    assert_eq!(shown, lines, "{point}");
    assert_eq!(row.get::<_, Vec<String>>(1), ["billing.period_closed"], "{point}");
    assert_eq!(world.fakes.stripe().billed("cus_test"), 200, "{point}");
    assert_eq!(world.fakes.stripe().identifiers().len(), 1, "{point}");
    counters_are_set(&world, story, point).await;
}

/// The closed period's counter and the new one's are there, soon.
async fn counters_are_set(
    world: &World,
    organization: contract::ids::OrganizationId,
    point: &'static str,
) {
    let sql = "select floor(extract(epoch from period_start))::bigint, coalesce((select sum(quantity)::bigint from usage_ledger l
            where l.period_id = p.id and meter = 'call_minutes'), 0)
        from billing_periods p where organization_id = $1";
    let client = redis::Client::open(world.redis_url.as_str()).unwrap();
    until(&format!("{point}: Redis says what the ledger says"), PATIENCE, || async {
        let mut redis = client.get_multiplexed_async_connection().await.ok()?;
        for row in world.db.query(sql, &[&organization.0]).await.ok()? {
            let start = DateTime::from_timestamp(row.get(0), 0)?;
            let key = format!("org:{organization}:usage:{}", period_name(start));
            let minutes: Option<i64> = redis.hget(&key, "minutes").await.ok()?;
            if minutes != Some(row.get(1)) {
                return None;
            }
        }
        Some(())
    })
    .await;
}
