//! The workflow: by schedule, by backfill, by hand, and through a worker's death.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    names::BILLING_QUEUE,
    usage::{AggregateUsage, UsageAggregated},
};
use futures::StreamExt;
use postcall::temporal;
use serde_json::Value;
use temporalio_client::{
    Client, WorkflowGetResultOptions, WorkflowStartOptions,
    schedules::{BackfillScheduleOptions, PauseScheduleOptions, ScheduleBackfill},
};
use workflows::UsageAggregation;

use super::made::{self, Call, Household, at, on};
use crate::harness::{Options, World, wait::until};

const PATIENCE: Duration = Duration::from_secs(120);
const SCHEDULE: &str = "usage-aggregation";

impl World {
    /// Another connection than the test's own.
    pub(super) async fn look(&self) -> tokio_postgres::Client {
        use secrecy::ExposeSecret;
        let url = self.database_url();
        let connected = tokio_postgres::connect(url.expose_secret(), tokio_postgres::NoTls).await;
        let (client, connection) = connected.expect("database");
        tokio::spawn(connection);
        client
    }

    async fn schedules(&self) -> Client {
        let (_, talk, code) = self.cli(&["schedules", "apply"]).await;
        assert_eq!(code, 0, "{talk}");
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        let client = client.expect("Temporal");
        let schedule = client.get_schedule_handle(SCHEDULE);
        let paused = schedule.pause(Some("a test runs it"), PauseScheduleOptions::default());
        paused.await.expect("the schedule is there");
        client
    }

    /// Runs the aggregation by hand; gives its result.
    async fn run_by_hand(&self, days: &[&str]) -> Value {
        let command = ["schedules", "run", SCHEDULE];
        let (result, talk, code) = self.cli(&[&command, days].concat()).await;
        assert_eq!(code, 0, "{talk}");
        serde_json::from_str(&result).expect("JSON")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_run_by_hand_and_by_temporals_own_backfill() {
    let world = World::start().await;
    let client = world.schedules().await;
    let house = Household::open(&world, "America/New_York").await;
    for day in ["2026-11-05", "2026-11-06", "2026-11-07", "2026-11-12", "2026-11-13"] {
        house.called(Call::answered_at(house.noon(on(day)))).await;
    }
    let result = world.run_by_hand(&["--date", "2026-11-06"]).await;
    assert_eq!((&result["organizations"], &result["rows_written"]), (&2.into(), &2.into()));
    assert_eq!(made::totals(&house.days().await), [(on("2026-11-06"), 1)]);
    let again = world.run_by_hand(&["--date", "2026-11-06"]).await;
    assert_eq!(again["rows_written"], 0);
    let range = ["--from", "2026-11-05", "--to", "2026-11-07"];
    assert_eq!(world.run_by_hand(&range).await["rows_written"], 4);

    // Two nights that were missed: the 12th and the 13th are whole days before theirs.
    let nights =
        ScheduleBackfill::new(at("2026-11-13T01:00:00Z").into(), at("2026-11-14T03:00:00Z").into());
    let schedule = client.get_schedule_handle(SCHEDULE);
    let backfilled = schedule.backfill([nights.build()], BackfillScheduleOptions::default());
    backfilled.await.expect("the backfill is taken");
    let days = ["2026-11-05", "2026-11-06", "2026-11-07", "2026-11-12", "2026-11-13"];
    let days: Vec<_> = days.into_iter().map(|day| (on(day), 1)).collect();
    until("the backfill is done", PATIENCE, || async {
        (made::totals(&house.days().await) == days).then_some(())
    })
    .await;

    // Without a date it is for now.
    let now = Utc::now();
    house.called(Call::answered_at(now)).await;
    let result = world.run_by_hand(&[]).await;
    assert_eq!(result["rows_written"], 2, "{result}");
    let today = (house.local(now), 1);
    assert_eq!(made::totals(&house.days().await).last(), Some(&today));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_none_are_refused() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let refused: [(&[&str], &str); 8] = [
        (&[SCHEDULE, "--date", "2026-02-30"], "no such day"),
        (&[SCHEDULE, "--date", "20.11.2026"], "no such day"),
        (&[SCHEDULE, "--from", "2026-11-20"], "--to"),
        (&[SCHEDULE, "--to", "2026-11-20"], "--from"),
        (
            &[SCHEDULE, "--date", "2026-11-20", "--from", "2026-11-19", "--to", "2026-11-20"],
            "--from",
        ),
        (&[SCHEDULE, "--from", "2026-11-20", "--to", "2026-11-19"], "is after"),
        (&[SCHEDULE, "--from", "2025-01-01", "--to", "2026-11-19"], "400 days"),
        (&["billing-sweep", "--date", "2026-11-20"], "only usage-aggregation"),
    ];
    for (arguments, why) in refused {
        let command = ["schedules", "run"];
        let (result, talk, code) = world.cli(&[&command, arguments].concat()).await;
        assert_eq!((result.as_str(), code), ("", 2), "{arguments:?}: {talk}");
        assert!(talk.contains(why), "{arguments:?}: {talk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_for_days_in_the_wrong_order_fails_at_once() {
    let world = World::start().await;
    let client = temporal::connect_to(&world.temporal_address, &world.namespace, "it").await;
    let input = AggregateUsage {
        from: Some(on("2026-11-20")),
        to: Some(on("2026-11-19")),
        ..AggregateUsage::default()
    };
    let options = WorkflowStartOptions::new(BILLING_QUEUE, "wrong-order").build();
    let handle = client.unwrap().start_workflow(UsageAggregation::run, input, options).await;
    let handle = handle.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default());
    let result = tokio::time::timeout(PATIENCE, result).await.expect("it ends");
    let error = format!("{:?}", result.map(drop).expect_err("it is refused"));
    assert!(error.contains("`from` is after `to`"), "{error}");
}

/// More organizations than there are in a page, and a history that stays small for all that.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_organizations_are_a_short_history() {
    let world = World::start().await;
    let sql = "insert into organizations (id, name, slug, timezone)
        select gen_random_uuid(), 'House', 'house-' || n,
            (array['UTC', 'Asia/Kathmandu', 'Pacific/Apia', 'America/New_York'])[1 + n % 4]
        from generate_series(1, 10001) n";
    world.db.batch_execute(sql).await.unwrap();
    let result = world.run_by_hand(&["--date", "2026-11-20"]).await;
    let result: UsageAggregated = serde_json::from_value(result).unwrap();
    assert_eq!(result.organizations, 10_002);
    let history = world.history_of("usage-aggregation-2026-11-20").await;
    assert!(history.len() < 500, "{} events", history.len());
    let scheduled =
        |event: &temporalio_common::protos::temporal::api::history::v1::HistoryEvent| {
            event.event_type()
            == temporalio_common::protos::temporal::api::enums::v1::EventType::ActivityTaskScheduled
        };
    assert_eq!(history.iter().filter(|event| scheduled(event)).count(), 2, "pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_or_after_the_aggregation_leaves_the_same_days() {
    futures::stream::iter(["aggregate.before", "aggregate.after"])
        .map(killed_at)
        .buffer_unordered(2)
        .collect::<Vec<()>>()
        .await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let faults = world.faults(&format!("{point}=kill"));
    world.start_worker(&faults).await;
    let from = on("2026-11-01");
    let world_and_run = async {
        let house = Household::open(&world, "Asia/Kathmandu").await;
        for day in 0..20 {
            let noon: DateTime<Utc> = house.noon(from + TimeDelta::days(day));
            house.called(Call::answered_at(noon)).await;
        }
        house.id
    };
    let id = world_and_run.await;
    let client = temporal::connect_to(&world.temporal_address, &world.namespace, "it").await;
    let input = AggregateUsage {
        from: Some(from),
        to: Some(on("2026-11-20")),
        ..AggregateUsage::default()
    };
    let options = WorkflowStartOptions::new(BILLING_QUEUE, format!("killed-{point}")).build();
    let handle =
        client.unwrap().start_workflow(UsageAggregation::run, input, options).await.unwrap();
    let struck = tokio::time::timeout(PATIENCE, world.worker().ended()).await;
    struck.unwrap_or_else(|_| panic!("{point} did not strike"));
    world.start_worker(&[]).await;
    let result = handle.get_result(WorkflowGetResultOptions::default());
    let result =
        tokio::time::timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds");
    let written = if point == "aggregate.before" { 40 } else { 0 };
    assert_eq!(result.rows_written, written, "{point}: by the run that ended");
    let sql = "select sum(total_calls)::bigint, count(*) from daily_usage
        where organization_id = $1 and assistant_id is null";
    let row = world.db.query_one(sql, &[&id]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (20, 20), "{point}");
}
