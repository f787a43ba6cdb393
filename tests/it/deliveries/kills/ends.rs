//! The worker dies where an attempt of the queue hands over to a workflow, and where the last one gives up.

use contract::names::delivery_workflow_id;
use postcall::dev::fakes::Provider;
use serde_json::json;
use uuid::Uuid;

use super::{POINTS, is_complete, left_by, run_out, script};
use crate::{
    deliveries::made::PATIENCE,
    harness::{Options, World, wait::until},
};

impl World {
    /// Waits until this many attempts at an event are settled.
    async fn has_tried(&self, event: Uuid, attempts: i32) {
        until("it is tried", PATIENCE, || async {
            let sql = "select attempts from webhook_deliveries where event_id = $1";
            let made: i32 = self.db.query_one(sql, &[&event]).await.unwrap().get(0);
            (made >= attempts).then_some(())
        })
        .await;
    }
}

/// It was its workflow's, which was never started: a minute after its time the queue has it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_it_starts_a_workflow_leaves_a_delivery_that_is_found_overdue() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("overdue", "schedule = '{5}'").await;
    let fails = json!({ "answers": [{ "status": 500 }] });
    world.fakes.script(Provider::Hooks, Some("overdue"), script(fails));
    world.start_worker(&world.faults("webhooks.settled=kill")).await;
    let event = world.enqueue(endpoint, None, 1).await[0];
    world.dies_at("webhooks.settled").await;
    let sql = "select d.id, d.owner, d.attempts, d.attempting_since is null
             and d.next_attempt_at >= l.created_at + interval '65 seconds'
         from webhook_deliveries d join webhook_logs l on l.delivery_id = d.id
         where d.event_id = $1 and d.state = 'pending'";
    let row = world.db.query_one(sql, &[&event]).await.unwrap();
    assert_eq!((row.get(1), row.get(2), row.get(3)), ("workflow", 1, true));
    let id: Uuid = row.get(0);
    let workflow = delivery_workflow_id(id.into());
    assert!(world.history_if_any(&workflow).await.is_none(), "its workflow was started");
    run_out(&world, endpoint).await;
    world.start_worker(&[]).await;
    world.done_with(endpoint).await;
    assert_eq!(world.reached("overdue").len(), 2);
    assert_eq!(world.delivered_to("overdue"), [event]);
    let logged = world.logged(endpoint, event).await;
    assert_eq!(logged, [(1, Some("status".to_owned()), Some(500)), (2, None, Some(200))]);
    assert!(world.history_if_any(&workflow).await.is_none(), "it was the queue's");
}

/// Who makes the later attempts at a delivery.
#[derive(Clone, Copy)]
enum Owner {
    /// Where the endpoint has a rate.
    Queue,
    Workflow,
}

/// The worker dies in the last attempt.
async fn killed_in_the_last_attempt(owner: Owner, point: &'static str) {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let settings = match owner {
        Owner::Queue => "schedule = '{10}', rate_limit = 100",
        Owner::Workflow => "schedule = '{10}'",
    };
    let endpoint = world.open_endpoint("last", settings).await;
    let fails = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, Some("last"), script(fails));
    world.start_worker(&[]).await;
    let event = world.enqueue(endpoint, None, 1).await[0];
    match owner {
        Owner::Queue => world.has_tried(event, 1).await,
        Owner::Workflow => drop(world.sleeps(world.delivery_of(event).await, 1).await),
    }
    world.kill_worker().await;
    world.start_worker(&world.faults(&format!("{point}=kill"))).await;
    world.dies_at(point).await;
    world.start_worker(&[]).await;
    world.done_with(endpoint).await;
    let (repeats, interrupted) = left_by(point);
    assert_eq!(world.states(endpoint).await, [("failed".to_owned(), 1)], "{point}");
    assert_eq!(world.reached("last").len(), 2 + repeats, "{point}");
    let logged = world.attempts_logged(endpoint, event).await;
    assert!(is_complete(&logged, 2 + interrupted, interrupted), "{point}: {logged:?}");
    let last = logged.last().map(|(_, error, status)| (error.as_deref(), *status));
    assert_eq!(last, Some((Some("status"), Some(500))), "{point}: it was not cut short");
    if matches!(owner, Owner::Workflow) {
        world.closes(world.delivery_of(event).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_last_attempt_of_the_queue_gives_up_after_a_whole_one() {
    let killed = POINTS.map(|point| killed_in_the_last_attempt(Owner::Queue, point));
    futures::future::join_all(killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_last_attempt_of_a_workflow_gives_up_after_a_whole_one() {
    let killed = POINTS.map(|point| killed_in_the_last_attempt(Owner::Workflow, point));
    futures::future::join_all(killed).await;
}

/// A workflow goes by the schedule that it began with, also where the endpoint has a longer one by now.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_a_workflow_gives_up_leaves_it_given_up() {
    for point in ["give-up.before", "give-up.after"] {
        let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
        let endpoint = world.open_endpoint("given-up", "schedule = '{10}'").await;
        let fails = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
        world.fakes.script(Provider::Hooks, Some("given-up"), script(fails));
        world.start_worker(&world.faults(&format!("{point}=kill"))).await;
        let event = world.enqueue(endpoint, None, 1).await[0];
        world.has_tried(event, 1).await;
        world.change_endpoint(endpoint, json!({ "schedule": [10, 3600] })).await;
        world.dies_at(point).await;
        let state = if point == "give-up.before" { "pending" } else { "failed" };
        assert_eq!(world.states(endpoint).await, [(state.to_owned(), 1)], "{point}");
        world.start_worker(&[]).await;
        world.done_with(endpoint).await;
        world.closes(world.delivery_of(event).await).await;
        assert_eq!(world.states(endpoint).await, [("failed".to_owned(), 1)], "{point}");
        assert_eq!(world.reached("given-up").len(), 2, "{point}");
        let logged = world.logged(endpoint, event).await;
        assert!(is_complete(&logged, 2, 0), "{point}: {logged:?}");
    }
}
