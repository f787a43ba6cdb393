//! A recovery under way: its rate, and what pauses, resumes and ends it.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::since;
use crate::{
    deliveries::made::PATIENCE,
    harness::{
        Options, World,
        held::{pid_of, waits_for},
        history::timers,
        wait::until,
    },
};

/// One a second, so that there is time to change something.
const EVENTS: usize = 8;
/// Long enough for several more to begin.
const WHILE: Duration = Duration::from_secs(4);

/// A recovery that runs, of as many events as an endpoint missed.
struct UnderWay {
    world: World,
    name: &'static str,
    endpoint: Uuid,
    missed: Vec<Uuid>,
    asked: Value,
    id: String,
}

impl UnderWay {
    async fn of(name: &'static str) -> Self {
        let world = World::start().await;
        let from = since(Utc::now() - TimeDelta::seconds(5));
        let endpoint = world.open_endpoint(name, "events = '{usage.*}'").await;
        let missed = world.missed_by(endpoint, EVENTS).await;
        let asked = json!({ "kind": "missing", "since": from, "rate": 1 });
        let (status, begun) = world.ask(endpoint, "recover", &asked).await;
        assert_eq!((status, &begun["total"]), (202, &json!(EVENTS)), "{begun}");
        let id = begun["id"].as_str().unwrap().to_owned();
        Self { world, name, endpoint, missed, asked, id }
    }

    async fn shown(&self) -> Value {
        let path = format!("/v1/webhooks/{}/recoveries/{}", self.endpoint, self.id);
        self.world.get(&path).await.1
    }

    /// Waits until some have begun, and more are left.
    async fn has_begun(&self) {
        until("two have begun", PATIENCE, || async {
            (self.shown().await["begun"].as_i64()? >= 2).then_some(())
        })
        .await;
    }

    async fn change(&self, what: &str) -> (u16, Value) {
        let path = format!("recoveries/{}/{what}", self.id);
        self.world.ask(self.endpoint, &path, &json!({})).await
    }

    /// Nothing is begun for a while, though something is left. How many have begun and ended.
    async fn stands_still(&self) -> usize {
        let begun = usize::try_from(self.shown().await["begun"].as_i64().unwrap()).unwrap();
        assert!((2..EVENTS).contains(&begun), "{begun} have begun");
        self.world.done_with(self.endpoint).await;
        let arrived = self.world.reached(self.name).len();
        sleep(WHILE).await;
        assert_eq!(self.shown().await["begun"], begun);
        assert_eq!(self.world.reached(self.name).len(), arrived);
        begun
    }

    /// Ids and states of its deliveries.
    async fn items(&self) -> Vec<(Uuid, String)> {
        let path = format!("/v1/webhooks/{}/recoveries/{}/items", self.endpoint, self.id);
        let (_, items) = self.world.get(&path).await;
        let item = |item: &Value| {
            let event = item["event_id"].as_str().unwrap().parse().unwrap();
            (event, item["state"].as_str().unwrap().to_owned())
        };
        items["data"].as_array().unwrap().iter().map(item).collect()
    }

    fn delivered(&self) -> Vec<Uuid> {
        let mut delivered = self.world.delivered_to(self.name);
        delivered.sort_unstable();
        delivered
    }

    /// What was done to it, first to last, each by the one that asked.
    async fn audited(&self) -> Vec<String> {
        let path = format!("/v1/audit-log?target=recovery:{}", self.id);
        let (status, log) = self.world.get(&path).await;
        assert_eq!(status, 200, "{log}");
        let sql = "select 'api_key:' || id from api_keys where organization_id = $1";
        let own = self.world.organization();
        let actor: String = self.world.db.query_one(sql, &[&own]).await.unwrap().get(0);
        let line = |line: &Value| {
            assert_eq!(line["actor"], actor, "{line}");
            let action = line["action"].as_str().unwrap().strip_prefix("webhooks.recovery.");
            action.expect("of a recovery").to_owned()
        };
        log["data"].as_array().unwrap().iter().rev().map(line).collect()
    }

    /// What is left is there for another recovery, which gets the rest.
    async fn rest_is_recovered(&self, rest: usize) {
        let mut asked = self.asked.clone();
        asked["rate"] = json!(1000);
        let (status, begun) = self.world.ask(self.endpoint, "recover", &asked).await;
        assert_eq!((status, &begun["total"]), (202, &json!(rest)), "{begun}");
        self.world.recovery_is(self.endpoint, begun["id"].as_str().unwrap(), "completed").await;
        self.world.done_with(self.endpoint).await;
        assert_eq!(self.delivered(), self.missed, "each once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_begins_no_more_in_a_second_than_was_asked_for() {
    let recovery = UnderWay::of("rated").await;
    let done = recovery.world.recovery_is(recovery.endpoint, &recovery.id, "completed").await;
    assert_eq!(done["begun"], EVENTS);
    recovery.world.done_with(recovery.endpoint).await;
    assert_eq!(recovery.delivered(), recovery.missed, "each once");
    let arrived = recovery.world.reached("rated");
    let took = (arrived[EVENTS - 1].at - arrived[0].at).num_seconds();
    assert!(took >= EVENTS as i64 - 2, "{EVENTS} within {took} s");
    // On a slow machine pages are as far apart whatever it waits for.
    let history = recovery.world.history_of(&format!("webhook-recovery-{}", recovery.id)).await;
    let seconds = timers(&history).into_iter().filter(|wait| *wait >= 1.0).count();
    assert!(seconds >= EVENTS - 1, "{:?}", timers(&history));
    assert_eq!(recovery.audited().await, ["begin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_recovery_begins_nothing_until_it_is_resumed() {
    let recovery = UnderWay::of("paused").await;
    recovery.has_begun().await;
    let (status, paused) = recovery.change("pause").await;
    assert_eq!((status, &paused["state"]), (200, &json!("paused")), "{paused}");
    let begun = recovery.stands_still().await;
    assert_eq!(recovery.delivered(), recovery.missed[..begun]);
    assert_eq!(recovery.change("pause").await.0, 200, "it is paused already");
    let (status, resumed) = recovery.change("resume").await;
    assert_eq!((status, &resumed["state"]), (200, &json!("running")), "{resumed}");
    let done = recovery.world.recovery_is(recovery.endpoint, &recovery.id, "completed").await;
    assert_eq!(done["begun"], EVENTS);
    recovery.world.done_with(recovery.endpoint).await;
    assert_eq!(recovery.delivered(), recovery.missed, "each once");
    assert_eq!(recovery.audited().await, ["begin", "pause", "resume"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_recovery_never_sends_the_rest() {
    let recovery = UnderWay::of("aborted").await;
    recovery.has_begun().await;
    assert_eq!(recovery.change("pause").await.0, 200);
    let (status, aborted) = recovery.change("abort").await;
    assert_eq!((status, &aborted["state"]), (200, &json!("aborted")), "{aborted}");
    assert!(aborted["ended_at"].is_string(), "{aborted}");
    for change in ["pause", "resume"] {
        assert_eq!(recovery.change(change).await.0, 409, "it has ended: {change}");
    }
    let begun = recovery.stands_still().await;
    let first = recovery.missed[..begun].iter();
    let first: Vec<(Uuid, String)> = first.map(|id| (*id, "delivered".to_owned())).collect();
    assert_eq!(recovery.items().await, first);
    assert_eq!(recovery.shown().await["state"], "aborted");
    assert_eq!(recovery.audited().await, ["begin", "pause", "abort"]);
    recovery.rest_is_recovered(EVENTS - begun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_is_aborted_while_it_runs_begins_nothing_more() {
    let recovery = UnderWay::of("cut").await;
    recovery.has_begun().await;
    assert_eq!(recovery.change("abort").await.0, 200);
    let begun = recovery.stands_still().await;
    assert_eq!(recovery.delivered(), recovery.missed[..begun]);
    assert_eq!(recovery.audited().await, ["begin", "abort"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_whose_endpoint_is_disabled_pauses_until_somebody_resumes_it() {
    let recovery = UnderWay::of("disabled").await;
    recovery.has_begun().await;
    let world = &recovery.world;
    world.change_endpoint(recovery.endpoint, json!({ "enabled": false })).await;
    world.recovery_is(recovery.endpoint, &recovery.id, "paused").await;
    let begun = recovery.stands_still().await;
    let (status, refused) = recovery.change("resume").await;
    assert_eq!(status, 409, "there is nobody to send to: {refused}");
    assert!(refused["detail"].as_str().unwrap().contains("enable it first"), "{refused}");
    let shown = recovery.shown().await;
    assert_eq!((&shown["state"], &shown["begun"]), (&json!("paused"), &json!(begun)), "{shown}");
    world.change_endpoint(recovery.endpoint, json!({ "enabled": true })).await;
    assert_eq!(recovery.change("resume").await.0, 200);
    let done = world.recovery_is(recovery.endpoint, &recovery.id, "completed").await;
    assert_eq!(done["begun"], EVENTS);
    world.done_with(recovery.endpoint).await;
    assert_eq!(recovery.audited().await, ["begin", "resume"]);
    // What had begun and not left when it was disabled has ended with it.
    let items = recovery.items().await;
    assert_eq!(items.len(), EVENTS, "{items:?}");
    let ended = items.iter().filter(|(_, state)| state == "disabled").count();
    assert!(ended <= 1, "{items:?}");
    assert_eq!(recovery.delivered().len(), EVENTS - ended);
    recovery.rest_is_recovered(ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_ends_with_its_endpoint() {
    let recovery = UnderWay::of("deleted").await;
    recovery.has_begun().await;
    let world = &recovery.world;
    let url = format!("{}/v1/webhooks/{}", world.api_url, recovery.endpoint);
    let deleted = world.http.delete(url).bearer_auth(&world.demo.api_key).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    let begun = recovery.stands_still().await;
    assert_eq!(recovery.shown().await["state"], "aborted");
    assert!(recovery.delivered().len() <= begun);
    for change in ["pause", "resume"] {
        let (status, refused) = recovery.change(change).await;
        assert_eq!(status, 409, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("has ended"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_recovery_begins_of_an_endpoint_that_went_while_it_was_counted() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let from = since(Utc::now() - TimeDelta::seconds(5));
    let writer = world.another_connection().await;
    let changes = [("enabled = false", 409), ("enabled = false, deleted_at = now()", 404)];
    for (change, refused) in changes {
        let endpoint = world.open_endpoint("going", "events = '{usage.*}'").await;
        world.missed_by(endpoint, 1).await;
        let change = format!("begin; update webhooks set {change} where id = '{endpoint}'");
        writer.batch_execute(&change).await.unwrap();
        let asked = json!({ "kind": "missing", "since": from });
        let goes = async {
            let words = "deleted_at is null for no key update";
            waits_for(&world.db, pid_of(&writer).await, words).await;
            writer.batch_execute("commit").await.unwrap();
        };
        let ((status, answer), ()) = tokio::join!(world.ask(endpoint, "recover", &asked), goes);
        assert_eq!(status, refused, "{answer}");
    }
    let begun = "select count(*) from webhook_recoveries";
    assert_eq!(world.db.query_one(begun, &[]).await.unwrap().get::<_, i64>(0), 0);
}
