//! The dashboard: right, and nearly for nothing.

use std::time::Duration;

use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Options, World,
    calls::{PATIENCE, fresh_id, report_of},
    wait::until,
};

/// Statements are in the log of `serve`.
const LOGGED: &str = "info,sqlx::query=debug";

impl World {
    async fn dashboard(&self) -> Value {
        let (status, dashboard) = self.get("/v1/dashboard").await;
        assert_eq!(status, 200, "{dashboard}");
        dashboard
    }

    /// The example call, as if it were of today.
    pub(crate) async fn call_of_today(&self) -> Value {
        let id = fresh_id();
        let report = String::from_utf8(report_of(&id)).unwrap();
        let today = Utc::now().date_naive().to_string();
        assert_eq!(self.post(report.replace("2026-11-20", &today).into_bytes()).await, 200);
        self.closed(&id).await
    }

    /// Statements of dashboards that `serve` has run, without begin, commit and the look at the key.
    fn statements(&self) -> usize {
        let log = self.log("serve");
        let of_it = ["from organizations", "from calls", "from assistants", "left join day_totals"];
        log.lines()
            .filter(|line| line.contains("rows_returned"))
            .filter(|line| of_it.iter().any(|words| line.contains(words)))
            .count()
    }

    /// Redis forgets the organization.
    async fn redis_forgets(&self) {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let all = format!("org:{}*", self.demo.organization_id);
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(all).query_async(&mut connection).await.unwrap();
        assert!(!keys.is_empty());
        let _: i64 = redis::cmd("DEL").arg(keys).query_async(&mut connection).await.unwrap();
    }

    async fn has(&self, what: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        until(what, PATIENCE, || async {
            let dashboard = self.dashboard().await;
            is_there(&dashboard).then_some(dashboard)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_costs_four_statements_and_then_none() {
    let log = ("POSTCALL_LOG", LOGGED.to_owned());
    let world = World::with(Options { environment: vec![log], ..Options::default() }).await;
    world.db.batch_execute("update organizations set timezone = 'UTC'").await.unwrap();
    let call = world.call_of_today().await;
    let first = world.has("the call is shown", |shown| shown["today"]["calls"] == 1).await;
    let today = &first["today"];
    assert_eq!(today["minutes"], call["billed_minutes"], "{today}");
    assert_eq!((&today["completed_calls"], &today["failed_calls"]), (&json!(1), &json!(0)));
    assert_eq!(today["active_calls"], 0);
    assert_eq!(today["average_duration_seconds"], json!(call["duration_seconds"].as_f64()));
    let recent = first["recent_calls"].as_array().unwrap();
    assert_eq!((recent.len(), &recent[0]["id"]), (1, &call["id"]));
    assert_eq!(first["organization"]["id"], world.demo.organization_id);
    assert!(!first["assistants"].as_array().unwrap().is_empty());

    world.redis_forgets().await;
    let before = world.statements();
    assert_eq!(world.dashboard().await, first);
    let read = world.statements() - before;
    assert!((1..=4).contains(&read), "{read} statements without a cache");
    let before = world.statements();
    for _ in 0..10 {
        assert_eq!(world.dashboard().await, first);
    }
    assert_eq!(world.statements(), before, "statements with a cache");

    // Another call is there as soon as it is done, in spite of the cache.
    world.call_of_today().await;
    let both = world.has("the second is shown", |shown| shown["today"]["calls"] == 2).await;
    assert_eq!(both["recent_calls"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_is_shown_to_who_changed_it_at_once() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let ask = async |method: Method, path: &str, body: Value, key: Option<&str>| -> (u16, Value) {
        let url = format!("{}/v1/{path}", world.api_url);
        let mut request = world.http.request(method, url).bearer_auth(&world.demo.api_key);
        request = request.json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    };
    let names = |shown: &Value| -> Vec<String> {
        let all = shown["assistants"].as_array().unwrap();
        all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for round in 0..5 {
        let name = format!("Round {round}");
        world.dashboard().await;
        let (status, _) = ask(Method::PATCH, "organization", json!({ "name": name }), None).await;
        assert_eq!(status, 200);
        assert_eq!(world.dashboard().await["organization"]["name"], name.as_str());
        let new = json!({ "name": name, "provider": "vapi" });
        let key = format!("round-{round}");
        let key = (round % 2 == 0).then_some(key.as_str());
        let (status, made) = ask(Method::POST, "assistants", new, key).await;
        assert_eq!(status, 201, "{made}");
        assert!(names(&world.dashboard().await).contains(&name));
        let path = format!("assistants/{}", made["id"].as_str().unwrap());
        let (status, _) = ask(Method::PATCH, &path, json!({ "is_active": false }), None).await;
        assert_eq!(status, 200);
        assert!(!names(&world.dashboard().await).contains(&name));
        let (status, _) = ask(Method::DELETE, &path, Value::Null, None).await;
        assert_eq!(status, 204);
    }
}

/// Between the ends of two calls somebody looks twenty times: an organization with more than a million calls a
/// month, and ten who look each second.
#[tokio::test(flavor = "multi_thread")]
async fn while_calls_end_a_dashboard_costs_less_than_half_a_statement() {
    const CALLS: usize = 6;
    const LOADS: usize = 20;
    let log = ("POSTCALL_LOG", LOGGED.to_owned());
    let world = World::with(Options { environment: vec![log], ..Options::default() }).await;
    world.db.batch_execute("update organizations set timezone = 'UTC'").await.unwrap();
    world.call_of_today().await;
    world.has("the call is shown", |shown| shown["today"]["calls"] == 1).await;
    let before = world.statements();
    for _ in 0..CALLS {
        world.call_of_today().await;
        for _ in 0..LOADS {
            world.dashboard().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let (read, loads) = (world.statements() - before, CALLS * LOADS);
    assert!(read > 0, "a call that ends is read");
    assert!(read * 2 < loads, "{read} statements for {loads} dashboards");
}
