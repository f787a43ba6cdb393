//! Stripe's webhooks in: what is kept, and what follows from it.

mod customers;
mod door;
mod made;
mod modes;
mod orders;
mod parked;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use futures::StreamExt;
use postcall::dev::{Demo, DevState};
use serde_json::json;
use store::{Database, Role, stripe_events};

use self::made::{
    DAY, OTHER_SECRET, SECRET, Subscriber, THEN, Told, fixture, fresh, invoice, options,
};
use crate::harness::World;

/// A subscription that is active in a period, told at its beginning.
fn active(period: (i64, i64)) -> Told {
    Told {
        id: fresh("evt"),
        name: "created",
        created: period.0,
        status: "active",
        period,
        anchor: period.0,
        is_old_shape: false,
    }
}

fn november() -> (i64, i64) {
    (THEN - 19 * DAY, THEN + 11 * DAY)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_200_times_at_once_is_one_and_another_body_is_counted() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let told = active((THEN, THEN + 30 * DAY));
    let body = told.body(&of);
    // A slow machine sheds some; Stripe repeats what is not answered with a 2xx.
    let posts = futures::stream::iter(0..200).map(async |_| {
        let mut statuses = Vec::new();
        while statuses.last() != Some(&200) && statuses.len() < 100 {
            statuses.push(world.post_stripe(&body).await);
        }
        assert_eq!(statuses.pop(), Some(200), "{statuses:?}");
        assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    });
    posts.buffer_unordered(200).collect::<Vec<()>>().await;
    assert_eq!(world.how_many("select count(*) from stripe_events").await, 1);
    let stored = world.stripe_event(&told.id).await;
    assert_eq!(stored, Some(("processed".to_owned(), None, 0)));
    let history = world.billing_history(of.organization).await;
    let events: Vec<&str> = history.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(events, ["customer.linked", "subscription.changed"]);

    let other = Told { status: "canceled", ..told.clone() }.body(&of);
    for _ in 0..3 {
        assert_eq!(world.post_stripe(&other).await, 200);
    }
    let stored = world.stripe_event(&told.id).await;
    assert_eq!(stored, Some(("processed".to_owned(), None, 3)));
    assert_eq!(world.standing(&of).await["status"], "active", "the first stays");
    let metrics = world.http.get(format!("{}/metrics", world.api_url)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = |name: &str, rest: &str| {
        let found = metrics.lines().find(|line| line.starts_with(name) && line.contains(rest));
        found.unwrap_or_else(|| panic!("{name} {rest}: {metrics}")).to_owned()
    };
    let received = line("postcall_webhooks_received_total{provider=\"stripe\"", "status=\"200\"");
    assert!(received.ends_with(" 203"), "{received}");
    assert!(line("postcall_stripe_events_total", "conflict").ends_with(" 3"));
    assert!(line("postcall_stripe_events_total", "duplicate").ends_with(" 199"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_cuts_the_open_period_and_asks_for_its_close() {
    let world = World::with(options()).await;
    let now = Utc::now().timestamp();
    let of = world.subscriber((now - 10 * DAY, now + 20 * DAY)).await;
    let begun = now - 3600;
    assert_eq!(world.post_stripe(&active((begun, begun + 30 * DAY)).body(&of)).await, 200);
    assert_eq!(world.standing(&of).await["open"], json!([[now - 10 * DAY, begun]]));
    let sql = "select w.kind, w.workflow_id, w.input, p.id::text from workflow_starts w
        join billing_periods p using (organization_id) where organization_id = $1";
    let row = world.db.query_one(sql, &[&of.organization]).await.expect("one start");
    assert_eq!(row.get::<_, &str>(0), "billing-cycle");
    assert!(row.get::<_, &str>(1).starts_with(&format!("billing-{}-20", of.organization)));
    let input: serde_json::Value = row.get(2);
    assert_eq!(input["organization_id"], of.organization.to_string());
    assert_eq!(input["period_id"], row.get::<_, &str>(3));

    // One that is not over is not closed.
    let of = world.subscriber((now - 10 * DAY, now + 20 * DAY)).await;
    let running = active((now - 10 * DAY, now + 21 * DAY));
    assert_eq!(world.post_stripe(&running.body(&of)).await, 200);
    let standing = world.standing(&of).await;
    assert_eq!(standing["open"], json!([[now - 10 * DAY, now + 21 * DAY]]));
    assert_eq!(standing["starts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_event_starts_the_reading_of_its_report_once() {
    let world = World::with(options()).await;
    let name = "v1.billing.meter.error_report_triggered";
    let event = fixture(&format!("{name}.thin"));
    let id = event["id"].as_str().unwrap();
    for _ in 0..3 {
        let body = event.to_string();
        let answer = world.post_stripe_at(body.as_bytes(), OTHER_SECRET, Utc::now()).await;
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(world.stripe_event(id).await, Some(("processed".to_owned(), None, 0)));
    let sql = "select kind, workflow_id, input from workflow_starts";
    let row = world.db.query_one(sql, &[]).await.expect("one start");
    assert_eq!(row.get::<_, &str>(0), "meter-error-report");
    assert_eq!(row.get::<_, String>(1), format!("meter-error-report-{id}"));
    assert_eq!(row.get::<_, serde_json::Value>(2), json!({ "event_id": id }));
}

impl World {
    /// Tells of invoices of a customer that nobody knows; gives the ids of the events.
    async fn parked_invoices(&self, of: &Subscriber) -> [String; 2] {
        let mut ids = Vec::new();
        for name in ["payment_failed", "paid"] {
            let (id, body) = invoice(name, &of.customer);
            assert_eq!(self.post_stripe(&body).await, 200);
            let (status, reason, _) = self.stripe_event(&id).await.expect("it is stored");
            assert_eq!(status, "parked");
            assert!(reason.is_some_and(|reason| reason.contains("no organization")));
            ids.push(id);
        }
        ids.try_into().expect("two")
    }

    /// The invoices are in the organization's history, without what is nobody's business.
    async fn knows_the_invoices(&self, of: &Subscriber, ids: &[String; 2]) {
        for id in ids {
            assert_eq!(self.stripe_event(id).await, Some(("processed".to_owned(), None, 0)));
        }
        let history = self.billing_history(of.organization).await;
        let invoices: Vec<_> =
            history.iter().filter(|(event, _)| event.starts_with("invoice.")).collect();
        let [(failed, _), (paid, details)] = invoices[..] else { panic!("{history:?}") };
        assert_eq!((failed.as_str(), paid.as_str()), ("invoice.payment_failed", "invoice.paid"));
        assert_eq!((&details["amount_paid"], &details["currency"]), (&json!(2544), &json!("usd")));
        let text = json!(history).to_string();
        assert!(!text.contains('@') && !text.contains("http"), "{text}");
        let left = "select count(*) from stripe_events where content is not null";
        assert_eq!(self.how_many(left).await, 0, "what waited is kept once, as Stripe wrote it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_unknown_customer_did_waits_until_it_is_known() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let ids = world.parked_invoices(&of).await;
    let told = active((THEN, THEN + 30 * DAY));
    assert_eq!(world.post_stripe(&told.body(&of)).await, 200);
    world.knows_the_invoices(&of, &ids).await;
    assert_eq!(world.standing(&of).await["customer"], true);

    // An organization has one customer: what another one says of it is not believed.
    let other = Subscriber { customer: fresh("cus"), subscription: fresh("sub"), ..of.clone() };
    let told = active((THEN, THEN + 30 * DAY));
    assert_eq!(world.post_stripe(&told.body(&other)).await, 200);
    assert_eq!(world.stripe_event(&told.id).await.expect("stored").0, "parked");
    assert_eq!(world.standing(&of).await["customer"], true);
    // Nor is one that names no organization of ours.
    let nobody = Subscriber { organization: uuid::Uuid::new_v4(), ..other.clone() };
    let told = active((THEN, THEN + 30 * DAY));
    assert_eq!(world.post_stripe(&told.body(&nobody)).await, 200);
    assert_eq!(world.stripe_event(&told.id).await.expect("stored").0, "parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_parked_that_came_while_its_customer_was_linked() {
    let world = World::with(options()).await;
    let races = futures::stream::iter(0..60).map(async |_| {
        let of = world.subscriber(november()).await;
        let told = active((THEN, THEN + 30 * DAY)).body(&of);
        let (id, paid) = invoice("paid", &of.customer);
        let taken = tokio::join!(world.post_stripe(&paid), world.post_stripe(&told));
        assert_eq!(taken, (200, 200));
        assert_eq!(world.stripe_event(&id).await, Some(("processed".to_owned(), None, 0)));
    });
    races.buffer_unordered(8).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_links_a_customer_applies_what_waited() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let nameless = Subscriber { organization: uuid::Uuid::new_v4(), ..of.clone() };
    let ids = world.parked_invoices(&of).await;
    let told = active((THEN, THEN + 30 * DAY));
    assert_eq!(world.post_stripe(&told.body(&nameless)).await, 200);
    let db = Database::connect(&world.database_url(), Role::Worker, 1).unwrap();
    let organization = OrganizationId(of.organization);
    let retake = || stripe_events::retake(&db, organization, Utc::now());
    assert_eq!(retake().await.unwrap(), 0, "it has no customer");
    let sql = "update organizations set stripe_customer_id = $2 where id = $1";
    world.db.execute(sql, &[&of.organization, &of.customer]).await.unwrap();
    assert_eq!(retake().await.unwrap(), 3);
    assert_eq!(retake().await.unwrap(), 0);
    world.knows_the_invoices(&of, &ids).await;
    let standing = world.standing(&of).await;
    assert_eq!(standing["current"], json!([THEN, THEN + 30 * DAY]));
    assert_eq!(standing["open"], json!([[THEN - 19 * DAY, THEN]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_outs_link_and_what_does_not_matter_is_ignored() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let event = |name: &str, object: serde_json::Value| {
        let id = fresh("evt");
        let event = json!({ "id": id, "object": "event", "type": name, "created": THEN,
            "data": { "object": object } });
        (id, event.to_string())
    };
    let (check_out, body) = event(
        "checkout.session.completed",
        json!({ "id": "cs_1", "object": "checkout.session", "customer": of.customer,
            "metadata": { "organization_id": of.organization } }),
    );
    assert_eq!(world.post_stripe(body.as_bytes()).await, 200);
    assert_eq!(world.stripe_event(&check_out).await.expect("stored").0, "processed");
    assert_eq!(world.standing(&of).await["customer"], true);
    let (other, body) =
        event("customer.updated", json!({ "id": of.customer, "object": "customer" }));
    assert_eq!(world.post_stripe(body.as_bytes()).await, 200);
    assert_eq!(world.stripe_event(&other).await.expect("stored").0, "ignored");
    let sql = "select type, organization_id from stripe_events where id = $1";
    let row = world.db.query_one(sql, &[&other]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "customer.updated");
    assert_eq!(row.get::<_, uuid::Uuid>(1), of.organization);
    let (drawn, body) = event("price.created", json!({ "id": "price_1" }));
    assert_eq!(world.post_stripe(body.as_bytes()).await, 200);
    assert_eq!(world.stripe_event(&drawn).await.expect("stored").0, "ignored");
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_can_be_triggered_and_doctor_tells_what_is_set() {
    let world = World::with(options()).await;
    let demo = Demo { stripe_webhook_secret: SECRET.to_owned(), ..world.demo.clone() };
    let dev = DevState {
        api_url: world.api_url.clone(),
        temporal_address: world.temporal_address.clone(),
        temporal_namespace: world.namespace.clone(),
        temporal_ui_url: String::new(),
        database_url: String::new(),
        redis_url: world.redis_url.clone(),
        storage_url: String::new(),
        fakes_url: world.fakes.url().to_owned(),
        demo,
        pids: BTreeMap::new(),
    };
    let folder = world.folder.join(".postcall");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("dev.json"), serde_json::to_vec(&dev).unwrap()).unwrap();
    for (name, status) in [
        ("invoice.payment_failed", "parked"),
        ("customer.subscription.created", "processed"),
        ("invoice.paid", "processed"),
        ("customer.subscription.updated", "processed"),
        ("customer.subscription.deleted", "processed"),
        ("v1.billing.meter.error_report_triggered", "processed"),
    ] {
        let (id, talk, code) = world.cli(&["trigger", &format!("stripe.{name}")]).await;
        assert_eq!(code, 0, "{name}: {talk}");
        assert!(talk.contains("postcall billing events"), "{talk}");
        assert_eq!(world.stripe_event(id.trim()).await.expect("stored").0, status, "{name}");
    }
    let parked = "select count(*) from stripe_events where status = 'parked'";
    assert_eq!(world.how_many(parked).await, 0, "the first became the organization's");
    let history = world.billing_history(world.organization()).await;
    let subscribed = history.iter().find(|(event, _)| event == "subscription.changed");
    let (_, details) = subscribed.expect("a change");
    let begun = details["current_period_start"].as_str().unwrap().parse::<DateTime<Utc>>();
    assert!((Utc::now() - begun.unwrap()).num_seconds() < 60, "it began now: {details}");

    let (findings, _, _) = world.cli(&["doctor", "-o", "json"]).await;
    let findings: serde_json::Value = serde_json::from_str(&findings).expect("JSON");
    let state = |check: &str| {
        let found = findings.as_array().unwrap().iter().find(|one| one["check"] == check);
        found.unwrap_or_else(|| panic!("{check}: {findings}"))["state"].clone()
    };
    assert_eq!((state("stripe"), state("stripe webhooks")), (json!("not set"), json!("ok")));
}
