//! What providers remember, and when they forget it.

use super::*;
use serde_json::json;

const FORM: &str = include_str!("../../../../tests/fixtures/stripe/meter_event_request.form");

impl Bench {
    fn email(&self, key: &str, text: &str) -> RequestBuilder {
        let body = json!({
            "from": "Voice Co <calls@example.com>", "to": ["owner@example.com"],
            "subject": "Call summary", "text": text,
        });
        self.post("/resend/emails").bearer_auth("re").header("idempotency-key", key).json(&body)
    }

    pub(super) fn meter_event(&self, key: &str, form: &str) -> RequestBuilder {
        let request = self.post("/stripe/v1/billing/meter_events").bearer_auth("sk");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("idempotency-key", key).body(form.to_owned())
    }

    async fn advance(&self, seconds: u32) {
        let advance = self.post("/admin/clock").json(&json!({ "advance_seconds": seconds }));
        assert_eq!(answer(advance).await.0, 200);
    }
}

#[tokio::test]
async fn resend_sends_once_a_key() {
    let bench = Bench::start().await;
    let (status, first) = answer(bench.email("call-1", "A table.")).await;
    assert_eq!(status, 200);
    assert_eq!(answer(bench.email("call-1", "A table.")).await.1, first);
    let (status, error) = answer(bench.email("call-1", "Two tables.")).await;
    assert_eq!(
        (status, &error["name"]),
        (StatusCode::CONFLICT, &json!("invalid_idempotent_request"))
    );
    assert_ne!(answer(bench.email("call-2", "A table.")).await.1, first);
    assert_eq!(bench.accepted(Kind::Email), 2);
    bench.advance(24 * 3600 + 1).await;
    assert_ne!(answer(bench.email("call-1", "A table.")).await.1, first);

    let count = bench.get("/effects/count?key=call-1&accepted=true");
    assert_eq!(answer(count).await.1["count"], 2);
    let count = bench.get("/effects/count?key=owner%40example.com");
    assert_eq!(answer(count).await.1["count"], 5);
    let (status, error) = answer(bench.post("/resend/emails").body("{}")).await;
    assert_eq!((status, &error["name"]), (StatusCode::UNAUTHORIZED, &json!("missing_api_key")));
    let keyed = bench.post("/resend/emails").bearer_auth("re");
    let (status, error) = answer(keyed.json(&json!({ "from": "a@b.c", "subject": "s" }))).await;
    assert_eq!(
        (status, &error["message"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("Missing `to` field."))
    );
}

#[tokio::test]
async fn a_key_sent_many_times_at_once_sends_once() {
    let bench = Bench::start().await;
    let emails = (0..50).map(|_| answer(bench.email("call-1", "A table.")));
    let answers = futures::future::join_all(emails).await;
    assert!(answers.iter().all(|(status, body)| *status == 200 && *body == answers[0].1));
    assert_eq!(bench.accepted(Kind::Email), 1);
}

#[tokio::test]
async fn stripe_bills_an_identifier_once_in_24_hours() {
    let bench = Bench::start().await;
    let (status, event) = answer(bench.meter_event("key-1", FORM)).await;
    assert_eq!(status, 200);
    assert_has_fields_of(
        &event,
        include_str!("../../../../tests/fixtures/stripe/meter_event_200.json"),
    );
    assert_eq!(event["payload"]["value"], "3");

    let again = bench.meter_event("key-1", FORM).send().await.expect("an answer");
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.json::<Value>().await.expect("JSON"), event);
    let other = FORM.replace("value%5D=3", "value%5D=4");
    let (status, error) = answer(bench.meter_event("key-1", &other)).await;
    assert_eq!(
        (status, &error["error"]["type"]),
        (StatusCode::BAD_REQUEST, &json!("idempotency_error"))
    );
    let (status, error) = answer(bench.meter_event("key-2", FORM)).await;
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(status, 400);
    assert!(message.starts_with("An event already exists with identifier usage_0b7e2c8a"));
    assert_eq!(bench.accepted(Kind::MeterEvent), 1);

    bench.advance(23 * 3600).await;
    assert_eq!(answer(bench.meter_event("key-3", FORM)).await.0, 400);
    bench.advance(3600 + 1).await;
    assert_eq!(answer(bench.meter_event("key-1", FORM)).await.0, 200);
    assert_eq!(bench.accepted(Kind::MeterEvent), 2);
}

#[tokio::test]
async fn stripe_says_what_is_missing_and_makes_customers() {
    let bench = Bench::start().await;
    let (status, error) = answer(bench.meter_event("key", "payload%5Bvalue%5D=3")).await;
    assert_eq!((status, &error["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("event_name")));
    let (_, error) = answer(bench.meter_event("key", "event_name=minutes")).await;
    assert_eq!(error["error"]["param"], "payload");
    let customers = bench.post("/stripe/v1/customers");
    let form = [("email", "a@example.com"), ("metadata[organization_id]", "o1")];
    assert_eq!(answer(bench.post("/stripe/v1/customers").form(&form)).await.0, 401);
    let (status, customer) = answer(customers.bearer_auth("sk").form(&form)).await;
    assert_eq!(status, 200);
    assert!(customer["id"].as_str().is_some_and(|id| id.starts_with("cus_")));
    assert_eq!(customer["metadata"], json!({ "organization_id": "o1" }));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_effect_behind() {
    let bench = Bench::start().await;
    let lost = || json!({ "answers": [{ "status": 503, "do_it": true }] });
    bench.script(Provider::Stripe, None, lost());
    let (status, error) = answer(bench.meter_event("key-1", FORM)).await;
    assert_eq!(
        (status, &error["error"]["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("api_error"))
    );
    assert_eq!(answer(bench.meter_event("key-1", FORM)).await.0, 200);
    assert_eq!(bench.accepted(Kind::MeterEvent), 1);

    bench.script(Provider::Twilio, None, lost());
    assert_eq!(answer(bench.sms("+14155552671")).await.0, 503);
    let list = bench.get(MESSAGES).basic_auth("AC1", Some("token"));
    let (_, list) = answer(list).await;
    assert_eq!(list["messages"].as_array().map(Vec::len), Some(1));
    let (_, log) = answer(bench.get("/effects?kind=sms")).await;
    assert_eq!(
        (&log["data"][0]["status"], &log["data"][0]["accepted"]),
        (&json!(503), &json!(true))
    );
}
