//! The worker dies within the step of a call that makes the first attempts.

use activities::faults::OF_CALLS;
use postcall::dev::fakes::{Filter, Kind, Provider};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{left_by, script};
use crate::{
    deliveries::made::Logged,
    harness::{Options, World},
};

/// Those of the step, in the order in which it passes them.
fn points() -> impl Iterator<Item = &'static str> {
    OF_CALLS.iter().copied().filter(|point| point.starts_with("webhooks."))
}

impl World {
    /// Requests with this `webhook-id`, taken or not.
    fn requests_of(&self, event: Uuid) -> usize {
        let key = Some(event.to_string());
        self.fakes.effects().count(&Filter { kind: Some(Kind::Webhook), key, ..Filter::default() })
    }

    /// What a call's end is told by, and to which endpoint.
    async fn end_told_of(&self, call: &str) -> (Uuid, Uuid) {
        let sql = "select d.event_id, d.webhook_id from webhook_deliveries d
            join events e on e.id = d.event_id where e.type = 'call.completed' and d.call_id = $1";
        let row = self.db.query_one(sql, &[&self.call_id(call).0]).await.unwrap();
        (row.get(0), row.get(1))
    }
}

/// What the log says in the end, where the endpoint has these answers and then takes everything.
fn expected_log(point: &str, answers: &[u16]) -> Vec<Logged> {
    let (used_up, interrupted) = left_by(point);
    let mut left = answers.iter().skip(used_up).copied().collect::<Vec<u16>>();
    if left.last() != Some(&200) {
        left.push(200);
    }
    let told = left.into_iter().map(|status| {
        let error = (status != 200).then(|| "status".to_owned());
        (error, Some(i32::from(status)))
    });
    let interrupted = (0..interrupted).map(|_| (Some("interrupted".to_owned()), None));
    (1..)
        .zip(interrupted.chain(told))
        .map(|(number, (error, status))| (number, error, status))
        .collect()
}

/// Kills the worker at each point of the step while the endpoint has these answers for each call.
async fn killed_at_each_point(answers: &[u16]) {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.db.batch_execute("update webhooks set schedule = '{1,1,1}'").await.unwrap();
    for point in points() {
        let scripted: Vec<Value> =
            answers.iter().map(|status| json!({ "status": status })).collect();
        world.fakes.script(Provider::Hooks, None, script(json!({ "answers": scripted })));
        world.start_worker(&world.faults(&format!("{point}=kill"))).await;
        let call = world.post_call().await;
        world.dies_at(point).await;
        std::fs::remove_file(world.folder.join("faults.log")).unwrap();
        let claims = "update webhook_deliveries set next_attempt_at = now()
            where attempting_since is not null";
        world.db.batch_execute(claims).await.unwrap();
        world.start_worker(&[]).await;
        world.closed(&call).await;
        let (event, endpoint) = world.end_told_of(&call).await;
        world.done_with(endpoint).await;
        world.kill_worker().await;
        let logged = world.logged(endpoint, event).await;
        assert_eq!(logged, expected_log(point, answers), "{point}");
        let (repeats, interrupted) = left_by(point);
        let requests = world.requests_of(event);
        assert_eq!(requests, logged.len() - interrupted + repeats, "{point}");
        assert!((1..=answers.len() + 1).contains(&requests), "{point}: {requests}");
        world.fakes.script(Provider::Hooks, None, script(json!({ "answers": [] })));
    }
    let calls = i64::try_from(points().count()).unwrap();
    let sql = "select count(*) from webhook_deliveries where state = 'delivered'";
    assert_eq!(world.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_within_the_step_of_a_call_repeats_a_request_once_at_most() {
    killed_at_each_point(&[200]).await;
}

/// What the log has of it is the attempt that failed, and then its workflow's.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_within_a_step_whose_attempt_fails_leaves_a_whole_log() {
    killed_at_each_point(&[500, 200]).await;
}
