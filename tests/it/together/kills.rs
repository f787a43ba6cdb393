//! kill -9 of the worker before and after the effect of an aggregation of calls that came by webhook.

use std::time::Duration;

use chrono::{NaiveDate, TimeDelta, Utc};
use contract::usage::AggregateUsage;
use tokio::time::timeout;

use super::{
    made::{Counted, fresh},
    unchanged,
};
use crate::harness::{World, calls::fresh_id};

/// Calls of the last two days.
const CALLS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_aggregates_leaves_what_an_undisturbed_run_does() {
    tokio::join!(killed_at("aggregate.before"), killed_at("aggregate.after"));
}

async fn killed_at(point: &'static str) {
    let mut world = World::with_account_at_stripe(&[]).await;
    for place in 0..CALLS {
        let id = fresh_id();
        let ago = TimeDelta::hours((place * 4).cast_signed());
        let counted = Counted::since(Utc::now() - ago, 30 + place * 37);
        assert_eq!(world.post(counted.report(&id)).await, 200);
        world.closed(&id).await;
    }
    world.kill_worker().await;
    let faults = world.faults(&format!("{point}=kill"));
    world.start_worker_with_account(&faults).await;
    let today = Utc::now().date_naive();
    let input = AggregateUsage {
        from: Some(today - TimeDelta::days(3)),
        to: Some(today + TimeDelta::days(1)),
        ..AggregateUsage::default()
    };
    let id = fresh("usage-aggregation");
    world.begin_aggregation(&id, input.clone()).await;
    let struck = timeout(Duration::from_secs(60), world.worker().ended()).await;
    struck.unwrap_or_else(|_| panic!("{point} did not strike"));
    world.start_worker_with_account(&[]).await;
    world.end_of_aggregation(&id).await;

    let disturbed = world.days_as_text().await;
    assert_eq!(disturbed.iter().map(|(_, calls, _)| calls).sum::<i64>(), CALLS.cast_signed());
    let (rows, code) = world.reconcile().await;
    assert_eq!((rows.len(), code), (0, 0), "{point}: {rows:#?}");
    assert_eq!(world.aggregate_days(input.clone()).await, unchanged(1), "{point}");
    world.db.execute("delete from daily_usage", &[]).await.unwrap();
    let undisturbed = world.aggregate_days(input).await;
    assert!(undisturbed.rows_written > 2, "{undisturbed:?}");
    assert_eq!(world.days_as_text().await, disturbed, "{point}");
    let log = std::fs::read_to_string(world.folder.join("faults.log")).unwrap();
    assert_eq!(log.lines().collect::<Vec<_>>(), [point]);
}

impl World {
    /// The rows of `daily_usage`, all but when they were computed; those of an assistant say 0 calls.
    async fn days_as_text(&self) -> Vec<(NaiveDate, i64, String)> {
        let sql = "select date, case when assistant_id is null then total_calls else 0 end::bigint,
                (to_jsonb(d) - 'computed_at')::text
            from daily_usage d order by date, assistant_id nulls first";
        let rows = self.db.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }
}
