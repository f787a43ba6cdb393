//! Tests of endpoints, deliveries and deliveries once more; and all of it from the command line.

use std::time::Duration;

use chrono::Utc;
use postcall::dev::fakes::{Filter, Kind, Provider};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;
use crate::harness::wait::until;

const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// Waits until a delivery stands there; gives it as the list shows it.
    async fn delivery_is(&self, endpoint: Uuid, delivery: &str, state: &str) -> Value {
        let path = format!("/{endpoint}/deliveries?state={state}");
        until(&format!("the delivery is {state}"), PATIENCE, || async {
            let page = self.webhooks(Method::GET, &path, None).await.with(200);
            let found = page["data"].as_array()?.iter().find(|one| one["id"] == delivery)?.clone();
            Some(found)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_sent_to_one_endpoint_and_waited_for_and_resent() {
    let world = World::start().await;
    let (id, secret) = world.endpoint("one", &json!({ "events": ["call.*"] })).await;
    world.endpoint("two", &json!({ "events": ["*"] })).await;
    let test = format!("/{id}/test");
    let tested =
        world.webhooks(Method::POST, &test, Some(&json!({ "wait": true }))).await.with(200);
    let attempt = &tested["attempt"];
    assert_eq!(
        (&attempt["status_code"], &attempt["error"]),
        (&json!(200), &Value::Null),
        "{tested}"
    );
    assert_eq!(attempt["delivery_id"], tested["delivery_id"]);
    assert_eq!((&attempt["kind"], &attempt["event"]), (&json!("attempt"), &json!("webhook.test")));
    assert!(attempt["latency_ms"].is_number() && attempt["response_body"].is_string(), "{tested}");

    let effects = world.fakes.effects();
    let filter = Filter { kind: Some(Kind::Webhook), ..Filter::default() };
    let seen = effects.list(&filter);
    assert_eq!(seen.len(), 1, "no other endpoint hears of it");
    let request = serde_json::to_value(&seen[0]).unwrap()["request"].clone();
    let header = |name: &str| request["headers"][name].as_str().unwrap_or_default().to_owned();
    let body = request["raw"].as_str().unwrap();
    let file = world.folder.join("body");
    std::fs::write(&file, body).unwrap();
    let (id_header, time) = (header("webhook-id"), header("webhook-timestamp"));
    let signature = header("webhook-signature");
    let verify = async |secret: &str, id: &str| {
        let line = ["webhooks", "verify", "--secret", secret, "--id", id, "--timestamp", &time];
        let rest = ["--signature", &signature, "body"];
        world.cli(&[&line[..], &rest].concat()).await
    };
    let (_, said, code) = verify(&secret, &id_header).await;
    assert_eq!((code, said.contains("genuine")), (0, true), "{said}");
    let (_, said, code) = verify(&secret, "another").await;
    assert_eq!((code, said.contains("no signature fits")), (1, true), "{said}");
    let told: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&told["type"], &told["data"]["test"]), (&json!("webhook.test"), &json!(true)));

    let rotate = format!("/{id}/rotate-secret");
    let rotated = world.webhooks(Method::POST, &rotate, None).await.with(200);
    let delivery = tested["delivery_id"].as_str().unwrap();
    let resend = format!("/{id}/deliveries/{delivery}/resend");
    let due = world.webhooks(Method::POST, &resend, None).await.with(202);
    assert_eq!((&due["state"], &due["earlier_attempts"]), (&json!("pending"), &json!(1)), "{due}");
    let again = world.delivery_is(id, delivery, "delivered").await;
    assert_eq!((&again["attempts"], &again["earlier_attempts"]), (&json!(1), &json!(1)), "{again}");
    let again = serde_json::to_value(&effects.list(&filter)[1]).unwrap()["request"].clone();
    assert_eq!(again["raw"], json!(body), "the same bytes");
    assert_eq!(again["headers"]["webhook-id"], json!(id_header));
    let header = |name: &str| again["headers"][name].as_str().unwrap();
    assert_eq!(header("webhook-signature").split(' ').count(), 2, "in the overlap both sign");
    for secret in [&secret, rotated["secret"].as_str().unwrap()] {
        providers::webhook_out::verify(
            &id_header,
            header("webhook-timestamp"),
            header("webhook-signature"),
            body.as_bytes(),
            &[secret.into()],
            Utc::now(),
            Duration::from_secs(300),
        )
        .unwrap();
    }
    let logs = format!("/{id}/logs?delivery_id={delivery}");
    let logged = world.webhooks(Method::GET, &logs, None).await.with(200);
    assert_eq!(logged["data"].as_array().unwrap().len(), 2, "{logged}");

    let gone = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, None, serde_json::from_value(gone).unwrap());
    let body = json!({ "wait": true, "event_type": "call.completed" });
    let failed = world.webhooks(Method::POST, &test, Some(&body)).await.with(200);
    let attempt = &failed["attempt"];
    assert_eq!((&attempt["status_code"], &attempt["error"]), (&json!(500), &json!("status")));
    assert_eq!(attempt["payload"]["data"]["test"], true, "{failed}");
    let delivery = failed["delivery_id"].as_str().unwrap();
    let resend = format!("/{id}/deliveries/{delivery}/resend");
    let conflict = world.webhooks(Method::POST, &resend, None).await.with(409);
    assert!(conflict["detail"].as_str().unwrap().contains("waits"), "{conflict}");
    let off = json!({ "enabled": false });
    world.webhooks(Method::PATCH, &format!("/{id}"), Some(&off)).await.with(200);
    world.delivery_is(id, delivery, "disabled").await;
    for path in [&resend, &test] {
        let conflict = world.webhooks(Method::POST, path, None).await.with(409);
        assert!(conflict["detail"].as_str().unwrap().contains("disabled"), "{conflict}");
    }
    let stranger = format!("/{id}/deliveries/{}/resend", Uuid::now_v7());
    world.webhooks(Method::POST, &stranger, None).await.with(404);
    let sql = "select count(*) from audit_log where action in ('webhooks.test', 'webhooks.resend')";
    assert_eq!(world.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_a_test_waits_and_is_not_waited_for_for_ever() {
    let world = World::quiet().await;
    let (id, _) = world.endpoint("one", &json!({})).await;
    let test = format!("/{id}/test");
    let sent = world.webhooks(Method::POST, &test, None).await.with(202);
    assert!(sent["attempt"].is_null() && sent["event_id"].is_string(), "{sent}");
    let waited =
        world.webhooks(Method::POST, &test, Some(&json!({ "wait": true }))).await.with(202);
    assert!(waited["attempt"].is_null(), "{waited}");
    let page = world.webhooks(Method::GET, &format!("/{id}/deliveries?limit=1"), None).await;
    let page = page.with(200);
    assert_eq!(page["data"][0]["id"], waited["delivery_id"], "newest first");
    let next = page["next_cursor"].as_str().unwrap();
    let rest = format!("/{id}/deliveries?cursor={next}");
    let rest = world.webhooks(Method::GET, &rest, None).await.with(200);
    assert_eq!(rest["data"][0]["id"], sent["delivery_id"]);
    let other = format!("/{id}/deliveries?state=pending&cursor={next}");
    world.webhooks(Method::GET, &other, None).await.with(400);
    for (query, count) in [
        ("state=pending", 2),
        ("state=failed", 0),
        ("event=webhook.test", 2),
        ("event=call.completed", 0),
        ("to=2020-01-01T00:00:00Z", 0),
        ("from=2020-01-01T00:00:00Z", 2),
    ] {
        let path = format!("/{id}/deliveries?{query}");
        let page = world.webhooks(Method::GET, &path, None).await.with(200);
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_managed_from_the_command_line() {
    let world = World::start().await;
    let headers = world.folder.join("headers.json");
    std::fs::write(&headers, r#"{ "x-key": "zebra-0815" }"#).unwrap();
    let run = async |line: &str| {
        let words: Vec<&str> = ["webhooks"].into_iter().chain(line.split(' ')).collect();
        world.cli(&words).await
    };
    let json = async |line: &str| -> Value {
        let (shown, errors, code) = run(&format!("{line} -o json")).await;
        assert_eq!(code, 0, "{line}: {errors}");
        serde_json::from_str(&shown).unwrap()
    };
    let url = world.hook("cli");
    let create = format!("create {url} --event call.* --headers-file headers.json --schedule 1,2");
    let made = json(&create).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    let id = made["id"].as_str().unwrap();
    assert_eq!(json(&format!("show {id}")).await["header_names"], json!(["x-key"]));
    assert_eq!(json("list").await.as_array().unwrap().len(), 2);
    let now = json(&format!("update {id} --rate-limit 7 --clear headers,schedule")).await;
    assert_eq!((&now["rate_limit"], &now["schedule"]), (&json!(7), &Value::Null));
    let rotated = json(&format!("rotate-secret {id}")).await;
    assert_ne!(rotated["secret"], made["secret"]);
    let tested = json(&format!("test {id}")).await;
    assert_eq!(tested["status_code"], 200, "{tested}");
    let failing = serde_json::from_value(json!({ "answers": [{ "status": 404 }] })).unwrap();
    world.fakes.script(Provider::Hooks, None, failing);
    let (_, errors, code) = run(&format!("test {id} --event call.failed")).await;
    assert_eq!((code, errors.contains("did not take the event: status")), (1, true), "{errors}");
    let failed = json(&format!("logs {id} --outcome failed")).await;
    assert_eq!(failed[0]["status_code"], 404, "{failed}");
    let delivered = json(&format!("deliveries {id} --state delivered")).await;
    let first = tested["delivery_id"].as_str().unwrap();
    assert!(delivered.as_array().unwrap().iter().any(|one| one["id"] == first), "{delivered}");
    assert_eq!(json(&format!("resend {id} {first}")).await["id"], first);
    let (table, _, code) = run(&format!("logs {id} --error status")).await;
    assert!(code == 0 && table.contains("STATUS_CODE") && table.contains("404"), "{table}");

    for (line, expected) in [
        (format!("delete {id}"), 2),
        (format!("update {id} --rate-limit 1001"), 2),
        (format!("show {}", Uuid::now_v7()), 3),
        ("create http://10.0.0.1/ --event *".to_owned(), 2),
        (format!("update {id} --disable"), 0),
        (format!("test {id}"), 5),
        (format!("delete {id} --yes"), 0),
        (format!("show {id}"), 3),
    ] {
        let (_, errors, code) = run(&line).await;
        assert_eq!(code, expected, "{line}: {errors}");
    }
    assert!(!world.log("serve").contains("zebra-0815"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_an_endpoint_with_an_open_circuit_does_not_wait_for_its_probe() {
    let world = World::start().await;
    let (id, _) = world.endpoint("mended", &json!({})).await;
    let open = "update webhooks set circuit = 'open', circuit_trips = 5, retry_count = 100,
        circuit_probe_at = now() + interval '10 minutes' where id = $1";
    world.db.execute(open, &[&id]).await.unwrap();
    let test = format!("/{id}/test");
    let tested =
        world.webhooks(Method::POST, &test, Some(&json!({ "wait": true }))).await.with(200);
    assert_eq!(tested["attempt"]["status_code"], json!(200), "{tested}");
    until("the circuit is closed", PATIENCE, || async {
        let now = world.webhooks(Method::GET, &format!("/{id}"), None).await.with(200);
        (now["circuit"] == "closed").then_some(())
    })
    .await;
}
