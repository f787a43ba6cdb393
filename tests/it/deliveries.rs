//! Webhooks whose first attempt fails go on in workflows of their own.

mod addresses;
mod asleep;
mod certificates;
mod claims;
mod hostile;
mod kills;
mod made;
mod memory;
mod ordered;
mod organization;
mod proxied;
mod queue;
mod receiver;
mod recoveries;
mod retention;
mod skips;

use std::time::Duration;

use contract::{ids::DeliveryId, names::delivery_workflow_id};
use postcall::dev::fakes::{Filter, Kind, Provider, Script};
use serde_json::json;

use crate::harness::{Options, World, calls::step, wait::until};

fn script(value: serde_json::Value) -> Script {
    serde_json::from_value(value).expect("a script")
}

impl World {
    async fn delivery(&self) -> (DeliveryId, String, i32) {
        let sql = "select id, state, attempts from webhook_deliveries";
        let row = self.db.query_one(sql, &[]).await.expect("one delivery");
        (DeliveryId(row.get(0)), row.get(1), row.get(2))
    }

    async fn delivery_settles(&self) -> (DeliveryId, String, i32) {
        until("the delivery settles", Duration::from_secs(120), || async {
            Some(self.delivery().await).filter(|(_, state, _)| state != "pending")
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_repeated_with_the_same_bytes_until_it_arrives() {
    let world = World::start().await;
    // The usual third wait is 24 s at most.
    let failing = json!({ "answers": [{ "status": 500, "times": 2 }, { "status": 503,
        "headers": { "Retry-After": "30" } }] });
    world.fakes.script(Provider::Hooks, None, script(failing));
    let id = world.post_call().await;
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "webhooks")["status"], "completed", "the call does not wait");
    let (delivery, state, attempts) = world.delivery_settles().await;
    assert_eq!((state.as_str(), attempts), ("delivered", 4));

    let filter = Filter { kind: Some(Kind::Webhook), ..Filter::default() };
    let arrived = world.fakes.effects().list(&filter);
    let gap = (arrived[3].at - arrived[2].at).num_milliseconds();
    assert!(gap >= 30_000, "it asked for 30 s: {gap} ms");
    let seen: Vec<_> = arrived
        .iter()
        .map(|effect| {
            let request = serde_json::to_value(effect).unwrap()["request"].clone();
            (request["headers"]["webhook-id"].clone(), request["raw"].clone())
        })
        .collect();
    assert_eq!(seen.len(), 4);
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "same id and bytes: {seen:?}");
    let logs = world
        .db
        .query(
            "select status_code, error, attempt_number from webhook_logs
        order by attempt_number",
            &[],
        )
        .await
        .unwrap();
    let logged: Vec<(Option<i32>, Option<String>, i32)> =
        logs.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(
        logged,
        [
            (Some(500), Some("status".to_owned()), 1),
            (Some(500), Some("status".to_owned()), 2),
            (Some(503), Some("status".to_owned()), 3),
            (Some(200), None, 4),
        ]
    );
    let history = world.history_of(&delivery_workflow_id(delivery)).await;
    assert!(history.len() < 30, "{} events", history.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_disabled() {
    let world = World::start().await;
    let gone = json!({ "answers": [{ "status": 410 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, None, script(gone));
    let id = world.post_call().await;
    world.closed(&id).await;
    let (_, state, attempts) = world.delivery_settles().await;
    assert_eq!((state.as_str(), attempts), ("disabled", 1));
    let enabled: bool =
        world.db.query_one("select enabled from webhooks", &[]).await.unwrap().get(0);
    assert!(!enabled);
    let again = world.post_call().await;
    world.closed(&again).await;
    assert_eq!(world.delivery().await.2, 1, "no delivery is made for a disabled endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_survives_the_death_of_its_worker() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.start_worker(&world.faults("webhooks.after=kill")).await;
    let failing = json!({ "answers": [{ "status": 500 }] });
    world.fakes.script(Provider::Hooks, None, script(failing));
    let id = world.post_call().await;
    world.worker().ended().await;
    assert_eq!(world.delivery().await.2, 1, "the attempt was logged");
    world.start_worker(&[]).await;
    world.closed(&id).await;
    let (_, state, attempts) = world.delivery_settles().await;
    assert_eq!((state.as_str(), attempts), ("delivered", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_nobody_is_at_work_on_is_swept() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.start_worker(&world.faults("webhooks.before=fail*1000")).await;
    let id = world.post_call().await;
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "webhooks")["status"], "failed");
    let overdue = "update webhook_deliveries set next_attempt_at = now()";
    world.db.execute(overdue, &[]).await.unwrap();
    let (_, state, _) = world.delivery_settles().await;
    assert_eq!(state, "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_retried_does_not_wait_for_the_workflow_of_the_round_before() {
    let world = World::start().await;
    world.db.batch_execute("update webhooks set schedule = '{1,3600}'").await.unwrap();
    let failing = json!({ "answers": [{ "status": 500, "times": 3 }] });
    world.fakes.script(Provider::Hooks, None, script(failing));
    let id = world.post_call().await;
    world.closed(&id).await;
    until("its workflow sleeps for an hour", Duration::from_secs(60), || async {
        (world.delivery().await.2 == 2).then_some(())
    })
    .await;
    let given_up = "update webhook_deliveries set state = 'failed', settled_at = now()";
    world.db.batch_execute(given_up).await.unwrap();
    // The third attempt fails, too: the fourth is the queue's, a second later.
    let call = world.call_id(&id).to_string();
    let (_, talk, code) = world.cli(&["calls", "retry-step", &call, "webhooks"]).await;
    assert_eq!(code, 0, "{talk}");
    let (_, state, attempts) = world.delivery_settles().await;
    assert_eq!((state.as_str(), attempts), ("delivered", 2));
}
