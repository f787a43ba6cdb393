//! What waits is seen without SQL, counted, and taken once more when somebody says so.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    active,
    made::{DAY, Subscriber, THEN, Told, fresh, invoice, options},
    november,
};
use crate::harness::{World, wait::until};

/// Some seconds lie between two counts.
const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// What the list says with these arguments, as JSON, and its talk.
    async fn listed(&self, arguments: &[&str]) -> (Vec<Value>, String) {
        let command = ["billing", "stripe-events", "-o", "json"];
        let (shown, talk, code) = self.cli(&[&command[..], arguments].concat()).await;
        assert_eq!(code, 0, "{talk}");
        (serde_json::from_str(&shown).expect("JSON"), talk)
    }

    async fn retried(&self, id: &str) -> (String, i32) {
        let (shown, talk, code) = self.cli(&["billing", "stripe-events", "--retry", id]).await;
        assert_eq!(shown, "");
        (talk, code)
    }

    /// The number of a gauge of `serve`; none where it is not set yet.
    async fn gauge(&self, name: &str) -> Option<f64> {
        let metrics = self.http.get(format!("{}/metrics", self.api_url)).send().await.ok()?;
        let metrics = metrics.text().await.ok()?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line?.parse().ok()
    }

    /// Waits until `serve` counts so many parked events.
    async fn counts_parked(&self, parked: f64) {
        until("the gauge follows", PATIENCE, || async {
            let count = self.gauge("postcall_stripe_events_parked").await?;
            (count == parked).then_some(())
        })
        .await;
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_listed_newest_first_with_its_reason_and_without_what_it_tells() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let stranger = Subscriber { customer: fresh("cus"), subscription: fresh("sub"), ..of.clone() };
    let told = active((THEN, THEN + 30 * DAY));
    assert_eq!(world.post_stripe(&told.body(&of)).await, 200);
    let mut parked = Vec::new();
    for name in ["payment_failed", "paid", "paid"] {
        let (id, body) = invoice(name, &stranger.customer);
        assert_eq!(world.post_stripe(&body).await, 200);
        parked.push(id);
    }
    parked.reverse();
    let (all, talk) = world.listed(&[]).await;
    assert_eq!(
        (ids(&all)[..3].to_vec(), all.len()),
        (parked.iter().map(String::as_str).collect(), 4)
    );
    assert!(!talk.contains("more"), "{talk}");
    assert_eq!(ids(&world.listed(&["--status", "processed"]).await.0), [told.id.as_str()]);
    assert!(world.listed(&["--status", "ignored"]).await.0.is_empty());
    let organization = of.organization.to_string();
    let (ours, _) = world.listed(&["--organization", &organization]).await;
    assert_eq!(ids(&ours), [told.id.as_str()]);

    let (waiting, _) = world.listed(&["--status", "parked"]).await;
    assert_eq!(ids(&waiting), parked);
    let mut row = waiting[0].clone();
    for changing in ["age_seconds", "age", "created_at", "received_at"] {
        assert!(!row.as_object_mut().unwrap().remove(changing).unwrap().is_null(), "{changing}");
    }
    let expected = json!({ "id": parked[0], "type": "invoice.paid", "status": "parked",
        "reason": "the customer belongs to no organization yet", "organization_id": null,
        "customer": stranger.customer, "conflicts": 0 });
    assert_eq!(row, expected);

    // Page by page, whatever is received at the same instant.
    let same = "update stripe_events set received_at = now() - interval '26 hours'";
    world.db.batch_execute(same).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    for _ in 0..4 {
        let arguments: Vec<&str> = ["--limit", "1"]
            .into_iter()
            .chain(after.iter().flat_map(|id: &String| ["--after", id.as_str()]))
            .collect();
        let (page, talk) = world.listed(&arguments).await;
        assert_eq!((page.len(), talk.contains("--after")), (1, seen.len() < 3), "{talk}");
        assert_eq!(page[0]["age"], "1d 2h");
        let id = ids(&page)[0].to_owned();
        seen.push(id.clone());
        after = Some(id);
    }
    seen.sort();
    let mut every: Vec<String> = ids(&all).into_iter().map(str::to_owned).collect();
    every.sort();
    assert_eq!(seen, every);
    for (wrong, code) in [
        (&["--after", "evt_nobody"][..], 3),
        (&["--retry", "evt_nobody"], 3),
        (&["--discard", "evt_nobody"], 3),
        (&["--retry", "evt_1", "--discard", "evt_1"], 2),
        (&["--status", "lost"], 2),
        (&["--limit", "0"], 2),
        (&["--retry", "evt_1", "--status", "parked"], 2),
    ] {
        let arguments = [&["billing", "stripe-events"], wrong].concat();
        let (shown, talk, found) = world.cli(&arguments).await;
        assert_eq!((found, shown.as_str()), (code, ""), "{wrong:?}: {talk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_customer_became_known_behind_our_back_is_taken_once_more() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let nameless = Subscriber { organization: Uuid::new_v4(), ..of.clone() };
    let told = active((THEN, THEN + 30 * DAY));
    assert_eq!(world.post_stripe(&told.body(&nameless)).await, 200);
    let (paid, body) = invoice("paid", &of.customer);
    assert_eq!(world.post_stripe(&body).await, 200);
    world.counts_parked(2.0).await;
    let ages = "update stripe_events set received_at = now() - interval '5 hours' where id = $1";
    world.db.execute(ages, &[&paid]).await.unwrap();
    until("the oldest has an age", PATIENCE, || async {
        let age = world.gauge("postcall_stripe_events_parked_oldest_seconds").await?;
        (age >= 5.0 * 3600.0).then_some(())
    })
    .await;
    for _ in 0..2 {
        let (talk, code) = world.retried(&told.id).await;
        assert_eq!(code, 5, "{talk}");
        assert!(
            talk.contains("it stays parked: the customer belongs to no organization"),
            "{talk}"
        );
    }
    let sql = "update organizations set stripe_customer_id = $2 where id = $1";
    world.db.execute(sql, &[&of.organization, &of.customer]).await.unwrap();
    let (talk, code) = world.retried(&told.id).await;
    assert_eq!((code, talk.contains("is processed")), (0, true), "{talk}");
    // The other one came along: it waited for the same customer.
    for id in [&told.id, &paid] {
        assert_eq!(world.stripe_event(id).await, Some(("processed".to_owned(), None, 0)));
    }
    let standing = world.standing(&of).await;
    assert_eq!((&standing["event"], &standing["subscription"]), (&json!(told.id), &json!(true)));
    let (talk, code) = world.retried(&told.id).await;
    assert_eq!((code, talk.contains("it does not wait")), (5, true), "{talk}");
    world.counts_parked(0.0).await;
    assert_eq!(world.gauge("postcall_stripe_events_parked_oldest_seconds").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_names_an_organization_which_lost_its_customer_links_it_when_retried() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let wrong = Subscriber { customer: fresh("cus"), subscription: fresh("sub"), ..of.clone() };
    let (first, right) = (active((THEN, THEN + 30 * DAY)), active((THEN, THEN + 30 * DAY)));
    assert_eq!(world.post_stripe(&first.body(&wrong)).await, 200);
    assert_eq!(world.post_stripe(&right.body(&of)).await, 200);
    assert_eq!(world.stripe_event(&right.id).await.unwrap().0, "parked");
    let freed = "update organizations set stripe_customer_id = null where id = $1";
    world.db.execute(freed, &[&of.organization]).await.unwrap();
    assert_eq!(world.retried(&right.id).await.1, 0);
    assert_eq!(world.standing(&of).await["customer"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_read_says_so_and_only_stripe_can_say_it_again() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let told = active((THEN, THEN + 30 * DAY));
    let mut event: Value = serde_json::from_slice(&told.body(&of)).unwrap();
    event["data"]["object"]["customer"] = json!({ "email": "planted@example.com" });
    assert_eq!(world.post_stripe(event.to_string().as_bytes()).await, 200);
    let (waiting, _) = world.listed(&["--status", "parked"]).await;
    let id = ids(&waiting)[0];
    assert!(id.starts_with("unreadable/"), "{id}");
    let reason = waiting[0]["reason"].as_str().unwrap();
    assert!(reason.contains("data.object.customer is missing"), "{reason}");
    assert!(!json!(waiting).to_string().contains("planted"));
    let (talk, code) = world.retried(id).await;
    assert_eq!((code, talk.contains("have Stripe send it again")), (5, true), "{talk}");
    for code in [0, 5] {
        let (_, talk, found) = world.cli(&["billing", "stripe-events", "--discard", id]).await;
        assert_eq!(found, code, "{talk}");
    }
    let (status, why, _) = world.stripe_event(id).await.unwrap();
    assert_eq!((status.as_str(), why), ("ignored", Some(format!("discarded: {reason}"))));
    assert!(world.listed(&["--status", "parked"]).await.0.is_empty());
    let again = Told { id: told.id.clone(), ..told };
    assert_eq!(world.post_stripe(&again.body(&of)).await, 200);
    assert_eq!(world.stripe_event(&again.id).await.unwrap().0, "processed");
}
