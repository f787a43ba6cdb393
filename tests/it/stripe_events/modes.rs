//! Events of the mode that our key does not open, and of accounts that are connected to ours.

use serde_json::{Value, json};

use super::{
    active,
    made::{DAY, SECRET, Subscriber, THEN, fixture, fresh, invoice},
    november,
};
use crate::harness::{Options, World};

/// A world whose key at Stripe is this one.
async fn with_key(key: &str) -> World {
    let environment =
        vec![("STRIPE_WEBHOOK_SECRET", SECRET.to_owned()), ("STRIPE_SECRET_KEY", key.to_owned())];
    World::with(Options { environment, no_worker: true, ..Options::default() }).await
}

/// An event with another field at its top.
fn with(body: &[u8], field: &str, value: Value) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(body).unwrap();
    event[field] = value;
    event.to_string().into_bytes()
}

fn id_of(body: &[u8]) -> String {
    serde_json::from_slice::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned()
}

impl World {
    /// Posts an event that is taken; gives where it stands then, and why.
    async fn taken(&self, body: &[u8]) -> (String, String) {
        assert_eq!(self.post_stripe(body).await, 200);
        let stored = self.stripe_event(&id_of(body)).await.expect("stored");
        (stored.0, stored.1.unwrap_or_default())
    }

    /// Nothing was linked, followed, written down or started.
    async fn is_untouched(&self, of: &Subscriber) {
        let standing = self.standing(of).await;
        assert_eq!((&standing["status"], &standing["customer"]), (&json!(null), &json!(null)));
        let (start, end) = november();
        assert_eq!(standing["open"], json!([[start, end]]));
        assert_eq!(self.billing_history(of.organization).await, []);
        assert_eq!(self.how_many("select count(*) from workflow_starts").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_in_the_other_mode_waits_for_a_person_and_touches_nothing() {
    for (key, theirs, reason) in [
        ("sk_live_1", false, "it is of test mode, and STRIPE_SECRET_KEY is of live mode"),
        ("rk_test_1", true, "it is of live mode, and STRIPE_SECRET_KEY is of test mode"),
    ] {
        let world = with_key(key).await;
        let of = world.subscriber(november()).await;
        let told = active((THEN, THEN + 30 * DAY)).body(&of);
        let strange = with(&told, "livemode", theirs.into());
        let (_, paid) = invoice("paid", &of.customer);
        let paid = with(&paid, "livemode", theirs.into());
        let thin = fixture("v1.billing.meter.error_report_triggered.thin").to_string();
        let thin = with(thin.as_bytes(), "livemode", theirs.into());
        for body in [&strange, &paid, &thin] {
            assert_eq!(world.taken(body).await, ("parked".to_owned(), reason.to_owned()), "{key}");
        }
        world.is_untouched(&of).await;
        // What would have no effect anyway makes nobody look.
        let drawn = json!({ "id": fresh("evt"), "object": "event", "type": "price.created",
            "created": THEN, "livemode": theirs, "data": { "object": { "id": "price_1" } } });
        let drawn = world.taken(drawn.to_string().as_bytes()).await;
        assert_eq!(drawn, ("ignored".to_owned(), reason.to_owned()));

        // The customer becomes known, and what is of the other mode goes on waiting.
        let ours = with(&told, "livemode", (!theirs).into());
        let ours = with(&ours, "id", fresh("evt").into());
        assert_eq!(world.taken(&ours).await.0, "processed", "{key}");
        assert_eq!(world.standing(&of).await["event"], id_of(&ours));
        for body in [&strange, &paid, &thin] {
            assert_eq!(world.stripe_event(&id_of(body)).await.unwrap().0, "parked", "{key}");
            let id = id_of(body);
            let retry = ["billing", "stripe-events", "--retry", id.as_str()];
            let (_, talk, code) = world.cli(&retry).await;
            assert_eq!(code, 5, "{talk}");
            assert!(talk.contains("STRIPE_SECRET_KEY is not known here to be of it"), "{talk}");
        }
        let starts = "select count(*) from workflow_starts where kind = 'meter-error-report'";
        assert_eq!(world.how_many(starts).await, 0, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waits_for_the_right_key_is_taken_with_it() {
    // The key was of live mode while these came; now it is the right one.
    let world = with_key("sk_test_1").await;
    let of = world.subscriber(november()).await;
    let told = with(&active((THEN, THEN + 30 * DAY)).body(&of), "livemode", true.into());
    let thin = fixture("v1.billing.meter.error_report_triggered.thin").to_string();
    let thin = with(thin.as_bytes(), "livemode", true.into());
    for body in [&told, &thin] {
        assert_eq!(world.taken(body).await.0, "parked");
    }
    let mended = "update stripe_events set content = jsonb_set(content, '{livemode}', 'false')";
    assert_eq!(world.db.execute(mended, &[]).await.unwrap(), 2);
    for body in [&told, &thin] {
        let id = id_of(body);
        let retry = ["billing", "stripe-events", "--retry", id.as_str()];
        let (_, talk, code) = world.cli(&retry).await;
        assert_eq!(code, 0, "{talk}");
        assert_eq!(world.stripe_event(&id).await.unwrap().0, "processed");
        let (_, talk, code) = world.cli(&retry).await;
        assert_eq!((code, talk.contains("does not wait: it is processed")), (5, true), "{talk}");
    }
    assert_eq!(world.standing(&of).await["subscription"], true);
    let starts = "select count(*) from workflow_starts where kind = 'meter-error-report'";
    assert_eq!(world.how_many(starts).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_in_a_connected_account_is_ignored() {
    let world = with_key("sk_test_1").await;
    let of = world.subscriber(november()).await;
    let told = active((THEN, THEN + 30 * DAY)).body(&of);
    let (_, paid) = invoice("paid", &of.customer);
    for body in [&told, &paid] {
        let theirs = with(body, "account", "acct_S2n9vK1QTmm45T".into());
        let reason = "it is of a connected account, not of ours".to_owned();
        assert_eq!(world.taken(&theirs).await, ("ignored".to_owned(), reason));
        // Of either mode, as both come to a platform's endpoint; and also where nobody could read it.
        let live = with(&theirs, "livemode", true.into());
        let live = with(&live, "id", fresh("evt").into());
        assert_eq!(world.taken(&live).await.0, "ignored");
    }
    let empty = with(&told, "account", "acct_1".into());
    let empty = with(&with(&empty, "id", fresh("evt").into()), "data", json!({}));
    assert_eq!(world.taken(&empty).await.0, "ignored");
    world.is_untouched(&of).await;
    let sql = "select count(*) from stripe_events where customer is not null";
    assert_eq!(world.how_many(sql).await, 0, "their customers are none of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_both_modes_are_taken() {
    for key in ["", "sk_org_1"] {
        let world = with_key(key).await;
        let of = world.subscriber(november()).await;
        for livemode in [json!(true), json!(false), json!(null)] {
            let told = active((THEN, THEN + 30 * DAY)).body(&of);
            assert_eq!(world.taken(&with(&told, "livemode", livemode)).await.0, "processed");
        }
    }
}
