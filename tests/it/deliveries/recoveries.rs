//! Deliveries made again in bulk: exactly what failed, exactly what was missed.

mod under_way;

use chrono::{DateTime, TimeDelta, Utc};
use postcall::dev::fakes::Provider;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{made::PATIENCE, script};
use crate::harness::{Options, World, wait::until};

impl World {
    /// Changes an endpoint; gives it as it is then.
    pub(crate) async fn change_endpoint(&self, id: Uuid, change: Value) -> Value {
        let url = format!("{}/v1/webhooks/{id}", self.api_url);
        let sent = self.http.patch(url).bearer_auth(&self.demo.api_key).json(&change);
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Asks for a recovery, or for a change of one: status and answer.
    async fn ask(&self, id: Uuid, what: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/v1/webhooks/{id}/{what}", self.api_url);
        let sent = self.http.post(url).bearer_auth(&self.demo.api_key).json(body);
        let answer = sent.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Waits until a recovery stands there.
    async fn recovery_is(&self, endpoint: Uuid, recovery: &str, state: &str) -> Value {
        until(&format!("the recovery is {state}"), PATIENCE, || async {
            let path = format!("/v1/webhooks/{endpoint}/recoveries/{recovery}");
            let (_, shown) = self.get(&path).await;
            (shown["state"] == state).then_some(shown)
        })
        .await
    }

    /// Calls that are done; the ids of what their endpoint is told.
    async fn told_of_calls(&self, count: usize) -> Vec<Uuid> {
        let last = "select id from events order by id desc limit 1";
        let last = self.db.query_opt(last, &[]).await.unwrap();
        let last: Uuid = last.map_or(Uuid::nil(), |row| row.get(0));
        for _ in 0..count {
            let call = self.post_call().await;
            self.closed(&call).await;
        }
        let sql = "select id from events where type = 'call.completed' and id > $1 order by id";
        let rows = self.db.query(sql, &[&last]).await.unwrap();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(ids.len(), count);
        ids
    }

    /// Events of usage that an endpoint did not get; their ids in their order.
    async fn missed_by(&self, endpoint: Uuid, count: usize) -> Vec<Uuid> {
        let sql = "insert into events (id, organization_id, type, payload)
            select $1, organization_id, 'usage.threshold_reached',
                '{\"type\": \"usage.threshold_reached\", \"data\": {}}'
            from webhooks where id = $2";
        let mut missed = Vec::new();
        for _ in 0..count {
            let event = Uuid::now_v7();
            self.db.execute(sql, &[&event, &endpoint]).await.unwrap();
            missed.push(event);
        }
        missed
    }
}

fn since(at: DateTime<Utc>) -> Value {
    json!(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_disabled_is_delivered_and_nothing_else() {
    let world = World::start().await;
    let began = Utc::now() - TimeDelta::seconds(5);
    let endpoint = world.open_endpoint("back", "events = '{call.*}'").await;
    world.told_of_calls(1).await;
    world.done_with(endpoint).await;
    world.change_endpoint(endpoint, json!({ "enabled": false })).await;
    let missed = world.told_of_calls(3).await;
    let asked = json!({ "kind": "missing", "since": since(began), "rate": 1000 });
    let (status, refused) = world.ask(endpoint, "recover", &asked).await;
    assert_eq!((status, &refused["type"]), (409, &json!("/docs/problems/conflict")), "{refused}");
    world.change_endpoint(endpoint, json!({ "enabled": true })).await;
    let before = world.delivered_to("back");

    let mut counted = asked.clone();
    counted["dry_run"] = json!(true);
    let (status, counted) = world.ask(endpoint, "recover", &counted).await;
    assert_eq!((status, &counted["total"]), (200, &json!(3)), "{counted}");
    let (status, begun) = world.ask(endpoint, "recover", &asked).await;
    assert_eq!((status, &begun["total"]), (202, &json!(3)), "{begun}");
    let id = begun["id"].as_str().unwrap();
    let done = world.recovery_is(endpoint, id, "completed").await;
    assert_eq!((&done["begun"], &done["total"]), (&json!(3), &json!(3)), "{done}");
    world.done_with(endpoint).await;
    let mut after: Vec<Uuid> = world.delivered_to("back").split_off(before.len());
    after.sort_unstable();
    assert_eq!(after, missed);
    let (_, items) = world.get(&format!("/v1/webhooks/{endpoint}/recoveries/{id}/items")).await;
    let states: Vec<&Value> =
        items["data"].as_array().unwrap().iter().map(|item| &item["state"]).collect();
    assert_eq!(states, ["delivered"; 3]);

    let (_, again) = world.ask(endpoint, "recover", &asked).await;
    assert_eq!(again["total"], 0, "nothing is missed any more");
    world.recovery_is(endpoint, again["id"].as_str().unwrap(), "completed").await;
    assert_eq!(world.delivered_to("back").len(), before.len() + 3);
    let sql = "select count(*) from audit_log where action = 'webhooks.recovery.begin'";
    assert_eq!(world.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_disabled_in_mid_retry_gets_nothing_and_later_what_failed() {
    let world = World::start().await;
    let began = Utc::now() - TimeDelta::seconds(5);
    let endpoint = world.open_endpoint("mid", "events = '{call.*}', schedule = '{3600}'").await;
    let broken = json!({ "answers": [{ "status": 500, "times": 3 }] });
    world.fakes.script(Provider::Hooks, Some("mid"), script(broken));
    let failed = world.told_of_calls(3).await;
    until("each was tried", PATIENCE, || async { (world.reached("mid").len() == 3).then_some(()) })
        .await;
    world.change_endpoint(endpoint, json!({ "enabled": false })).await;
    assert_eq!(world.states(endpoint).await, [("disabled".to_owned(), 3)]);
    for event in &failed {
        let expected =
            [(0, Some("disabled".to_owned()), None), (1, Some("status".to_owned()), Some(500))];
        assert_eq!(world.logged(endpoint, *event).await, expected);
    }
    let missed = world.told_of_calls(1).await;
    world.change_endpoint(endpoint, json!({ "enabled": true })).await;

    // One a second, paused after the first.
    let asked = json!({ "kind": "missing", "since": since(began), "rate": 1 });
    let (status, begun) = world.ask(endpoint, "recover", &asked).await;
    assert_eq!((status, &begun["total"]), (202, &json!(4)), "{begun}");
    let id = begun["id"].as_str().unwrap();
    let (status, busy) = world.ask(endpoint, "recover", &asked).await;
    assert_eq!(status, 409, "{busy}");
    until("one has begun", PATIENCE, || async {
        let (_, shown) = world.get(&format!("/v1/webhooks/{endpoint}/recoveries/{id}")).await;
        (shown["begun"].as_i64() >= Some(1)).then_some(())
    })
    .await;
    let change = async |what: &str| {
        world.ask(endpoint, &format!("recoveries/{id}/{what}"), &json!({})).await
    };
    let (status, paused) = change("pause").await;
    assert_eq!((status, &paused["state"]), (200, &json!("paused")), "{paused}");
    let (status, resumed) = change("resume").await;
    assert_eq!((status, &resumed["state"]), (200, &json!("running")), "{resumed}");
    let done = world.recovery_is(endpoint, id, "completed").await;
    assert_eq!(done["begun"], 4);
    world.done_with(endpoint).await;
    let mut delivered = world.delivered_to("mid");
    delivered.sort_unstable();
    assert_eq!(delivered, [failed, missed].concat(), "each once");
    let (status, ended) = change("abort").await;
    assert_eq!(status, 409, "{ended}");
    assert_eq!(change("dance").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_no_miss_and_delivered_as_what_failed() {
    let world = World::start().await;
    let began = Utc::now() - TimeDelta::seconds(5);
    let endpoint = world.open_endpoint("given-up", "events = '{call.*}', schedule = '{1}'").await;
    let broken = json!({ "answers": [{ "status": 500, "times": 2 }] });
    world.fakes.script(Provider::Hooks, Some("given-up"), script(broken));
    let failed = world.told_of_calls(1).await;
    world.done_with(endpoint).await;
    assert_eq!(world.states(endpoint).await, [("failed".to_owned(), 1)]);
    for (kind, total) in [("missing", 0), ("failed", 1)] {
        let asked = json!({ "kind": kind, "since": since(began) });
        let (status, begun) = world.ask(endpoint, "recover", &asked).await;
        assert_eq!((status, &begun["total"]), (202, &json!(total)), "{begun}");
        world.recovery_is(endpoint, begun["id"].as_str().unwrap(), "completed").await;
        world.done_with(endpoint).await;
    }
    assert_eq!(world.delivered_to("given-up"), failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_written_before_and_is_committed_after_is_not_passed_over() {
    let world = World::start().await;
    let began = Utc::now() - TimeDelta::seconds(5);
    let off = "events = '{usage.*}', enabled = false";
    let endpoint = world.open_endpoint("late", off).await;
    let event = |id: Uuid| {
        format!(
            "insert into events (id, organization_id, type, payload)
             select '{id}', organization_id, 'usage.threshold_reached',
                 '{{\"type\": \"usage.threshold_reached\", \"data\": {{}}}}'
             from webhooks where id = '{endpoint}'"
        )
    };
    let (late, early) = (Uuid::now_v7(), Uuid::now_v7());
    assert!(late < early);
    let writer = world.another_connection().await;
    writer.batch_execute(&format!("begin; {}", event(late))).await.unwrap();
    world.db.batch_execute(&event(early)).await.unwrap();
    world.change_endpoint(endpoint, json!({ "enabled": true })).await;
    let asked = json!({ "kind": "missing", "since": since(began), "rate": 1000 });
    let (status, begun) = world.ask(endpoint, "recover", &asked).await;
    assert_eq!((status, &begun["total"]), (202, &json!(1)), "{begun}");
    let recovery = begun["id"].as_str().unwrap();
    // Its first page was asked for, and waits.
    until("its workflow is started", PATIENCE, || async {
        let sql = "select count(*) from workflow_starts";
        let waiting: i64 = world.db.query_one(sql, &[]).await.unwrap().get(0);
        (waiting == 0).then_some(())
    })
    .await;
    until("its first page is looked at", PATIENCE, || async {
        let history = world.history_of(&format!("webhook-recovery-{recovery}")).await;
        (history.len() > 8).then_some(())
    })
    .await;
    assert_eq!(world.delivered_to("late"), [] as [Uuid; 0]);
    writer.batch_execute("commit").await.unwrap();
    let done = world.recovery_is(endpoint, recovery, "completed").await;
    assert_eq!(done["begun"], 2, "{done}");
    world.done_with(endpoint).await;
    let mut delivered = world.delivered_to("late");
    delivered.sort_unstable();
    assert_eq!(delivered, [late, early]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_a_page_hands_over_each_delivery_once() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let began = Utc::now() - TimeDelta::seconds(5);
    let endpoint = world.open_endpoint("killed-page", "events = '{usage.*}'").await;
    let mut missed: Vec<Uuid> = Vec::new();
    for point in ["recover.before", "recover.after"] {
        missed.extend(world.missed_by(endpoint, 20).await);
        let asked = json!({ "kind": "missing", "since": since(began), "rate": 10 });
        let (status, begun) = world.ask(endpoint, "recover", &asked).await;
        assert_eq!((status, &begun["total"]), (202, &json!(20)), "{point}: {begun}");
        world.start_worker(&world.faults(&format!("{point}=kill"))).await;
        world.dies_at(point).await;
        std::fs::remove_file(world.folder.join("faults.log")).unwrap();
        world.start_worker(&[]).await;
        let recovery = begun["id"].as_str().unwrap();
        let done = world.recovery_is(endpoint, recovery, "completed").await;
        assert_eq!(done["begun"], 20, "{point}: {done}");
        world.done_with(endpoint).await;
        world.kill_worker().await;
    }
    let mut delivered = world.delivered_to("killed-page");
    delivered.sort_unstable();
    assert_eq!(delivered, missed, "each once");
}
