//! What keys were used for, and how much they may be.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{World, wait::until};

const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    async fn usage(&self, id: &str) -> Value {
        let path = format!("/v1/api-keys/{id}");
        self.ask_as(&self.demo.api_key, Method::GET, &path, None).await.with(200)
    }

    async fn use_key(&self, api_url: &str, key: &str) -> u16 {
        let calls = (Method::GET, "/v1/calls?limit=1");
        self.ask_at(api_url, Some(key), calls, &[], None).await.status
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_in_batches_also_those_before_a_stop() {
    let mut world = World::serving(Vec::new()).await;
    let other = world.another_serve().await;
    let (id, key) = world.made_key(&json!({ "name": "a", "scopes": ["calls:read"] })).await;
    for _ in 0..10 {
        assert_eq!(world.use_key(&world.api_url, &key).await, 200);
        assert_eq!(world.use_key(&other.api_url, &key).await, 200);
    }
    until("all are counted", PATIENCE, || async {
        (world.usage(&id).await["usage_count"] == 20).then_some(())
    })
    .await;
    let usage = world.usage(&id).await;
    assert!(usage["last_used_at"].is_string(), "{usage}");
    let days = usage["usage_by_day"].as_array().unwrap();
    let all: i64 = days.iter().filter_map(|day| day["requests"].as_i64()).sum();
    // Midnight may have come between.
    assert!(all == 20 && days.len() <= 2, "{usage}");

    for _ in 0..7 {
        assert_eq!(world.use_key(&world.api_url, &key).await, 200);
    }
    world.stop_serve().await;
    let sql = format!("select usage_count from api_keys where id = '{id}'");
    let count: i64 = world.db.query_one(&sql, &[]).await.unwrap().get(0);
    assert_eq!(count, 27, "what was counted last is written at the stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_to_the_request_in_one_process() {
    let world = World::serving(Vec::new()).await;
    let body = json!({ "name": "a", "scopes": ["calls:read"], "usage_quota": 50 });
    let (id, key) = world.made_key(&body).await;
    let all = futures::future::join_all((0..20).map(|_| async {
        let mut good = 0;
        for _ in 0..5 {
            let status = world.use_key(&world.api_url, &key).await;
            assert!([200, 402].contains(&status), "{status}");
            good += i32::from(status == 200);
        }
        good
    }));
    assert_eq!(all.await.iter().sum::<i32>(), 50);
    let path = format!("/v1/api-keys/{id}");
    let own = &world.demo.api_key;
    let raised = json!({ "usage_quota": 51 });
    world.ask_as(own, Method::PATCH, &path, Some(&raised)).await.with(200);
    until("the raised quota is known", PATIENCE, || async {
        (world.use_key(&world.api_url, &key).await == 200).then_some(())
    })
    .await;
    assert_eq!(world.use_key(&world.api_url, &key).await, 402);
}
