//! Receivers that do everything wrong: each failure has its name in the log, and is tried again.

use postcall::dev::fakes::Provider;
use serde_json::{Value, json};

use super::{made::PATIENCE, receiver::Receiver, script};
use crate::harness::{World, wait::until};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_has_its_name_in_the_log() {
    let world = World::start().await;
    let metadata = json!({ "location": "http://169.254.169.254/latest/meta-data/" });
    let answers: [(&str, Value, &str, Option<i32>); 9] = [
        ("refuses", json!({ "status": 500 }), "status", Some(500)),
        (
            "asks-to-wait",
            json!({ "status": 503, "headers": { "retry-after": "15" } }),
            "status",
            Some(503),
        ),
        ("not-found", json!({ "status": 404 }), "status", Some(404)),
        ("redirects", json!({ "status": 302, "headers": metadata }), "redirect", Some(302)),
        ("resets", json!({ "drop_connection": true }), "connect", None),
        ("hangs", json!({ "delay_ms": 60_000 }), "timeout", None),
        ("drips", json!({ "drip": true, "body": "x".repeat(100) }), "timeout", Some(200)),
        ("endless", json!({ "endless": true, "body": "x".repeat(1000) }), "too-large", Some(200)),
        (
            "lies",
            json!({ "body": "short", "headers": { "content-length": "9" } }),
            "connect",
            Some(200),
        ),
    ];
    let mut expected = Vec::new();
    for (name, answer, code, status) in answers {
        let answers = json!({ "answers": [answer], "then": "repeat_last" });
        world.fakes.script(Provider::Hooks, Some(name), script(answers));
        expected.push((world.open_endpoint(name, "").await, name, code, status));
    }
    let urls = [
        ("nobody", "http://127.0.0.1:9/", "connect"),
        ("no-name", "https://nobody.invalid/", "dns"),
        ("private", "https://10.1.2.3/", "blocked"),
        ("metadata", "https://169.254.169.254/", "blocked"),
        ("decimal", "https://2852039166/", "blocked"),
        ("octal", "https://0251.0376.0251.0376/", "blocked"),
        ("hex", "https://0xa9fea9fe/", "blocked"),
        ("mapped", "https://[::ffff:169.254.169.254]/", "blocked"),
        ("nat64", "https://[64:ff9b::a9fe:a9fe]/", "blocked"),
        ("plain", "http://192.0.2.1/", "blocked"),
        ("user", "https://user:password@example.com/", "blocked"),
        ("not-tls", "", "tls"),
    ];
    for (name, url, code) in urls {
        let tls = world.fakes.url().replace("http://", "https://");
        let url = if url.is_empty() { &tls } else { url };
        let endpoint = world.open_endpoint(name, &format!("url = '{url}'")).await;
        expected.push((endpoint, name, code, None));
    }
    for (endpoint, ..) in &expected {
        world.enqueue(*endpoint, None, 1).await;
    }
    for (endpoint, name, code, status) in expected {
        let (error, seen, owner, kind, latency) =
            until(&format!("{name} has failed"), PATIENCE, || async {
                let sql = "select l.error, l.status_code, d.owner, d.state, l.latency_ms
                    from webhook_logs l join webhook_deliveries d on d.id = l.delivery_id
                    where l.webhook_id = $1 and l.attempt_number = 1";
                let row = world.db.query_opt(sql, &[&endpoint]).await.unwrap()?;
                Some((
                    row.get::<_, Option<String>>(0),
                    row.get::<_, Option<i32>>(1),
                    row.get::<_, String>(2),
                    row.get::<_, String>(3),
                    row.get::<_, i32>(4),
                ))
            })
            .await;
        assert_eq!((error.as_deref(), seen), (Some(code), status), "{name}");
        assert_eq!((owner.as_str(), kind.as_str()), ("workflow", "pending"), "{name}");
        if code == "timeout" {
            assert!((10_000..15_000).contains(&latency), "{name} was given {latency} ms");
        }
    }
    // What asks for it is left alone for that long.
    let asked = until("it is asked again", PATIENCE, || async {
        Some(world.reached("asks-to-wait")).filter(|asked| asked.len() > 1)
    })
    .await;
    let gap = (asked[1].at - asked[0].at).num_milliseconds();
    assert!(gap >= 15_000, "{gap} ms");
    let redirected = world.reached("redirects");
    assert!(!redirected.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_http_1_0_count() {
    let world = World::start().await;
    let old = Receiver::plain(&["HTTP/1.0 503 No\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nfine"]).await;
    let url = format!("url = 'http://127.0.0.1:{}/', schedule = '{{1}}'", old.port);
    let endpoint = world.open_endpoint("old", &url).await;
    let event = world.enqueue(endpoint, None, 1).await[0];
    world.done_with(endpoint).await;
    assert_eq!(world.states(endpoint).await, [("delivered".to_owned(), 1)]);
    let expected = [(1, Some("status".to_owned()), Some(503)), (2, None, Some(200))];
    assert_eq!(world.logged(endpoint, event).await, expected);
    assert_eq!((old.connections(), old.requests()), (2, 2));
    let sql = "select response_body from webhook_logs where webhook_id = $1 and error is null";
    let body: String = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
    assert_eq!(body, "fine");
}
