//! Everything that a script can make go wrong.

use super::*;
use futures::StreamExt as _;
use serde_json::json;

impl Bench {
    async fn lay(&self, path: &str, script: Value) {
        let put = self.ask(Method::PUT, path).json(&script);
        assert_eq!(answer(put).await.0, 204);
    }

    async fn hook(&self, name: &str) -> StatusCode {
        answer(self.post(&format!("/hooks/{name}")).body("{}")).await.0
    }
}

#[tokio::test]
async fn answers_are_used_up_in_order() {
    let bench = Bench::start().await;
    let script = json!({ "answers": [
        { "status": 503, "times": 2, "headers": { "Retry-After": "1" } },
        { "status": 410, "body": { "gone": true } },
    ] });
    bench.lay("/scripts/hooks", script).await;
    let first = bench.post("/hooks/a").send().await.expect("an answer");
    assert_eq!(
        (first.status(), &first.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().expect("a header"))
    );
    assert_eq!(answer(bench.get("/scripts")).await.1["data"][0]["answers"][0]["times"], 1);
    assert_eq!(bench.hook("b").await, 503);
    let (status, body) = answer(bench.post("/hooks/c")).await;
    assert_eq!((status, body), (StatusCode::GONE, json!({ "gone": true })));
    assert_eq!(bench.hook("d").await, 200);
    assert_eq!(answer(bench.get("/scripts")).await.1, json!({ "data": [] }));
    assert_eq!(bench.accepted(Kind::Webhook), 1);
}

#[tokio::test]
async fn a_script_for_a_key_leaves_others_alone() {
    let bench = Bench::start().await;
    let failing = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    bench.lay("/scripts/hooks?key=bad", failing).await;
    bench.lay("/scripts/hooks", json!({ "answers": [{ "status": 429 }] })).await;
    assert_eq!(bench.hook("bad").await, 500);
    assert_eq!(bench.hook("bad").await, 500);
    assert_eq!(bench.hook("good").await, 429);
    assert_eq!(bench.hook("good").await, 200);
    assert_eq!(answer(bench.ask(Method::DELETE, "/scripts/hooks?key=bad")).await.0, 204);
    assert_eq!(bench.hook("bad").await, 200);
}

#[tokio::test]
async fn look_ups_use_a_script_only_when_it_is_for_them() {
    let bench = Bench::start().await;
    bench.script(Provider::Twilio, None, json!({ "answers": [{ "status": 500 }] }));
    let list = || bench.get(MESSAGES).basic_auth("AC1", Some("token"));
    assert_eq!(answer(list()).await.0, 200);
    let (status, error) = answer(bench.sms("+14155552671")).await;
    assert_eq!((status, &error["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!(20500)));
    assert_eq!(answer(list()).await.1["messages"], json!([]));
    bench.script(
        Provider::Twilio,
        None,
        json!({ "kind": "lookup", "answers": [{ "status": 429 }] }),
    );
    assert_eq!(answer(list()).await.1["code"], 20429);
}

#[tokio::test]
async fn connections_drop_before_or_after_the_effect() {
    let bench = Bench::start().await;
    let script = json!({ "answers": [
        { "drop_connection": true }, { "drop_connection": true, "do_it": true },
    ] });
    bench.lay("/scripts/twilio", script).await;
    for _ in 0..2 {
        let error = bench.sms("+14155552671").send().await.expect_err("no answer");
        assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
    }
    assert_eq!(bench.accepted(Kind::Sms), 1);
    let (_, log) = answer(bench.get("/effects?kind=sms")).await;
    let statuses = [&log["data"][0]["status"], &log["data"][1]["status"]];
    assert_eq!((statuses, log["data"].as_array().map(Vec::len)), ([&json!(0); 2], Some(2)));
    assert_eq!(answer(bench.sms("+14155552671")).await.0, 201);
}

#[tokio::test]
async fn bodies_lie_drip_and_never_end() {
    let bench = Bench::start().await;
    let html = json!({ "answers": [
        { "status": 200, "body": "<html>oops</html>", "headers": { "content-type": "text/html" } },
        { "status": 200, "body": "short", "headers": { "Content-Length": "50" } },
        { "endless": true },
        { "drip": true, "body": "slow" },
    ] });
    bench.lay("/scripts/resend", html).await;
    let send = || bench.post("/resend/emails").send();
    let page = send().await.expect("an answer");
    assert_eq!(page.headers()["content-type"], "text/html");
    assert_eq!(page.text().await.expect("a body"), "<html>oops</html>");

    let short = send().await.expect("the beginning of an answer");
    assert_eq!(short.content_length(), Some(50));
    assert!(short.bytes().await.is_err());

    let mut endless = send().await.expect("the beginning of an answer").bytes_stream();
    let mut bytes = 0;
    while bytes < 5_000_000 {
        bytes += endless.next().await.expect("more").expect("a chunk").len();
    }
    drop(endless);

    let mut drip = send().await.expect("the beginning of an answer").bytes_stream();
    assert_eq!(drip.next().await.expect("a byte").expect("a byte"), "s");
    let second = tokio::time::timeout(Duration::from_millis(500), drip.next()).await;
    assert!(second.is_err(), "the second byte takes a second");
    tokio::time::timeout(Duration::from_secs(3), bench.fakes.stop()).await.expect("it stops");
}

#[tokio::test]
async fn delays_are_set_by_provider_and_by_script() {
    let bench = Bench::start().await;
    let delay = bench.ask(Method::PUT, "/delay/hooks").json(&json!({ "ms": 200 }));
    assert_eq!(answer(delay).await.0, 204);
    bench
        .lay("/scripts/hooks", json!({ "answers": [{ "delay_ms": 0 }, { "delay_ms": 60_000 }] }))
        .await;
    let quick = bench.post("/hooks/a").timeout(Duration::from_millis(150)).send().await;
    assert_eq!(quick.expect("an answer").status(), 200);
    let slow = bench.post("/hooks/a").timeout(Duration::from_millis(150)).send().await;
    assert!(slow.is_err_and(|error| error.is_timeout()));
    let usual = bench.post("/hooks/a").timeout(Duration::from_millis(150)).send().await;
    assert!(usual.is_err_and(|error| error.is_timeout()));
    // The delay is after the effect: who does not wait for the answer has still been heard.
    assert_eq!(bench.accepted(Kind::Webhook), 3);
}

#[tokio::test]
async fn scripts_that_cannot_be_played_are_refused() {
    let bench = Bench::start().await;
    for script in [
        json!({ "answers": [] }),
        json!({ "answers": [{ "status": 99 }] }),
        json!({ "answers": [{ "times": 0 }] }),
        json!({ "answers": [{ "delay_ms": 600_001 }] }),
        json!({ "answers": [{ "headers": { "a b": "c" } }] }),
    ] {
        let put = bench.ask(Method::PUT, "/scripts/vapi").json(&script);
        assert_eq!(answer(put).await.0, 400, "{script}");
    }
    let typo = bench.ask(Method::PUT, "/scripts/vapi").json(&json!({ "answers": [{ "stat": 1 }] }));
    assert_eq!(answer(typo).await.0, 422);
    let nobody = bench.ask(Method::PUT, "/scripts/acme").json(&json!({ "answers": [{}] }));
    assert_eq!(answer(nobody).await.0, 404);
}
