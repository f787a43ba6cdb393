//! Changes that are in force at once, in every process.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{World, wait::until};

/// Less than a key is believed without a word of its change: what is seen within this time was told.
const TOLD: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn another_process_hears_of_every_change() {
    let world = World::serving(Vec::new()).await;
    let other = world.another_serve().await;
    let own = world.demo.api_key.clone();
    let (id, key) = world.made_key(&json!({ "name": "a", "scopes": ["calls:read"] })).await;
    let path = format!("/v1/api-keys/{id}");
    let there = async || {
        let calls = (Method::GET, "/v1/calls");
        let answer = world.ask_at(&other.api_url, Some(&key), calls, &[], None).await;
        (answer.status, answer.problem().to_owned())
    };
    let becomes = async |status: u16, kind: &str| {
        // Asked all the time, so that it is believed at the moment of the change.
        until(kind, TOLD, || async { (there().await == (status, kind.to_owned())).then_some(()) })
            .await;
    };
    becomes(200, "").await;
    for (change, status, kind) in [
        (json!({ "enabled": false }), 401, "key-disabled"),
        (json!({ "enabled": true }), 200, ""),
        (json!({ "scopes": ["usage:read"] }), 403, "forbidden"),
        (json!({ "scopes": ["calls:read"] }), 200, ""),
        (json!({ "usage_quota": 1 }), 402, "quota-exceeded"),
        (json!({ "usage_quota": null }), 200, ""),
    ] {
        world.ask_as(&own, Method::PATCH, &path, Some(&change)).await.with(200);
        becomes(status, kind).await;
    }
    world.ask_as(&own, Method::DELETE, &path, None).await.with(204);
    becomes(401, "unauthenticated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_revokes_lets_nothing_through_after() {
    let world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    for round in 0..5 {
        let (id, key) = world.made_key(&json!({ "name": "a", "scopes": ["calls:read"] })).await;
        let asking = futures::future::join_all((0..20).map(|_| async {
            for _ in 0..10 {
                world.ask_as(&key, Method::GET, "/v1/calls?limit=1", None).await;
            }
        }));
        let path = format!("/v1/api-keys/{id}");
        let revoking = world.ask_as(&own, Method::DELETE, &path, None);
        let (_, revoked) = tokio::join!(asking, revoking);
        revoked.with(204);
        until("it is refused", TOLD, || async {
            let status = world.ask_as(&key, Method::GET, "/v1/calls", None).await.status;
            (status == 401).then_some(())
        })
        .await;
        // What was read before and is remembered after would show here.
        for _ in 0..5 {
            let status = world.ask_as(&key, Method::GET, "/v1/calls", None).await.status;
            assert_eq!(status, 401, "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_deleted_organization_are_refused() {
    let world = World::serving(Vec::new()).await;
    let key = world.demo.api_key.clone();
    world.ask_as(&key, Method::GET, "/v1/calls", None).await.with(200);
    world.db.execute("update organizations set deleted_at = now()", &[]).await.unwrap();
    until("it is refused", TOLD, || async {
        let status = world.ask_as(&key, Method::GET, "/v1/calls", None).await.status;
        (status == 401).then_some(())
    })
    .await;
}
