//! Endpoints made, changed and deleted.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;

const HEADER_VALUE: &str = "Bearer zebra-0815-zebra";

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_made_changed_and_deleted_and_its_secret_told_once() {
    let world = World::quiet().await;
    let body = json!({
        "url": "https://EXAMPLE.com:443/hooks", "events": ["call.*", "call.*", "webhook.test"],
        "description": "the first", "rate_limit": 5, "ordering": "call", "thin": true,
        "schedule": [1, 60], "headers": { "Authorization": HEADER_VALUE, "x-tenant": "7" },
    });
    let made = world.webhooks(Method::POST, "", Some(&body)).await;
    assert_eq!(made.etag.as_deref(), Some("\"1\""));
    let mut made = made.with(201);
    let first = made["secret"].as_str().unwrap().to_owned();
    assert!(first.starts_with("whsec_") && first.len() == 50, "{first}");
    made.as_object_mut().unwrap().remove("secret");
    let path = format!("/{}", made["id"].as_str().unwrap());
    for (field, value) in [
        ("url", json!("https://example.com/hooks")),
        ("events", json!(["call.*", "webhook.test"])),
        ("enabled", json!(true)),
        ("header_names", json!(["Authorization", "x-tenant"])),
        ("schedule", json!([1, 60])),
        ("circuit", json!("closed")),
        ("failing_since", Value::Null),
        ("version", json!(1)),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert_eq!(world.webhooks(Method::GET, &path, None).await.with(200), made);
    let listed = world.webhooks(Method::GET, "", None).await.with(200);
    assert_eq!(listed["data"][0], made, "beside the demo organization's own");

    let changes = json!({ "description": "another", "rate_limit": null, "headers": null });
    let key = &world.demo.api_key;
    let patch = |body: Value, tag: &'static str| {
        let path = &path;
        let world = &world;
        async move { world.webhooks_as(key, Method::PATCH, path, Some(&body), Some(tag)).await }
    };
    let stale = patch(changes.clone(), "\"2\"").await;
    assert!(stale.with(412)["detail"].as_str().unwrap().contains("ETag"));
    let now = patch(changes.clone(), "\"1\"").await;
    assert_eq!(now.etag.as_deref(), Some("\"2\""));
    let now = now.with(200);
    assert_eq!((&now["description"], &now["rate_limit"]), (&json!("another"), &Value::Null));
    assert_eq!(now["header_names"], json!([]));
    assert_eq!((&now["ordering"], &now["thin"]), (&made["ordering"], &made["thin"]));
    assert!(now["updated_at"].as_str() > made["updated_at"].as_str());
    let change = json!({ "headers": { "Authorization": HEADER_VALUE } });
    let at_once = futures::future::join_all((0..10).map(|_| patch(change.clone(), "\"2\""))).await;
    let won = at_once.iter().filter(|answer| answer.status == 200).count();
    assert!(won == 1 && at_once.iter().all(|answer| [200, 412].contains(&answer.status)), "{won}");

    let rotate = format!("{path}/rotate-secret");
    let rotated = world.webhooks(Method::POST, &rotate, None).await.with(200);
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert!(rotated["previous_secret_ends_at"].is_string(), "{rotated}");
    let own = format!("whsec_{}", STANDARD.encode([7; 40]));
    let body = json!({ "secret": own, "overlap_seconds": 0 });
    let rotated = world.webhooks(Method::POST, &rotate, Some(&body)).await.with(200);
    assert_eq!((&rotated["secret"], &rotated["version"]), (&json!(own), &json!(5)));
    assert!(rotated["previous_secret_ends_at"].is_null(), "{rotated}");
    let same = world.webhooks(Method::POST, &rotate, Some(&body)).await;
    assert!(!same.with(409).to_string().contains(&own));

    let pending = world.plant_delivery(made["id"].as_str().unwrap().parse().unwrap()).await;
    world.webhooks(Method::DELETE, &path, None).await.with(204);
    assert_eq!(world.delivery_state(pending).await, ("disabled".to_owned(), true));
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, rotate),
        (Method::POST, format!("{path}/test")),
        (Method::GET, format!("{path}/logs")),
        (Method::GET, format!("{path}/deliveries")),
        (Method::POST, format!("{path}/deliveries/{pending}/resend")),
    ] {
        let body = (method != Method::GET).then(|| json!({}));
        world.webhooks(method, &path, body.as_ref()).await.with(404);
    }
    let listed = world.webhooks(Method::GET, "", None).await.with(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    nothing_is_told(&world, &[&first, &second, &own, HEADER_VALUE]).await;
}

/// Neither the rows, nor the audit log, nor the process' log hold any of them.
async fn nothing_is_told(world: &World, secrets: &[&str]) {
    let sql = "select string_agg(line, e'\\n') from (
                   select w::text as line from webhooks w union all select a::text from audit_log a
               ) lines";
    let mut dump: String = world.db.query_one(sql, &[]).await.unwrap().get(0);
    let actions =
        ["webhooks.create", "webhooks.update", "webhooks.rotate_secret", "webhooks.delete"];
    for said in actions.into_iter().chain(["api_key:", "header_names"]) {
        assert!(dump.contains(said), "the audit log tells of {said}: {dump}");
    }
    let sql = "select count(*) from audit_log where action like 'webhooks.%'
               and before->>'version' is not null and after->>'version' is not null
               and (after->>'version')::int = (before->>'version')::int + 1";
    assert_eq!(world.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 4);
    dump.push_str(&world.log("serve"));
    for secret in secrets {
        assert!(!dump.contains(secret), "a secret as it is");
        assert!(!dump.contains(&hex::encode(secret)), "a secret in hex");
        assert!(!dump.contains(&STANDARD.encode(secret)), "a secret in base64");
    }
    let sql = "select headers is null and previous_secret is null and not enabled
               from webhooks where deleted_at is not null";
    assert!(world.db.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_endpoints_are_refused_field_by_field_and_keys_need_scopes() {
    let world = World::quiet().await;
    let (id, _) = world.endpoint("one", &json!({})).await;
    let good = || json!({ "url": "https://example.com/", "events": ["*"] });
    for (field, value, word) in [
        ("url", json!("http://example.com/"), "begin with https"),
        ("url", json!("http://10.0.0.1/"), "begin with https"),
        ("url", json!("https://2852039166/"), "public"),
        ("url", json!("https://0x0a000001/"), "public"),
        ("url", json!("https://012.0.0.1/"), "public"),
        ("url", json!("https://[::ffff:192.168.1.1]/"), "public"),
        ("url", json!("https://a:b@example.com/"), "user and password"),
        ("url", json!("https://example.com/#x"), "fragment"),
        ("url", json!("https://"), "host"),
        ("url", json!("hooks"), "URL"),
        ("events", json!([]), "between 1 and 50"),
        ("events", json!(["call.completed", "call.unknown"]), "item 2"),
        ("rate_limit", json!(0), "between 1 and 1000"),
        ("ordering", json!("strict"), "none or call"),
        ("schedule", json!([]), "between 1 and 20"),
        ("schedule", json!([86_401]), "86400"),
        ("schedule", json!(vec![86_400; 6]), "five days"),
        ("headers", json!({ "webhook-signature": "a" }), "cannot be set"),
        ("headers", json!({ "a": "b\nc" }), "visible"),
        ("assistant_id", json!(Uuid::now_v7()), "no assistant"),
    ] {
        let mut body = good();
        body[field] = value.clone();
        let changes = json!({ field: value });
        for answer in [
            world.webhooks(Method::POST, "", Some(&body)).await,
            world.webhooks(Method::PATCH, &format!("/{id}"), Some(&changes)).await,
        ] {
            assert_eq!(answer.status, 400, "{changes}: {}", answer.body);
            let pointer = format!("#/body/{field}");
            let errors = answer.errors();
            assert!(
                errors.len() == 1 && errors[0].0 == pointer && errors[0].1.contains(word),
                "{changes}: {}",
                answer.body
            );
        }
    }
    for secret in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!", "open sesame, open sesame, open"] {
        let mut body = good();
        body["secret"] = secret.into();
        let answer = world.webhooks(Method::POST, "", Some(&body)).await;
        assert_eq!((answer.status, answer.errors()[0].0), (400, "#/body/secret"), "{secret}");
        assert!(!answer.body.to_string().contains("sesame"));
        let body = json!({ "secret": secret });
        let path = format!("/{id}/rotate-secret");
        assert_eq!(world.webhooks(Method::POST, &path, Some(&body)).await.status, 400, "{secret}");
    }
    let path = format!("/{id}/rotate-secret");
    let long = json!({ "overlap_seconds": 604_801 });
    world.webhooks(Method::POST, &path, Some(&long)).await.with(400);
    for body in [json!({ "url": null }), json!({ "secret": "a" }), json!({ "urls": "a" })] {
        world.webhooks(Method::PATCH, &format!("/{id}"), Some(&body)).await.with(400);
    }
    let odd = json!({ "event_type": "x" });
    let odd = world.webhooks(Method::POST, &format!("/{id}/test"), Some(&odd)).await;
    assert_eq!(odd.errors()[0].0, "#/body/event_type");
    for query in ["kind=skip&outcome=failed", "status_code=99", "kind=all", "event=", "page=2"] {
        let path = format!("/{id}/logs?{query}");
        assert_eq!(world.webhooks(Method::GET, &path, None).await.status, 400, "{query}");
    }
    let unchanged = world.webhooks(Method::GET, &format!("/{id}"), None).await.with(200);
    assert_eq!(unchanged["version"], 1);

    let reader = world.key_with(&["webhooks:read"]).await;
    let writer = world.key_with(&["webhooks:write"]).await;
    let one = format!("/{id}");
    assert_eq!(world.webhooks_as(&reader, Method::GET, &one, None, None).await.status, 200);
    assert_eq!(world.webhooks_as(&writer, Method::GET, &one, None, None).await.status, 403);
    for (method, path) in [
        (Method::POST, String::new()),
        (Method::PATCH, one.clone()),
        (Method::DELETE, one.clone()),
        (Method::POST, format!("{one}/rotate-secret")),
        (Method::POST, format!("{one}/test")),
        (Method::POST, format!("{one}/deliveries/{}/resend", Uuid::now_v7())),
    ] {
        let body = if path.is_empty() { good() } else { json!({}) };
        let refused = world.webhooks_as(&reader, method, &path, Some(&body), None).await;
        let problem = refused.with(403);
        assert!(problem["detail"].as_str().unwrap().contains("webhooks:write"), "{problem}");
    }
    let made = world.webhooks_as(&writer, Method::POST, "", Some(&good()), None).await;
    assert_eq!(made.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_sees_and_changes_nothing_and_fifty_are_enough() {
    let world = World::quiet().await;
    let other = world.second_organization().await;
    let (id, _) = world.endpoint("one", &json!({})).await;
    let delivery = world.plant_delivery(id).await;
    let one = format!("/{id}");
    for (method, path) in [
        (Method::GET, one.clone()),
        (Method::PATCH, one.clone()),
        (Method::DELETE, one.clone()),
        (Method::POST, format!("{one}/rotate-secret")),
        (Method::POST, format!("{one}/test")),
        (Method::GET, format!("{one}/logs")),
        (Method::GET, format!("{one}/logs?event_id={id}")),
        (Method::GET, format!("{one}/deliveries")),
        (Method::POST, format!("{one}/deliveries/{delivery}/resend")),
    ] {
        let body = (method != Method::GET).then(|| json!({}));
        let answer = world.webhooks_as(&other.api_key, method, &path, body.as_ref(), None).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    let listed = world.webhooks_as(&other.api_key, Method::GET, "", None, None).await.with(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "its own: {listed}");
    assert_eq!(world.delivery_state(delivery).await.0, "pending");
    let sql = "select id from assistants where organization_id = $1";
    let theirs: Uuid = other.organization_id.parse().unwrap();
    let assistant: Uuid = world.db.query_one(sql, &[&theirs]).await.unwrap().get(0);
    let foreign = json!({ "assistant_id": assistant });
    let refused = world.webhooks(Method::PATCH, &one, Some(&foreign)).await;
    assert_eq!(refused.errors()[0].0, "#/body/assistant_id");
    let assistant: Uuid = world.db.query_one(sql, &[&world.organization()]).await.unwrap().get(0);
    let own = json!({ "assistant_id": assistant });
    let now = world.webhooks(Method::PATCH, &one, Some(&own)).await.with(200);
    assert_eq!(now["assistant_id"], json!(assistant));

    let body = json!({ "url": "https://example.com/", "events": ["*"] });
    let posts = (0..60).map(|_| world.webhooks(Method::POST, "", Some(&body)));
    let answers = futures::future::join_all(posts).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 48, "beside the demo endpoint and the first");
    let refused = answers.into_iter().find(|answer| answer.status != 201).unwrap();
    assert!(refused.with(409)["detail"].as_str().unwrap().contains("50 endpoints"));
    world.webhooks(Method::DELETE, &one, None).await.with(204);
    world.webhooks(Method::POST, "", Some(&body)).await.with(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_ends_what_waits_and_enabling_forgets_failures() {
    let world = World::quiet().await;
    let (id, _) = world.endpoint("one", &json!({})).await;
    let (other, _) = world.endpoint("other", &json!({ "enabled": false })).await;
    let off = world.webhooks(Method::GET, &format!("/{other}"), None).await.with(200);
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("by-customer")));
    assert!(off["disabled_at"].is_string(), "{off}");

    let (mine, theirs) = (world.plant_delivery(id).await, world.plant_delivery(other).await);
    let failing =
        "update webhooks set circuit = 'open', circuit_probe_at = now(), circuit_trips = 3,
        failing_since = now(), failing_clock_at = now(), failing_warned = 50, retry_count = 9
        where id = $1";
    world.db.execute(failing, &[&id]).await.unwrap();
    let patch = async |body: Value| {
        world.webhooks(Method::PATCH, &format!("/{id}"), Some(&body)).await.with(200)
    };
    let now = patch(json!({ "enabled": false })).await;
    assert_eq!((&now["enabled"], &now["circuit"]), (&json!(false), &json!("open")));
    assert_eq!(now["disabled_reason"], "by-customer");
    assert_eq!(world.delivery_state(mine).await, ("disabled".to_owned(), true));
    assert_eq!(world.delivery_state(theirs).await, ("pending".to_owned(), false));

    let gone = "update webhooks set disabled_reason = 'gone' where id = $1";
    world.db.execute(gone, &[&id]).await.unwrap();
    let now = patch(json!({ "enabled": false, "description": "still" })).await;
    assert_eq!(now["disabled_reason"], "gone", "what disabled it first remains the reason");
    let now = patch(json!({ "description": "other words", "url": now["url"] })).await;
    assert_eq!((&now["enabled"], &now["retry_count"]), (&json!(false), &json!(9)));
    let moved = patch(json!({ "url": format!("{}/moved", now["url"].as_str().unwrap()) })).await;
    assert_eq!((&moved["enabled"], &moved["circuit"]), (&json!(false), &json!("closed")));
    assert_eq!((&moved["retry_count"], &moved["failing_since"]), (&json!(0), &Value::Null));
    world.db.execute(failing, &[&id]).await.unwrap();
    let now = patch(json!({ "enabled": true })).await;
    for (field, value) in [
        ("enabled", json!(true)),
        ("disabled_reason", Value::Null),
        ("disabled_at", Value::Null),
        ("circuit", json!("closed")),
        ("circuit_probe_at", Value::Null),
        ("failing_since", Value::Null),
        ("retry_count", json!(0)),
    ] {
        assert_eq!(now[field], value, "{field}");
    }
    let sql = "select circuit_trips, failing_clock_at is null, failing_warned from webhooks
               where id = $1";
    let row = world.db.query_one(sql, &[&id]).await.unwrap();
    let kept: (i32, bool, i16) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(kept, (0, true, 0));
}
