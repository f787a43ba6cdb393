//! A POST that is sent twice is done once.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{World, held::Hold, serves::Answer, wait::until};

const WEBHOOKS: &str = "/v1/webhooks";
const KEYS: &str = "/v1/api-keys";
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    async fn post_once(&self, bearer: &str, path: &str, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key)];
        self.ask_at(&self.api_url, Some(bearer), (Method::POST, path), &headers, Some(body)).await
    }

    async fn rows_of(&self, table: &str) -> i64 {
        let sql = format!("select count(*) from {table}");
        self.db.query_one(&sql, &[]).await.expect("a count").get(0)
    }
}

fn endpoint(name: &str) -> Value {
    json!({ "url": format!("https://example.com/{name}"), "events": ["call.*"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_done_once_and_answered_the_same() {
    let world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    let before = world.rows_of("webhooks").await;
    let first = world.post_once(&own, WEBHOOKS, "order 7", &endpoint("a")).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    for _ in 0..3 {
        let again = world.post_once(&own, WEBHOOKS, "order 7", &endpoint("a")).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
        assert_eq!(again.body, first.body);
        for name in ["etag", "content-type", "cache-control"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
    }
    assert_eq!(world.rows_of("webhooks").await, before + 1);
    let other = world.post_once(&own, WEBHOOKS, "order 7", &endpoint("b")).await;
    assert_eq!((other.status, other.problem()), (409, "idempotency-conflict"));
    let elsewhere = world.post_once(&own, KEYS, "order 7", &json!({})).await;
    assert_eq!(elsewhere.status, 400, "the body is looked at first");
    // Another caller's key of the same name is another one.
    let (_, key) = world.made_key(&json!({ "name": "a", "scopes": ["webhooks:write"] })).await;
    let his = world.post_once(&key, WEBHOOKS, "order 7", &endpoint("b")).await;
    assert_eq!((his.status, his.header("idempotent-replayed")), (201, ""));
    assert_eq!(world.rows_of("webhooks").await, before + 2);
    // Whoever may not do it gets no answer of when he might.
    let sql = "update api_keys set scopes = array['calls:read'] where key_hash = $1";
    world.db.execute(sql, &[&store::keys::hash(&key).to_vec()]).await.unwrap();
    until("his scopes are gone", PATIENCE, || async {
        let again = world.post_once(&key, WEBHOOKS, "order 7", &endpoint("b")).await;
        (again.status == 403).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_done() {
    let world = World::serving(Vec::new()).await;
    let other = world.another_serve().await;
    let own = world.demo.api_key.clone();
    for round in 0..5 {
        let before = world.rows_of("webhooks").await;
        let key = format!("at once {round}");
        let urls = [world.api_url.as_str(), other.api_url.as_str()].into_iter().cycle().take(20);
        let posts = urls.map(|url| {
            let (world, own, key) = (&world, &own, &key);
            async move {
                let (what, body) = ((Method::POST, WEBHOOKS), endpoint("a"));
                let headers = [("idempotency-key", key.as_str())];
                world.ask_at(url, Some(own), what, &headers, Some(&body)).await
            }
        });
        let answers = join_all(posts).await;
        assert_eq!(world.rows_of("webhooks").await, before + 1, "round {round}");
        let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert!(!made.is_empty() && made.iter().all(|answer| answer.body == made[0].body));
        let fresh = made.iter().filter(|answer| answer.header("idempotent-replayed").is_empty());
        assert_eq!(fresh.count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!((answer.status, answer.problem()), (409, "idempotency-under-way"));
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
}

/// Sends one, kills `serve` there, and sends it again; whether that was told what the first had done.
async fn killed_and_sent_again(hold: Hold<'_>, words: &str) -> bool {
    let mut world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    let before = world.rows_of("webhooks").await;
    let held = world.hold(hold).await;
    let post = world.http.post(format!("{}{WEBHOOKS}", world.api_url));
    let post = post.bearer_auth(&own).header("idempotency-key", "struck").json(&endpoint("a"));
    let lost = tokio::spawn(post.send());
    world.serve_killed_at(held, words).await;
    lost.await.unwrap().unwrap_err();
    world.start_serve().await;
    let again = world.post_once(&own, WEBHOOKS, "struck", &endpoint("a")).await;
    assert_eq!(again.status, 201, "{}", again.body);
    assert_eq!(world.rows_of("webhooks").await, before + 1);
    again.header("idempotent-replayed") == "true"
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_interrupts_is_done_once_by_the_next() {
    let row = Hold::Row("insert on webhooks", "true");
    assert!(!killed_and_sent_again(row, "insert into webhooks").await, "nothing was done");
    // What waits at the end of the transaction is committed, and nobody hears of it.
    let commit = Hold::Commit("insert on webhooks", "true");
    assert!(killed_and_sent_again(commit, "commit").await, "it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_refused_did_nothing_and_may_be_mended() {
    let world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    let wrong = json!({ "url": "https://example.com/a", "events": ["call.nope"] });
    let refused = world.post_once(&own, WEBHOOKS, "mended", &wrong).await;
    assert_eq!(refused.status, 400);
    let stranger = uuid::Uuid::now_v7();
    let mut unknown = endpoint("a");
    unknown["assistant_id"] = json!(stranger);
    world.post_once(&own, WEBHOOKS, "mended", &unknown).await.with(400);
    world.post_once(&own, WEBHOOKS, "mended", &endpoint("a")).await.with(201);
    let long = "a".repeat(256);
    for key in ["", long.as_str(), "a\tb"] {
        let answer = world.post_once(&own, WEBHOOKS, key, &endpoint("a")).await;
        assert_eq!((answer.status, answer.problem()), (400, "invalid-request"), "{key:?}");
    }
    let headers = [("idempotency-key", "mended")];
    let list = (Method::GET, WEBHOOKS);
    world.ask_at(&world.api_url, Some(&own), list, &headers, None).await.with(200);
    let anonymous = (Method::POST, WEBHOOKS);
    world.ask_at(&world.api_url, None, anonymous, &headers, Some(&json!({}))).await.with(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_sealed_and_age_out() {
    let world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    let body = json!({ "name": "a", "scopes": ["calls:read"] });
    let made = world.post_once(&own, KEYS, "key 1", &body).await.with(201);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let again = world.post_once(&own, KEYS, "key 1", &body).await.with(201);
    assert_eq!(again["key"], json!(key), "it is told again to whoever sent the same request");
    let path = format!("{KEYS}/{id}/rotate");
    let rotated = world.post_once(&own, &path, "key 2", &json!({})).await.with(200);
    let again = world.post_once(&own, &path, "key 2", &json!({})).await.with(200);
    assert_eq!(again["key"], rotated["key"], "rotated once");
    for row in world.db.query("select answer from idempotency_keys", &[]).await.unwrap() {
        let sealed: Vec<u8> = row.get(0);
        for secret in [key, rotated["key"].as_str().unwrap()] {
            assert!(!sealed.windows(20).any(|part| part == &secret.as_bytes()[3..23]));
        }
    }
    let sql =
        "update idempotency_keys set created_at = now() - interval '25 hours' where key = 'key 1'";
    assert_eq!(world.db.execute(sql, &[]).await.unwrap(), 1);
    let anew = world.post_once(&own, KEYS, "key 1", &body).await;
    assert_eq!(anew.header("idempotent-replayed"), "");
    assert_ne!(anew.with(201)["id"], json!(id), "after a day it is another request");
    let url = world.database_url();
    let db = store::Database::connect(&url, store::Role::Api, 1).unwrap();
    world
        .db
        .execute("update idempotency_keys set created_at = now() - interval '25 hours'", &[])
        .await
        .unwrap();
    assert!(!store::idempotency::forget_aged(&db).await.unwrap());
    assert_eq!(world.rows_of("idempotency_keys").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_post_keeps_its_answer() {
    let world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    let url = world.api_url.clone();
    let document =
        world.ask_at(&url, None, (Method::GET, "/openapi.json"), &[], None).await.with(200);
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(post) = item.get("post").filter(|_| path.starts_with("/v1/")) else { continue };
        let names: Vec<&Value> =
            post["parameters"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        assert!(names.contains(&&json!("Idempotency-Key")), "{path}");
    }
    let made = world.post_once(&own, WEBHOOKS, "1", &endpoint("a")).await.with(201);
    let path = format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap());
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    for (number, (path, body)) in [
        (format!("{path}/rotate-secret"), json!({})),
        (format!("{path}/test"), json!({ "wait": true })),
        ("/v1/inbox/replay".to_owned(), json!({ "filter": { "provider": "vapi" } })),
        (
            "/v1/provider-credentials/vapi/rotate".to_owned(),
            json!({ "secret": "x".repeat(40), "overlap_hours": 1 }),
        ),
        (format!("{path}/recover"), since),
    ]
    .iter()
    .enumerate()
    {
        let key = format!("one of each {number}");
        let first = world.post_once(&own, path, &key, body).await;
        assert!((200..300).contains(&first.status), "{path}: {}", first.body);
        let again = world.post_once(&own, path, &key, body).await;
        assert_eq!(
            (again.status, again.header("idempotent-replayed")),
            (first.status, "true"),
            "{path}"
        );
        assert_eq!(again.body, first.body, "{path}");
    }
    assert!(!world.log("serve").contains("did nothing that is done once"));
}
