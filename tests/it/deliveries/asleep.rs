//! Deliveries that sleep in their workflows: how long, and what becomes of them where their endpoint is gone,
//! or Temporal's data.

use std::time::Duration;

use contract::{failure::WEBHOOK_DISABLED, names::delivery_workflow_id};
use postcall::dev::fakes::Provider;
use serde_json::json;
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    failure::v1::failure::FailureInfo,
    history::v1::{HistoryEvent, history_event::Attributes},
};
use uuid::Uuid;

use super::{made::PATIENCE, script};
use crate::harness::{Options, World, history::timers, wait::until};

impl World {
    pub(super) async fn delivery_of(&self, event: Uuid) -> Uuid {
        let sql = "select id from webhook_deliveries where event_id = $1";
        self.db.query_one(sql, &[&event]).await.unwrap().get(0)
    }

    /// Waits until a delivery's workflow has set so many timers; its history then.
    pub(super) async fn sleeps(&self, delivery: Uuid, times: usize) -> Vec<HistoryEvent> {
        until(&format!("it goes to sleep for the time {times}"), PATIENCE, || async {
            let history = self.history_if_any(&delivery_workflow_id(delivery.into())).await?;
            (timers(&history).len() >= times).then_some(history)
        })
        .await
    }

    /// Waits until a delivery's workflow has completed; its history.
    pub(super) async fn closes(&self, delivery: Uuid) -> Vec<HistoryEvent> {
        until("its workflow completes", PATIENCE, || async {
            let history = self.history_if_any(&delivery_workflow_id(delivery.into())).await?;
            let last = history.last()?.event_type();
            (last == EventType::WorkflowExecutionCompleted).then_some(history)
        })
        .await
    }

    /// A delivery that was attempted so often before, due when a worker comes.
    async fn enqueue_tried(&self, endpoint: Uuid, attempts: i32) -> Uuid {
        let event = self.enqueue(endpoint, None, 1).await[0];
        let tried = "update webhook_deliveries set attempts = $2 where event_id = $1";
        self.db.execute(tried, &[&event, &attempts]).await.unwrap();
        event
    }
}

/// Types of the errors of its activities, and whether they may be tried again.
fn errors(history: &[HistoryEvent]) -> Vec<(String, bool)> {
    let error = |event: &HistoryEvent| match &event.attributes {
        Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => {
            match failed.failure.as_ref()?.failure_info.as_ref()? {
                FailureInfo::ApplicationFailureInfo(info) => {
                    Some((info.r#type.clone(), !info.non_retryable))
                }
                _ => None,
            }
        }
        _ => None,
    };
    history.iter().filter_map(error).collect()
}

/// Whether it says that it brought the event.
fn result(history: &[HistoryEvent]) -> String {
    let Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) =
        history.last().and_then(|event| event.attributes.as_ref())
    else {
        panic!("it has not completed");
    };
    let payload = &completed.result.as_ref().expect("a result").payloads[0];
    String::from_utf8_lossy(&payload.data).into_owned()
}

/// The workflow ends by the attempt's error, and what sleeps beside it ends, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_turns_out_to_be_gone_ends_what_sleeps() {
    let world = World::start().await;
    let endpoint = world.open_endpoint("gone", "schedule = '{3600}'").await;
    let answers = json!({ "answers": [{ "status": 500, "times": 2 }, { "status": 410 }] });
    world.fakes.script(Provider::Hooks, Some("gone"), script(answers));
    let beside = world.enqueue(endpoint, None, 1).await[0];
    world.sleeps(world.delivery_of(beside).await, 1).await;
    world.set_endpoint(endpoint, "schedule = '{3,3600}'").await;
    let event = world.enqueue(endpoint, None, 1).await[0];
    world.done_with(endpoint).await;
    assert_eq!(world.states(endpoint).await, [("disabled".to_owned(), 2)]);
    let status = |number, status| (number, Some("status".to_owned()), Some(status));
    assert_eq!(world.logged(endpoint, event).await, [status(1, 500), status(2, 410)]);
    let skip = (0, Some("disabled".to_owned()), None);
    assert_eq!(world.logged(endpoint, beside).await, [skip, status(1, 500)]);
    let sql = "select enabled, disabled_reason from webhooks where id = $1";
    let row = world.db.query_one(sql, &[&endpoint]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (false, Some("gone")));
    let history = world.closes(world.delivery_of(event).await).await;
    assert_eq!(errors(&history), [(WEBHOOK_DISABLED.to_owned(), false)]);
    assert_eq!(result(&history), r#"{"delivered":false}"#);
    assert_eq!(world.reached("gone").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_disabled_while_its_deliveries_sleep_gets_none_of_them() {
    const EVENTS: usize = 3;
    let world = World::start().await;
    let endpoint = world.open_endpoint("off", "schedule = '{20}'").await;
    let fails = json!({ "answers": [{ "status": 500, "times": EVENTS }] });
    world.fakes.script(Provider::Hooks, Some("off"), script(fails));
    let events = world.enqueue(endpoint, None, EVENTS).await;
    let mut deliveries = Vec::new();
    for event in &events {
        let delivery = world.delivery_of(*event).await;
        world.sleeps(delivery, 1).await;
        deliveries.push(delivery);
    }
    world.change_endpoint(endpoint, json!({ "enabled": false })).await;
    assert_eq!(world.states(endpoint).await, [("disabled".to_owned(), 3)]);
    for (delivery, event) in deliveries.iter().zip(&events) {
        let history = world.closes(*delivery).await;
        assert_eq!(errors(&history), [(WEBHOOK_DISABLED.to_owned(), false)]);
        assert_eq!(result(&history), r#"{"delivered":false}"#);
        let expected =
            [(0, Some("disabled".to_owned()), None), (1, Some("status".to_owned()), Some(500))];
        assert_eq!(world.logged(endpoint, *event).await, expected);
    }
    assert_eq!(world.reached("off").len(), EVENTS);
}

/// Whoever comes there by seconds, and whoever comes from the queue in the middle of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_usual_schedule_goes_on_from_seconds_to_hours() {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("usual", "").await;
    let fails = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, Some("usual"), script(fails));
    let waits: [(i32, &[f64]); 4] =
        [(3, &[40.0, 5.0 * MINUTE]), (4, &[5.0 * MINUTE]), (7, &[5.0 * HOUR]), (9, &[10.0 * HOUR])];
    let mut sleeping = Vec::new();
    for (attempts, waits) in waits {
        sleeping.push((world.enqueue_tried(endpoint, attempts).await, attempts, waits));
    }
    let last = world.enqueue_tried(endpoint, 10).await;
    world.start_worker(&[]).await;
    for (event, attempts, waits) in sleeping {
        let history = world.sleeps(world.delivery_of(event).await, waits.len()).await;
        let set = timers(&history);
        assert_eq!(set.len(), waits.len(), "after {attempts}: {set:?}");
        for (set, wait) in set.iter().zip(waits) {
            assert!((*wait..=wait * 1.2).contains(set), "after {attempts}: {set} for {wait}");
        }
        let made: Vec<i32> =
            world.logged(endpoint, event).await.iter().map(|(number, ..)| *number).collect();
        let expected: Vec<i32> = (attempts + 1..).take(waits.len()).collect();
        assert_eq!(made, expected, "after {attempts}");
    }
    assert_eq!(world.states(endpoint).await, [("failed".to_owned(), 1), ("pending".to_owned(), 4)]);
    let last = delivery_workflow_id(world.delivery_of(last).await.into());
    assert!(world.history_if_any(&last).await.is_none(), "nothing follows the last attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_comes_from_the_queue_goes_on_in_the_middle_of_its_schedule() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("middle", "schedule = '{1,1,8,2}'").await;
    let fails = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, Some("middle"), script(fails));
    let event = world.enqueue_tried(endpoint, 2).await;
    world.start_worker(&[]).await;
    world.done_with(endpoint).await;
    assert_eq!(world.states(endpoint).await, [("failed".to_owned(), 1)]);
    let status = |number| (number, Some("status".to_owned()), Some(500));
    assert_eq!(world.logged(endpoint, event).await, [status(3), status(4), status(5)]);
    let arrived = world.reached("middle");
    for (pair, wait) in arrived.windows(2).zip([8_000, 2_000]) {
        let gap = (pair[1].at - pair[0].at).num_milliseconds();
        assert!(gap >= wait, "{gap} ms in place of {wait}");
    }
    let set = timers(&world.closes(world.delivery_of(event).await).await);
    assert_eq!(set.len(), 2, "{set:?}");
    assert!((8.0..=9.6).contains(&set[0]) && (2.0..=2.4).contains(&set[1]), "{set:?}");
}

/// A minute after their time they are the queue's, and what fails then has a workflow again.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_sleep_while_temporal_loses_its_data_arrive() {
    const EVENTS: usize = 3;
    let mut world = World::with(Options { own_servers: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("slept", "schedule = '{20,2}'").await;
    let fails = json!({ "answers": [{ "status": 500, "times": EVENTS + 1 }] });
    world.fakes.script(Provider::Hooks, Some("slept"), script(fails));
    let events = world.enqueue(endpoint, None, EVENTS).await;
    for event in &events {
        world.sleeps(world.delivery_of(*event).await, 1).await;
    }
    let temporal = &mut world.servers.as_mut().unwrap().temporal;
    temporal.kill().await;
    temporal.wipe().await.unwrap();
    temporal.start().await.unwrap();
    until("each arrives", Duration::from_secs(300), || async {
        (world.states(endpoint).await == [("delivered".to_owned(), 3)]).then_some(())
    })
    .await;
    let mut delivered = world.delivered_to("slept");
    delivered.sort_unstable();
    assert_eq!(delivered, events, "each once");
    let mut workflows = 0;
    for event in &events {
        let statuses: Vec<Option<i32>> =
            world.logged(endpoint, *event).await.iter().map(|(.., status)| *status).collect();
        let delivery = world.delivery_of(*event).await;
        match statuses[..] {
            [Some(500), Some(200)] => {
                let workflow = delivery_workflow_id(delivery.into());
                assert!(world.history_if_any(&workflow).await.is_none(), "it was the queue's");
            }
            [Some(500), Some(500), Some(200)] => {
                workflows += 1;
                assert_eq!(result(&world.closes(delivery).await), r#"{"delivered":true}"#);
            }
            _ => panic!("{statuses:?}"),
        }
    }
    assert_eq!(workflows, 1);
}
