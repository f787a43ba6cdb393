//! Stripe's fake: what is counted, what is only taken, and what it tells of that.

use super::*;
use std::sync::{Arc, Mutex, OnceLock};

use ::providers::{
    error::{ErrorKind, ProviderError},
    stripe::{
        Meaning, MeterErrorReport, MeterEvent, MeterEventError, NewCustomer, StripeClient,
        is_signed, read,
    },
};
use axum::{Router, http::HeaderMap, routing::post};
use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::OrganizationId;
use serde_json::json;
use uuid::Uuid;

use super::super::StripeSettings;

const SECRET: &str = "whsec_test_secret_0123456789abcdef";
const LOCK_TIMEOUT: &str =
    include_str!("../../../../tests/fixtures/stripe/error_429_lock_timeout.json");

fn event(customer: &str, identifier: &str, quantity: u64) -> MeterEvent {
    // The same in every request: a second later it would be another one under the same key.
    static AT: OnceLock<DateTime<Utc>> = OnceLock::new();
    MeterEvent {
        event_name: "voice_minutes".to_owned(),
        customer: customer.to_owned(),
        quantity,
        identifier: identifier.to_owned(),
        at: *AT.get_or_init(Utc::now),
    }
}

impl Bench {
    fn stripe(&self) -> StripeClient {
        StripeClient::new(&self.url("/stripe"), "sk_test".into()).expect("a client")
    }

    /// Reports 3 minutes of `cus_1` under one identifier.
    async fn report(&self, identifier: &str, key: &str) -> Result<(), MeterEventError> {
        self.stripe().meter_event(&event("cus_1", identifier, 3), key).await
    }

    async fn counted(&self, customer: &str) -> Option<u64> {
        let (from, until) = (Utc::now() - TimeDelta::days(1), Utc::now() + TimeDelta::minutes(2));
        self.asked(customer, from, until).await.expect("an answer")
    }

    async fn asked(
        &self,
        customer: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<u64>, ProviderError> {
        self.stripe().meters().await?.counted("voice_minutes", customer, from, until).await
    }
}

#[tokio::test]
async fn what_is_billed_is_the_sum_of_what_was_counted() {
    let bench = Bench::start().await;
    assert_eq!(bench.counted("cus_1").await, Some(0));
    for (customer, identifier, quantity) in
        [("cus_1", "a", 200), ("cus_1", "b", 12), ("cus_2", "c", 7), ("cus_2", "d", 0)]
    {
        let event = event(customer, identifier, quantity);
        bench.stripe().meter_event(&event, identifier).await.expect("taken");
    }
    let stripe = bench.fakes.stripe();
    assert_eq!((stripe.billed("cus_1"), stripe.billed("cus_2")), (212, 7));
    assert_eq!(stripe.billed("cus_3"), 0);
    assert_eq!(stripe.identifiers(), ["a", "b", "c", "d"]);
    assert_eq!((bench.counted("cus_1").await, bench.counted("cus_2").await), (Some(212), Some(7)));
    let (_, billed) = answer(bench.get("/admin/stripe/billed")).await;
    assert_eq!(billed, json!({ "cus_1": 212, "cus_2": 7 }));

    let early = Utc::now() - TimeDelta::days(9);
    let before = bench.asked("cus_1", early, early + TimeDelta::days(1)).await;
    assert_eq!(before.expect("an answer"), Some(0));
    let client = bench.stripe();
    let meters = client.meters().await.expect("an answer");
    let other = meters.counted("other", "cus_1", early, Utc::now()).await;
    assert_eq!(other.expect("no question"), None);
}

#[tokio::test]
async fn an_identifier_counts_once_in_24_hours_and_again_after() {
    let bench = Bench::start().await;
    for key in ["key-1", "key-1", "key-2", "key-3"] {
        bench.report("a", key).await.expect("counted before");
    }
    assert_eq!(bench.fakes.stripe().billed("cus_1"), 3);
    bench.fakes.set_clock(Utc::now() + TimeDelta::hours(24) + TimeDelta::seconds(1));
    bench.report("a", "key-1").await.expect("forgotten");
    assert_eq!(bench.fakes.stripe().billed("cus_1"), 6);
    assert_eq!(bench.fakes.stripe().identifiers(), ["a", "a"]);
}

#[tokio::test]
async fn usage_is_refused_when_it_is_too_old_or_to_come() {
    let bench = Bench::start().await;
    let now = Utc::now() + TimeDelta::days(400);
    bench.fakes.set_clock(now);
    for (late, code) in [
        (TimeDelta::days(35) - TimeDelta::minutes(1), None),
        (TimeDelta::days(35) + TimeDelta::minutes(1), Some("timestamp_too_far_in_past")),
        (-TimeDelta::minutes(4), None),
        (-TimeDelta::minutes(6), Some("timestamp_in_future")),
    ] {
        let event = MeterEvent { at: now - late, ..event("cus_1", &late.to_string(), 1) };
        let taken = bench.stripe().meter_event(&event, &event.identifier).await;
        let expected = code.map(|code| ErrorKind::Rejected { code: code.to_owned() });
        assert_eq!(taken.err().map(|error| error.error().kind.clone()), expected, "{late}");
    }
    assert_eq!(bench.fakes.stripe().billed("cus_1"), 2);
}

#[tokio::test]
async fn a_lost_answer_counts_once_however_it_is_asked_again() {
    let bench = Bench::start().await;
    let lost = json!({ "answers": [
        { "drop_connection": true, "do_it": true }, { "status": 500, "do_it": true },
        { "drop_connection": true },
    ] });
    bench.script(Provider::Stripe, Some("a"), lost);
    for _ in 0..3 {
        let error = bench.report("a", "a").await.expect_err("lost");
        let is_lost = matches!(error.error().kind, ErrorKind::Ambiguous { repeatable: true, .. });
        assert!(is_lost && matches!(error, MeterEventError::Failed(_)), "{error:?}");
    }
    bench.report("a", "a").await.expect("the same key");
    bench.report("a", "a-2").await.expect("another key");
    assert_eq!(bench.fakes.stripe().billed("cus_1"), 3);
}

#[tokio::test]
async fn a_500_stored_under_a_key_is_repeated_until_another_key_is_used() {
    let bench = Bench::start().await;
    for (identifier, do_it) in [("a", false), ("b", true)] {
        let stored = json!({ "answers": [{ "status": 500, "stored": true, "do_it": do_it }] });
        bench.script(Provider::Stripe, Some(identifier), stored);
        let first = bench.report(identifier, identifier).await.expect_err("stored");
        assert!(matches!(first, MeterEventError::Failed(_)), "{first:?}");
        for _ in 0..3 {
            let error = bench.report(identifier, identifier).await.expect_err("repeated");
            assert!(matches!(error, MeterEventError::Stored(_)), "{error:?}");
            let kind = ErrorKind::Ambiguous { status: Some(500), repeatable: true };
            assert_eq!(error.error().kind, kind);
        }
        bench.report(identifier, &format!("{identifier}-2")).await.expect("another key");
    }
    assert_eq!(bench.fakes.stripe().billed("cus_1"), 6);
    assert_eq!(bench.fakes.stripe().identifiers().len(), 2);

    let body: Value = serde_json::from_str(LOCK_TIMEOUT).expect("a sample");
    let stored = json!({ "answers": [{ "status": 429, "stored": true, "body": body }] });
    bench.script(Provider::Stripe, None, stored);
    let (_, first) = answer(bench.meter_event("k", "event_name=m&payload%5Bvalue%5D=1")).await;
    let again = answer(bench.meter_event("k", "event_name=m&payload%5Bvalue%5D=1")).await;
    assert_eq!((first, again), (body.clone(), (StatusCode::TOO_MANY_REQUESTS, body)));
}

#[tokio::test]
async fn a_lock_passes() {
    let bench = Bench::start().await;
    let locked = json!({ "answers": [{
        "status": 429, "body": LOCK_TIMEOUT, "headers": { "Retry-After": "2" },
    }] });
    bench.script(Provider::Stripe, Some("cus_1"), locked);
    let error = bench.report("a", "a").await.expect_err("locked");
    assert_eq!(error.error().retry_after(), Some(Duration::from_secs(2)));
    bench.report("a", "a").await.expect("the lock is gone");
    assert_eq!(bench.fakes.stripe().billed("cus_1"), 3);
}

#[tokio::test]
async fn customers_are_made_once_and_found() {
    let bench = Bench::start().await;
    let stripe = bench.stripe();
    let organization_id = OrganizationId(Uuid::now_v7());
    assert_eq!(stripe.find_customer(organization_id).await.expect("an answer"), None);
    let name = "Voice Co".to_owned();
    let new = NewCustomer { organization_id, name, email: None };
    let made = stripe.create_customer(&new).await.expect("made");
    assert_eq!(stripe.create_customer(&new).await.expect("made before"), made);
    let other = NewCustomer { organization_id: OrganizationId(Uuid::now_v7()), ..new };
    stripe.create_customer(&other).await.expect("made");
    let found = stripe.find_customer(organization_id).await.expect("an answer");
    assert_eq!(found.as_ref(), Some(&made));
    assert_eq!(bench.accepted(Kind::Customer), 2);

    let path = format!("/stripe/v1/customers/{made}");
    let (status, customer) = answer(bench.get(&path).bearer_auth("sk")).await;
    assert_eq!((status, &customer["name"]), (StatusCode::OK, &json!("Voice Co")));
    assert_eq!(answer(bench.get("/stripe/v1/customers/cus_x").bearer_auth("sk")).await.0, 404);
    assert_eq!(answer(bench.get(&path)).await.0, 401);
    let odd = bench.get("/stripe/v1/customers/search?query=name:'x'").bearer_auth("sk");
    assert_eq!(answer(odd).await.0, 400);
}

/// Headers and body of what was posted to it, in order.
type Posted = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A receiver of webhooks that refuses the first one.
async fn receiver() -> (String, Posted) {
    let posted = Posted::default();
    let kept = Arc::clone(&posted);
    let take = async move |headers: HeaderMap, body: String| {
        let mut kept = kept.lock().expect("no panic");
        kept.push((headers, body));
        if kept.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/stripe", listener.local_addr().expect("an address"));
    let router = Router::new().route("/stripe", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, posted)
}

async fn until_posted(posted: &Posted, count: usize) -> (HeaderMap, String) {
    let there = async {
        loop {
            if let Some(last) = posted.lock().expect("no panic").get(count - 1) {
                return last.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), there).await.expect("a webhook")
}

#[tokio::test]
async fn usage_of_nobody_is_taken_and_reported_afterwards() {
    let bench = Bench::start().await;
    let (url, posted) = receiver().await;
    let settings = json!({
        "any_customer": false, "known_customers": ["cus_1"], "webhook_url": url,
        "webhook_secret": SECRET, "report_after_ms": 1,
    });
    let set = bench.ask(Method::PUT, "/admin/stripe/settings").json(&settings);
    assert_eq!(answer(set).await.0, 204);
    let stripe = bench.stripe();
    bench.report("known", "known").await.expect("taken");
    stripe.meter_event(&event("cus_nobody", "lost", 5), "lost").await.expect("taken all the same");
    let billed = bench.fakes.stripe();
    assert_eq!((billed.billed("cus_1"), billed.billed("cus_nobody")), (3, 0));
    assert_eq!(billed.identifiers(), ["known", "lost"]);
    let now = Utc::now();
    assert!(bench.asked("cus_nobody", now, now).await.is_err(), "no customer");

    until_posted(&posted, 1).await;
    let (headers, body) = until_posted(&posted, 2).await;
    let signature = headers["stripe-signature"].to_str().expect("a text");
    assert!(is_signed(signature, body.as_bytes(), &[SECRET.into()], Utc::now()));
    let told = read(body.as_bytes()).expect("an event");
    assert_eq!(told.meaning, Meaning::MeterError);
    assert!(!body.contains("customer_not_found"), "{body} is thin");
    let report = stripe.meter_error_report(&told.id).await.expect("an answer");
    let sample = ("meter_event_customer_not_found".to_owned(), Some("lost".to_owned()));
    assert_eq!(report, Some(MeterErrorReport { errors: 1, samples: vec![sample] }));
    assert_eq!(stripe.meter_error_report("evt_test_x").await.expect("an answer"), None);

    let mut sample: Value = serde_json::from_str(include_str!(
        "../../../../tests/fixtures/stripe/v1.billing.meter.error_report_triggered.thin.json"
    ))
    .expect("a sample");
    assert_has_fields_of(&serde_json::from_str(&body).expect("JSON"), &sample.to_string());
    sample["id"] = "evt_2".into();
    let (status, sent) = answer(bench.post("/admin/stripe/events").json(&sample)).await;
    assert_eq!((status, sent), (StatusCode::OK, json!({ "status": 200 })));
    assert!(until_posted(&posted, 3).await.1.contains("evt_2"));
}

#[tokio::test]
async fn usage_may_be_lost_or_doubled_without_a_word() {
    let bench = Bench::start().await;
    let (url, posted) = receiver().await;
    let settings = json!({
        "counted_times": { "cus_lost": 0, "cus_double": 2 }, "webhook_url": url,
        "webhook_secret": SECRET, "report_after_ms": 0,
    });
    let set = bench.ask(Method::PUT, "/admin/stripe/settings").json(&settings);
    assert_eq!(answer(set).await.0, 204);
    for (customer, counted) in [("cus_lost", 0), ("cus_double", 14), ("cus_1", 7)] {
        bench.stripe().meter_event(&event(customer, customer, 7), customer).await.expect("taken");
        assert_eq!(bench.counted(customer).await, Some(counted), "{customer}");
        assert_eq!(bench.fakes.stripe().billed(customer), counted, "{customer}");
    }
    // What comes of this is the only thing told.
    bench.fakes.stripe().send(&json!({ "id": "evt_last" })).await.expect("answered");
    assert!(until_posted(&posted, 1).await.1.contains("evt_last"));
}

#[tokio::test]
async fn each_reason_not_to_count_has_its_code() {
    let bench = Bench::start().await;
    let (url, posted) = receiver().await;
    bench.fakes.stripe().configure(StripeSettings {
        meters: Some(vec!["voice_minutes".to_owned()]),
        webhook_url: Some(url),
        webhook_secret: Some(SECRET.into()),
        report_after_ms: 0,
        ..StripeSettings::default()
    });
    // Uses up the refusal of the receiver.
    bench.fakes.stripe().send(&json!({})).await.expect("refused");
    let customer = "payload%5Bstripe_customer_id%5D=cus_1";
    for (place, (form, code)) in [
        (format!("event_name=x&{customer}&payload%5Bvalue%5D=1"), "no_meter"),
        ("event_name=voice_minutes&payload%5Bvalue%5D=1".into(), "meter_event_no_customer_defined"),
        (format!("event_name=voice_minutes&{customer}"), "meter_event_invalid_value"),
        (
            format!("event_name=voice_minutes&{customer}&payload%5Bvalue%5D=1.5"),
            "meter_event_invalid_value",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(answer(bench.meter_event(&place.to_string(), &form)).await.0, 200, "{form}");
        let (_, body) = until_posted(&posted, place + 2).await;
        let told = read(body.as_bytes()).expect("an event");
        let is_no_meter = told.event_type == "v1.billing.meter.no_meter_found";
        assert_eq!((told.meaning, is_no_meter), (Meaning::MeterError, code == "no_meter"));
        let report = bench.stripe().meter_error_report(&told.id).await.expect("an answer");
        assert_eq!(report.expect("a report").samples[0].0, code);
    }
    assert_eq!(bench.fakes.stripe().billed("cus_1"), 0);
}

#[tokio::test]
async fn the_books_go_on_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("effects.jsonl");
    let before = Bench::start_on(Some(file.clone())).await;
    before.report("a", "a").await.expect("taken");
    let counted_times = [("cus_lost".to_owned(), 0), ("cus_double".to_owned(), 2)].into();
    before.fakes.stripe().configure(StripeSettings { counted_times, ..StripeSettings::default() });
    for customer in ["cus_lost", "cus_double"] {
        before.stripe().meter_event(&event(customer, customer, 7), customer).await.expect("taken");
    }
    let only = StripeSettings { any_customer: false, ..StripeSettings::default() };
    before.fakes.stripe().configure(only);
    let new = NewCustomer {
        organization_id: OrganizationId(Uuid::now_v7()),
        name: "Voice Co".to_owned(),
        email: None,
    };
    let made = before.stripe().create_customer(&new).await.expect("made");
    before.stripe().meter_event(&event(&made, "b", 5), "b").await.expect("taken");
    before.report("c", "c").await.expect("taken, not counted");
    before.fakes.effects().clear();
    before.fakes.stop().await;

    let after = Bench::start_on(Some(file)).await;
    let stripe = after.fakes.stripe();
    assert_eq!((stripe.billed("cus_1"), stripe.billed(&made)), (3, 5));
    assert_eq!((stripe.billed("cus_lost"), stripe.billed("cus_double")), (0, 14));
    assert_eq!(stripe.identifiers(), ["a", "cus_lost", "cus_double", "b", "c"]);
    after.report("a", "another").await.expect("counted before");
    let found = after.stripe().find_customer(new.organization_id).await.expect("an answer");
    assert_eq!(found, Some(made));
    let again = after.meter_event("c", "event_name=other").send().await.expect("an answer");
    assert_eq!(again.status(), 400, "the key was kept with what was asked");
    assert_eq!(after.fakes.stripe().billed("cus_1"), 3);
}

#[tokio::test]
async fn settings_and_events_that_cannot_be_used_are_refused() {
    let bench = Bench::start().await;
    let settings =
        |settings: Value| answer(bench.ask(Method::PUT, "/admin/stripe/settings").json(&settings));
    assert_eq!(settings(json!({ "report_after_ms": 600_001 })).await.0, 400);
    assert_eq!(settings(json!({ "any": true })).await.0, 422);
    let send = || answer(bench.post("/admin/stripe/events").json(&json!({ "id": "evt_1" })));
    assert_eq!(send().await.0, 409);
    let nobody = json!({ "webhook_url": "http://127.0.0.1:9/", "webhook_secret": SECRET });
    assert_eq!(settings(nobody).await.0, 204);
    assert_eq!(send().await.0, 502);
    assert!(!format!("{:?}", bench.fakes.stripe()).contains(SECRET));
}

#[tokio::test]
async fn meters_come_in_pages() {
    let bench = Bench::start().await;
    let names: Vec<String> = (0..250).map(|number| format!("meter_{number}")).collect();
    let last = names.last().cloned().expect("some");
    let settings = StripeSettings { meters: Some(names), ..StripeSettings::default() };
    bench.fakes.stripe().configure(settings);
    let now = Utc::now();
    let client = bench.stripe();
    let meters = client.meters().await.expect("an answer");
    let counted = meters.counted(&last, "cus_1", now - TimeDelta::days(1), now).await;
    assert_eq!(counted.expect("an answer"), Some(0));
    let list = |query: &str| {
        answer(bench.get(&format!("/stripe/v1/billing/meters?{query}")).bearer_auth("sk"))
    };
    let (_, first) = list("status=active").await;
    assert_eq!(
        (first["data"].as_array().map(Vec::len), &first["has_more"]),
        (Some(10), &json!(true))
    );
    assert_eq!(list("status=inactive").await.1["data"], json!([]));
}
