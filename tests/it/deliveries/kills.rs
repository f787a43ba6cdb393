//! The worker dies at every point of a delivery: it arrives, at most one repeat for a death, and the log
//! tells of each attempt.

use postcall::dev::fakes::{Filter, Kind, Provider};
use serde_json::json;
use uuid::Uuid;

mod ends;
mod rules;
mod steps;

use super::{made::Logged, script};
use crate::harness::{Options, World};

/// Between claim and POST, between POST and log, and after it.
const POINTS: [&str; 3] = ["webhooks.sending", "webhooks.posted", "webhooks.settled"];

/// Requests that come again, and attempts that nobody can tell the end of, where a worker dies there.
fn left_by(point: &str) -> (usize, usize) {
    match point {
        "webhooks.claimed" | "webhooks.sending" => (0, 1),
        "webhooks.posted" => (1, 1),
        _ => (0, 0),
    }
}

/// Begins anew what a dead worker has claimed, without waiting for its claim to run out.
async fn run_out(world: &World, endpoint: Uuid) {
    let sql = "update webhook_deliveries set next_attempt_at = now()
        where webhook_id = $1 and state = 'pending'";
    world.db.execute(sql, &[&endpoint]).await.unwrap();
}

/// So many attempts are in the log, by number, of which so many were interrupted.
fn is_complete(logged: &[Logged], attempts: usize, interrupted: usize) -> bool {
    let numbers: Vec<i32> = logged.iter().map(|(number, ..)| *number).collect();
    let expected: Vec<i32> = (1..).take(attempts).collect();
    numbers == expected && logged.iter().filter(|line| is_interrupted(line)).count() == interrupted
}

impl World {
    /// The log of an event's attempts, without what says that it was held back.
    async fn attempts_logged(&self, endpoint: Uuid, event: Uuid) -> Vec<Logged> {
        let mut logged = self.logged(endpoint, event).await;
        logged.retain(|(number, ..)| *number > 0);
        logged
    }
}

fn is_interrupted((_, error, _): &Logged) -> bool {
    error.as_deref() == Some("interrupted")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_within_an_attempt_of_the_queue_repeats_it_once_at_most() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("killed", "").await;
    for point in POINTS {
        world.start_worker(&world.faults(&format!("{point}=kill"))).await;
        let event = world.enqueue(endpoint, None, 1).await[0];
        world.worker().ended().await;
        std::fs::remove_file(world.folder.join("faults.log")).unwrap();
        run_out(&world, endpoint).await;
        world.start_worker(&[]).await;
        world.done_with(endpoint).await;
        world.kill_worker().await;
        let taken =
            world.delivered_to("killed").into_iter().filter(|taken| *taken == event).count();
        let (repeats, interrupted) = left_by(point);
        assert_eq!(taken, 1 + repeats, "{point}");
        let logged = world.logged(endpoint, event).await;
        assert!(is_complete(&logged, 1 + interrupted, interrupted), "{point}: {logged:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_within_a_later_attempt_repeats_it_once_at_most() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("later", "schedule = '{10,1,1}'").await;
    for point in POINTS {
        let fails = json!({ "answers": [{ "status": 500 }] });
        world.fakes.script(Provider::Hooks, Some("later"), script(fails));
        world.start_worker(&[]).await;
        let event = world.enqueue(endpoint, None, 1).await[0];
        // The first attempt fails, and its workflow sleeps.
        world.sleeps(world.delivery_of(event).await, 1).await;
        world.kill_worker().await;
        let before = world.reached("later").len();
        world.start_worker(&world.faults(&format!("{point}=kill"))).await;
        world.worker().ended().await;
        std::fs::remove_file(world.folder.join("faults.log")).unwrap();
        world.start_worker(&[]).await;
        world.done_with(endpoint).await;
        world.kill_worker().await;
        let arrived = world.reached("later").len() - before;
        let (repeats, interrupted) = left_by(point);
        assert_eq!(arrived, 1 + repeats, "{point}");
        let logged = world.logged(endpoint, event).await;
        assert!(is_complete(&logged, 2 + interrupted, interrupted), "{point}: {logged:?}");
        assert_eq!(world.states(endpoint).await[0].0, "delivered");
    }
}

/// A claim that died with its worker, before anything was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_claim_and_post_sends_it_later() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.start_worker(&world.faults("webhooks.claimed=kill")).await;
    let id = world.post_call().await;
    world.dies_at("webhooks.claimed").await;
    let sql =
        "select webhook_id, event_id from webhook_deliveries where attempting_since is not null";
    let row = world.db.query_one(sql, &[]).await.unwrap();
    let (endpoint, event): (Uuid, Uuid) = (row.get(0), row.get(1));
    run_out(&world, endpoint).await;
    world.start_worker(&[]).await;
    world.closed(&id).await;
    world.done_with(endpoint).await;
    let logged = world.logged(endpoint, event).await;
    let (first, second) = ((1, Some("interrupted".to_owned()), None), (2, None, Some(200)));
    assert_eq!(logged, [first, second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_endpoint_asked_to_wait_is_known_after_the_death_of_who_heard_it() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let asks = json!({ "answers": [{ "status": 503, "headers": { "retry-after": "20" } }] });
    world.fakes.script(Provider::Hooks, None, script(asks));
    world.start_worker(&world.faults("webhooks.after=kill")).await;
    let id = world.post_call().await;
    world.dies_at("webhooks.after").await;
    world.start_worker(&[]).await;
    world.closed(&id).await;
    let (_, state, attempts) = world.delivery_settles().await;
    assert_eq!((state.as_str(), attempts), ("delivered", 2));
    let arrived =
        world.fakes.effects().list(&Filter { kind: Some(Kind::Webhook), ..Filter::default() });
    let waited = (arrived[1].at - arrived[0].at).num_seconds();
    assert!(waited >= 18, "it asked for 20 s: {waited} s");
}

/// The probe of a circuit dies with its worker: the next one is made when its claim runs out.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_with_the_probe_of_a_circuit_leaves_it_to_the_next() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let open = "circuit = 'open', circuit_trips = 3, circuit_probe_at = now()";
    for point in POINTS {
        let name = point.replace('.', "-");
        let endpoint = world.open_endpoint(&name, open).await;
        let events = world.enqueue(endpoint, None, 3).await;
        world.start_worker(&world.faults(&format!("{point}=kill"))).await;
        world.dies_at(point).await;
        std::fs::remove_file(world.folder.join("faults.log")).unwrap();
        let probes = usize::from(point != "webhooks.sending");
        assert_eq!(world.reached(&name).len(), probes, "{point}: the probe is alone");
        let sql = "select circuit from webhooks where id = $1";
        let circuit: String = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
        let expected = if point == "webhooks.settled" { "closed" } else { "half-open" };
        assert_eq!(circuit, expected, "{point}");
        run_out(&world, endpoint).await;
        let again = "circuit_probe_at = case when circuit <> 'closed' then now() end";
        world.set_endpoint(endpoint, again).await;
        world.start_worker(&[]).await;
        world.done_with(endpoint).await;
        world.kill_worker().await;
        let mut taken = world.delivered_to(&name);
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken, events, "{point}");
        assert_eq!(world.reached(&name).len(), 3 + left_by(point).0, "{point}");
    }
}

/// Owners hear once of an endpoint that is disabled.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_a_letter_sends_it_once() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let points = ["notice.before", "notice.claimed", "notice.posted", "notice.after"];
    for (number, point) in (1..).zip(points) {
        let name = point.replace('.', "-");
        let endpoint = world.open_endpoint(&name, "").await;
        let gone = json!({ "answers": [{ "status": 410 }] });
        world.fakes.script(Provider::Hooks, Some(&name), script(gone));
        world.enqueue(endpoint, None, 1).await;
        world.start_worker(&world.faults(&format!("{point}=kill"))).await;
        world.dies_at(point).await;
        std::fs::remove_file(world.folder.join("faults.log")).unwrap();
        world.start_worker(&[]).await;
        crate::harness::wait::until("the letter is settled", super::made::PATIENCE, || async {
            let sql = "select count(*) from organization_emails
                where kind = 'endpoint-notice' and state = 'sent'";
            let sent: i64 = world.db.query_one(sql, &[]).await.unwrap().get(0);
            (sent == number).then_some(())
        })
        .await;
        world.kill_worker().await;
        assert_eq!(i64::try_from(world.accepted(Kind::Email)).unwrap(), number, "{point}");
    }
}

/// What was under way when its endpoint was disabled may have arrived: the log says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_an_endpoint_that_is_then_disabled_leaves_a_whole_log() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("cut", "").await;
    world.start_worker(&world.faults("webhooks.posted=kill")).await;
    let event = world.enqueue(endpoint, None, 1).await[0];
    world.dies_at("webhooks.posted").await;
    let url = format!("{}/v1/webhooks/{endpoint}", world.api_url);
    let change = world.http.patch(url).bearer_auth(&world.demo.api_key);
    let changed = change.json(&json!({ "enabled": false })).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    let logged = world.logged(endpoint, event).await;
    let skip = (0, Some("disabled".to_owned()), None);
    assert_eq!(logged, [skip, (1, Some("interrupted".to_owned()), None)]);
    assert_eq!(world.states(endpoint).await, [("disabled".to_owned(), 1)]);
}
