//! What receivers see of an endpoint's settings, and what its owner sees of its attempts.

use chrono::{DateTime, TimeDelta, Utc};
use postcall::dev::fakes::Provider;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;

/// How much of an answer is kept, in bytes.
const KEPT: usize = 8 * 1024;

impl World {
    fn answers(&self, name: &str, answer: &Value) {
        let answers = json!({ "answers": [answer], "then": "repeat_last" });
        let script = serde_json::from_value(answers).unwrap();
        self.fakes.script(Provider::Hooks, Some(name), script);
    }

    /// The endpoint, which the list shows as it is by itself.
    async fn shown(&self, endpoint: Uuid) -> Value {
        let one = self.webhooks(Method::GET, &format!("/{endpoint}"), None).await.with(200);
        let all = self.webhooks(Method::GET, "", None).await.with(200);
        assert!(all["data"].as_array().unwrap().contains(&one), "{all}");
        one
    }

    /// Gives the endpoint with its new secret.
    async fn rotated(&self, endpoint: Uuid, asked: Option<&Value>) -> Value {
        let rotate = format!("/{endpoint}/rotate-secret");
        self.webhooks(Method::POST, &rotate, asked).await.with(200)
    }
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// Both, but for the minutes that a slow machine takes.
fn about(time: DateTime<Utc>, expected: DateTime<Utc>) -> bool {
    (time - expected).abs() < TimeDelta::minutes(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn own_headers_arrive_and_are_masked_in_the_log_beside_the_beginning_of_the_answer() {
    let world = World::start().await;
    let own = json!({ "Authorization": "Bearer zebra-0815", "X-Token": "zebra-0816",
        "x-tenant": "zebra-7" });
    let (id, _) = world.endpoint("own", &json!({ "headers": own })).await;
    let long: String = (0..2500).map(|number| format!("{number:07} ")).collect();
    assert_eq!(long.len(), 20_000);
    let said = json!({ "x-answer": "noted", "x-request-id": "r-17" });
    world.answers("own", &json!({ "status": 202, "body": long, "headers": said }));

    let attempt = world.tried(id).await;
    let arrived = world.arrived_at("own").remove(0);
    assert_eq!((arrived.header("x-token"), arrived.header("x-tenant")), ("zebra-0816", "zebra-7"));
    // The fakes keep no value of this one.
    assert_eq!(arrived.header("authorization"), "***");
    let logs = format!("/{id}/logs");
    let logged = world.webhooks(Method::GET, &logs, None).await.with(200);
    let row = &logged["data"][0];
    assert_eq!(row, &attempt);
    let sent = &row["request_headers"];
    for name in ["authorization", "x-token", "x-tenant"] {
        assert_eq!(sent[name], "***", "{name} of {sent}");
    }
    for name in ["content-type", "user-agent", "webhook-id", "webhook-timestamp"] {
        assert_eq!(sent[name], arrived.header(name), "{name} of {sent}");
    }
    assert_eq!(sent["webhook-signature"], arrived.header("webhook-signature"));
    assert_eq!(row["payload"], arrived.body());
    assert_eq!((&row["status_code"], &row["error"]), (&json!(202), &Value::Null));
    let received = &row["response_headers"];
    assert_eq!(
        (&received["x-answer"], &received["x-request-id"]),
        (&json!("noted"), &json!("r-17"))
    );
    assert_eq!(row["response_body"], long[..KEPT]);

    let now = world.change_endpoint(id, json!({ "headers": { "x-tenant": "zebra-8" } })).await;
    assert_eq!(now["header_names"], json!(["x-tenant"]));
    let attempt = world.tried(id).await;
    let arrived = world.arrived_at("own").remove(1);
    assert_eq!(arrived.header("x-tenant"), "zebra-8");
    assert!(arrived.headers["x-token"].is_null() && arrived.headers["authorization"].is_null());
    assert_eq!(attempt["request_headers"]["x-tenant"], "***");
    world.change_endpoint(id, json!({ "headers": null })).await;
    world.tried(id).await;
    assert!(world.arrived_at("own")[2].headers["x-tenant"].is_null());

    let sql = "select count(*), count(*) filter (where l::text like '%zebra%') from webhook_logs l";
    let row = world.db.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3, 0));
    for role in ["serve", "worker"] {
        assert!(!world.log(role).contains("zebra"), "{role} told of a header");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_tells_of_its_last_attempt_and_counts_failures_until_the_next_success() {
    let world = World::start().await;
    let began = Utc::now();
    // What fails is not tried again within this test.
    let (id, _) = world.endpoint("health", &json!({ "schedule": [3600] })).await;
    let new = world.shown(id).await;
    assert_eq!((&new["last_triggered_at"], &new["retry_count"]), (&Value::Null, &json!(0)));
    let mut before = began;
    let mut since = Value::Null;
    for (answer, status, error, failures) in [
        (json!({ "status": 204 }), json!(204), Value::Null, 0),
        (json!({ "status": 500 }), json!(500), json!("status"), 1),
        (json!({ "status": 302 }), json!(302), json!("redirect"), 2),
        (json!({ "drop_connection": true }), Value::Null, json!("connect"), 3),
        (json!({ "status": 200 }), json!(200), Value::Null, 0),
        (json!({ "status": 503 }), json!(503), json!("status"), 1),
    ] {
        world.answers("health", &answer);
        world.tried(id).await;
        let now = world.shown(id).await;
        let seen = (&now["last_status"], &now["last_error"], &now["retry_count"]);
        assert_eq!(seen, (&status, &error, &json!(failures)), "{answer}: {now}");
        let at = time(&now["last_triggered_at"]);
        assert!(at > before && about(at, Utc::now()), "{answer}: {now}");
        before = at;
        if failures > 1 {
            assert_eq!(now["failing_since"], since, "{answer}: since the first failure");
        }
        assert_eq!(now["failing_since"].is_null(), failures == 0, "{answer}: {now}");
        since = now["failing_since"].clone();
        assert_eq!((&now["version"], &now["circuit"]), (&json!(1), &json!("closed")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_signs_beside_its_successor_for_a_day_or_as_long_as_asked_and_no_longer() {
    let world = World::start().await;
    let (id, first) = world.endpoint("rotated", &json!({})).await;
    let secret = |rotated: &Value| rotated["secret"].as_str().unwrap().to_owned();
    let newest = async || {
        assert!(world.tried(id).await["error"].is_null());
        world.arrived_at("rotated").pop().unwrap()
    };
    let alone = newest().await;
    assert!(alone.signatures().len() == 1 && alone.is_genuine(&first), "{alone:?}");

    let rotated = world.rotated(id, None).await;
    let second = secret(&rotated);
    let ends = time(&rotated["previous_secret_ends_at"]);
    assert!(about(ends, Utc::now() + TimeDelta::hours(24)), "{rotated}");
    let both = newest().await;
    let signatures = both.signatures();
    assert_eq!(signatures.len(), 2, "{both:?}");
    for (signature, by, not_by) in [(0, &second, &first), (1, &first, &second)] {
        let signature = signatures[signature];
        assert!(both.fits(signature, by) && !both.fits(signature, not_by), "{both:?}");
    }

    let over = "update webhooks set previous_secret_ends_at = now() - interval '1 second'
        where id = $1";
    assert_eq!(world.db.execute(over, &[&id]).await.unwrap(), 1);
    let one = newest().await;
    assert_eq!(one.signatures().len(), 1, "{one:?}");
    assert!(one.is_genuine(&second) && !one.is_genuine(&first), "{one:?}");
    assert!(world.shown(id).await["previous_secret_ends_at"].is_null());

    let rotated = world.rotated(id, Some(&json!({ "overlap_seconds": 7200 }))).await;
    let third = secret(&rotated);
    let ends = time(&rotated["previous_secret_ends_at"]);
    assert!(about(ends, Utc::now() + TimeDelta::hours(2)), "{rotated}");
    let both = newest().await;
    assert_eq!(both.signatures().len(), 2, "{both:?}");
    let genuine = [&first, &second, &third].map(|secret| both.is_genuine(secret));
    assert_eq!(genuine, [false, true, true]);

    let rotated = world.rotated(id, Some(&json!({ "overlap_seconds": 0 }))).await;
    assert!(rotated["previous_secret_ends_at"].is_null(), "{rotated}");
    let one = newest().await;
    assert_eq!(one.signatures().len(), 1, "{one:?}");
    assert!(one.is_genuine(&secret(&rotated)) && !one.is_genuine(&third), "{one:?}");
}
