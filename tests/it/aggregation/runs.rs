//! The workflow: by schedule, by backfill, by hand, and at its full size.

use std::time::Duration;

use chrono::Utc;
use contract::{
    names::BILLING_QUEUE,
    usage::{AggregateUsage, UsageAggregated},
};
use serde_json::Value;
use temporalio_client::{
    Client, WorkflowGetResultOptions, WorkflowStartOptions,
    schedules::{BackfillScheduleOptions, PauseScheduleOptions, ScheduleBackfill},
};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use workflows::UsageAggregation;

use super::made::{self, Call, Household, at, on};
use crate::harness::{Options, World, books::unchanged, wait::until};

const PATIENCE: Duration = Duration::from_secs(120);
const SCHEDULE: &str = "usage-aggregation";

impl World {
    async fn schedules(&self) -> Client {
        let (_, talk, code) = self.cli(&["schedules", "apply"]).await;
        assert_eq!(code, 0, "{talk}");
        let client = self.temporal_client().await;
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
    let client = world.temporal_client().await;
    let input = AggregateUsage {
        from: Some(on("2026-11-20")),
        to: Some(on("2026-11-19")),
        ..AggregateUsage::default()
    };
    let options = WorkflowStartOptions::new(BILLING_QUEUE, "wrong-order").build();
    let handle = client.start_workflow(UsageAggregation::run, input, options).await.unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default());
    let result = tokio::time::timeout(PATIENCE, result).await.expect("it ends");
    let error = format!("{:?}", result.map(drop).expect_err("it is refused"));
    assert!(error.contains("`from` is after `to`"), "{error}");
}

/// More organizations than there are in a page, and a history that stays small for all that.
#[tokio::test(flavor = "multi_thread")]
async fn an_aggregation_over_ten_thousand_organizations_stays_below_500_events() {
    let world = World::start().await;
    let sql = "insert into organizations (id, name, slug, timezone)
        select gen_random_uuid(), 'House', 'house-' || n,
            (array['UTC', 'Asia/Kathmandu', 'Pacific/Apia', 'America/New_York'])[1 + n % 4]
        from generate_series(1, 10001) n";
    world.db.batch_execute(sql).await.unwrap();
    let sql = "insert into calls (id, organization_id, provider, provider_call_id, status,
            duration_seconds, billed_minutes, cost_usd, origin, created_at, occurred_at)
        select gen_random_uuid(), id, 'vapi', slug, 'completed', 90, 2, 0.15, 'webhook', now(), now()
        from organizations where slug like 'house-%' order by slug limit $1::bigint";
    let calls = world.db.execute(sql, &[&300_i64]).await.unwrap();
    let id = world.begin_aggregation(AggregateUsage::default()).await;
    let aggregated = world.end_of_aggregation(&id).await;
    assert_eq!(aggregated, UsageAggregated { rows_written: calls, ..unchanged(10_002) });
    let history = world.history_of(&id).await;
    assert!(history.len() < 500, "{} events", history.len());
    let scheduled =
        history.iter().filter(|event| event.event_type() == EventType::ActivityTaskScheduled);
    assert_eq!(scheduled.count(), 2, "pages");
}
