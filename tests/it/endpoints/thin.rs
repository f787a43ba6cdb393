//! Endpoints that get ids and links only.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{World, arrived::Arrived};
use crate::harness::wait::until;

const PATIENCE: Duration = Duration::from_secs(90);
/// What the fixtures' call is about, and who is in it.
const PERSONAL: [&str; 3] = ["booked a table", "Ana", "+14155552671"];

impl World {
    /// Waits until so many messages have reached a receiver.
    async fn messages(&self, name: &str, count: usize) -> Vec<Arrived> {
        let what = format!("{count} messages reach {name}");
        until(&what, PATIENCE, || async {
            Some(self.arrived_at(name)).filter(|arrived| arrived.len() >= count)
        })
        .await
    }
}

/// One is what remains of the other: the same event, with nobody in it.
fn is_what_remains(thin: &Arrived, full: &Arrived) {
    assert_eq!(thin.header("webhook-id"), full.header("webhook-id"));
    for word in PERSONAL {
        assert!(!thin.raw.contains(word), "{word} in {}", thin.raw);
    }
    assert!(full.raw.contains(PERSONAL[0]), "{}", full.raw);
    let (thin, full) = (thin.body(), full.body());
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&thin), ["data", "timestamp", "type"]);
    assert_eq!((&thin["type"], &thin["timestamp"]), (&full["type"], &full["timestamp"]));
    assert_eq!(names(&thin["data"]), ["id", "links", "organization_id"]);
    for name in names(&thin["data"]) {
        assert_eq!(thin["data"][&name], full["data"][&name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_endpoint_gets_ids_and_links_beside_one_that_gets_everything() {
    let world = World::start().await;
    let events = json!({ "events": ["call.completed"] });
    let (_, full_secret) = world.endpoint("full", &events).await;
    let thin = json!({ "events": ["call.completed"], "thin": true });
    let (id, thin_secret) = world.endpoint("thin", &thin).await;
    let call = world.post_call().await;
    let (full, thin) = (world.messages("full", 1).await, world.messages("thin", 1).await);
    is_what_remains(&thin[0], &full[0]);
    assert_eq!(thin[0].body()["data"]["id"], json!(world.call_id(&call).to_string()));
    assert!(thin[0].is_genuine(&thin_secret) && full[0].is_genuine(&full_secret));
    let payload = until("the attempt is in the log", PATIENCE, || async {
        let logged = world.webhooks(Method::GET, &format!("/{id}/logs"), None).await.with(200);
        logged["data"].as_array()?.first().map(|attempt| attempt["payload"].clone())
    })
    .await;
    assert_eq!(payload, thin[0].body());

    let now = world.change_endpoint(id, json!({ "thin": false })).await;
    assert_eq!(now["thin"], false);
    world.closed(&call).await;
    world.post_call().await;
    let (full, now_full) = (world.messages("full", 2).await, world.messages("thin", 2).await);
    assert_eq!(now_full[1].raw, full[1].raw);
    assert!(now_full[1].is_genuine(&thin_secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thin_endpoint_missed_is_recovered_thin() {
    let world = World::start().await;
    let began = (Utc::now() - TimeDelta::seconds(5)).to_rfc3339_opts(SecondsFormat::Millis, true);
    world.endpoint("full", &json!({ "events": ["call.completed"] })).await;
    let thin = json!({ "events": ["call.completed"], "thin": true, "enabled": false });
    let (id, secret) = world.endpoint("thin", &thin).await;
    for _ in 0..2 {
        let call = world.post_call().await;
        world.closed(&call).await;
    }
    let full = world.messages("full", 2).await;
    assert!(world.arrived_at("thin").is_empty());
    world.change_endpoint(id, json!({ "enabled": true })).await;
    let asked = json!({ "kind": "missing", "since": began, "rate": 1000 });
    let recover = format!("/{id}/recover");
    let begun = world.webhooks(Method::POST, &recover, Some(&asked)).await.with(202);
    assert_eq!(begun["total"], 2, "{begun}");
    let thin = world.messages("thin", 2).await;
    let by_event = |message: &Arrived| -> Uuid { message.header("webhook-id").parse().unwrap() };
    for message in &thin {
        let whole = full.iter().find(|full| by_event(full) == by_event(message)).unwrap();
        is_what_remains(message, whole);
        assert!(message.is_genuine(&secret), "{message:?}");
    }
    assert_ne!(by_event(&thin[0]), by_event(&thin[1]));
}
