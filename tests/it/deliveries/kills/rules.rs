//! The worker dies while it serves endpoints with rules: a rate, or the order of a call.

use contract::ids::DeliveryId;
use uuid::Uuid;

use super::{POINTS, is_complete, is_interrupted, run_out};
use crate::harness::{
    Options, World,
    held::Hold::{self, Commit, Row},
};

const RATED: &str = "rate_limit = 20";
const ORDERED: &str = "ordering = 'call', schedule = '{1}'";

impl World {
    /// The worker dies at each point, one after the other, while it serves the endpoint.
    async fn killed_while_it_serves(&mut self, endpoint: Uuid) {
        for point in POINTS {
            self.start_worker(&self.faults(&format!("{point}=kill"))).await;
            self.dies_at(point).await;
            std::fs::remove_file(self.folder.join("faults.log")).unwrap();
            run_out(self, endpoint).await;
        }
        self.start_worker(&[]).await;
        self.done_with(endpoint).await;
    }

    /// The log has some attempts that were interrupted and then one that arrived. How many were interrupted.
    async fn interrupted(&self, endpoint: Uuid, event: Uuid) -> usize {
        let logged = self.attempts_logged(endpoint, event).await;
        let interrupted = logged.iter().filter(|line| is_interrupted(line)).count();
        assert!(is_complete(&logged, interrupted + 1, interrupted), "{logged:?}");
        let (_, error, status) = logged.last().unwrap();
        assert_eq!((error, status), (&None, &Some(200)), "{logged:?}");
        interrupted
    }

    /// Ids of the events that reached an endpoint, in their order.
    fn order_at(&self, name: &str) -> Vec<Uuid> {
        let reached = self.reached(name);
        reached.iter().map(|effect| effect.other_keys[0].parse().expect("a webhook-id")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_keeps_a_rate_loses_nothing() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("rated", RATED).await;
    let events = world.enqueue(endpoint, None, 40).await;
    world.killed_while_it_serves(endpoint).await;
    let came = world.order_at("rated");
    let mut interrupted = 0;
    for event in &events {
        let requests = came.iter().filter(|came| *came == event).count();
        let cut = world.interrupted(endpoint, *event).await;
        assert!((1..=1 + cut).contains(&requests), "{requests} requests, {cut} interrupted");
        interrupted += cut;
    }
    assert!(interrupted >= 2, "two died with a claim: {interrupted}");
    assert!(came.len() > events.len(), "what was posted before it died came again");
    assert_eq!(world.states(endpoint).await, [("delivered".to_owned(), 40)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_keeps_the_order_of_a_call_keeps_it() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("ordered", ORDERED).await;
    let events = world.enqueue(endpoint, Some(Uuid::now_v7()), 10).await;
    world.killed_while_it_serves(endpoint).await;
    let mut came = world.order_at("ordered");
    assert_eq!(came.len(), events.len() + 1, "one was posted when its worker died");
    came.dedup();
    assert_eq!(came, events, "a repeat comes before what follows it");
    let mut interrupted = 0;
    for event in &events {
        interrupted += world.interrupted(endpoint, *event).await;
    }
    assert_eq!(interrupted, 2, "one claimed, and one posted");
}

/// The worker dies in the transaction of its claims. Gives what it had claimed by then, for good.
async fn killed_in_a_claim(hold: Hold<'_>, words: &str) -> Vec<DeliveryId> {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let rated = world.open_endpoint("rated", RATED).await;
    let ordered = world.open_endpoint("ordered", ORDERED).await;
    let of_rate = world.enqueue(rated, None, 10).await;
    let of_call = world.enqueue(ordered, Some(Uuid::now_v7()), 10).await;
    let held = world.hold(hold).await;
    world.start_worker(&[]).await;
    world.killed_at(held, words).await;
    let sql = "select id from webhook_deliveries where attempting_since is not null";
    let claimed: Vec<DeliveryId> =
        world.db.query(sql, &[]).await.unwrap().iter().map(|row| DeliveryId(row.get(0))).collect();
    assert_eq!((world.reached("rated").len(), world.reached("ordered").len()), (0, 0));
    for endpoint in [rated, ordered] {
        run_out(&world, endpoint).await;
    }
    world.start_worker(&[]).await;
    let mut interrupted = 0;
    for (endpoint, events) in [(rated, &of_rate), (ordered, &of_call)] {
        world.done_with(endpoint).await;
        for event in events {
            interrupted += world.interrupted(endpoint, *event).await;
        }
    }
    assert_eq!(interrupted, claimed.len(), "each claim is told, and no more");
    let mut came = world.order_at("rated");
    came.sort_unstable();
    assert_eq!(came, of_rate, "each once");
    assert_eq!(world.order_at("ordered"), of_call, "each once, in its order");
    claimed
}

/// A row of an endpoint is written in the transaction that claims its deliveries.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_a_claim_by_rules_has_claimed_nothing() {
    let row = Row("update on webhooks", "new.paced_until is distinct from old.paced_until");
    assert!(killed_in_a_claim(row, "update webhooks").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_the_commit_of_a_claim_by_rules_leaves_claims_that_run_out() {
    let commit = Commit("update on webhook_deliveries", "new.attempting_since is not null");
    let claimed = killed_in_a_claim(commit, "commit").await;
    assert!(claimed.len() >= 2, "one of each at least: {claimed:?}");
}
