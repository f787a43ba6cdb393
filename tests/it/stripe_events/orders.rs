//! Events of a subscription in every order: Stripe promises none.

use serde_json::json;

use super::made::{DAY, Subscriber, THEN, Told, fresh, options};
use crate::harness::{
    World,
    permuted::{Choices, orders},
};

const PARKED: &str = "select count(*) from stripe_events where status = 'parked'";

/// A subscription's life: tried, paid, renewed, ended. The first two happen in the same second, and
/// the greater id is the older event's.
fn life() -> Vec<Told> {
    let month = (THEN, THEN + 30 * DAY);
    let next = (THEN + 30 * DAY, THEN + 61 * DAY);
    let told = |id: &str, name, created, status, period| Told {
        id: fresh(id),
        name,
        created,
        status,
        period,
        anchor: THEN,
        is_old_shape: created == THEN,
    };
    vec![
        told("evt_z", "created", THEN, "incomplete", month),
        told("evt_b", "updated", THEN, "active", month),
        told("evt_c", "updated", THEN + 30 * DAY, "active", next),
        told("evt_d", "deleted", THEN + 40 * DAY, "canceled", next),
    ]
}

/// Whether it tells of a subscription that is under way.
fn is_live(told: &Told) -> bool {
    !["incomplete", "incomplete_expired", "canceled"].contains(&told.status)
}

/// How an organization stands of which Stripe told nothing.
fn nobody() -> serde_json::Value {
    json!({
        "status": null, "period": [null, null], "event": "", "customer": null,
        "subscription": null, "current": [null, null], "anchor_day": 1,
        "open": [[THEN - 19 * DAY, THEN + 11 * DAY]], "starts": 0,
    })
}

impl World {
    /// Tells a new organization's subscription in this order; gives how it stands then.
    async fn tell(&self, events: &[Told], order: &[usize]) -> (Subscriber, serde_json::Value) {
        // New York's November.
        let of = self.subscriber((THEN - 19 * DAY, THEN + 11 * DAY)).await;
        // Each organization has events of its own.
        let own = |told: &Told| Told { id: format!("{}_{}", told.id, of.customer), ..told.clone() };
        let bodies: Vec<_> = events.iter().map(|told| own(told).body(&of)).collect();
        for place in order {
            assert_eq!(self.post_stripe(&bodies[*place]).await, 200);
        }
        let mut standing = self.standing(&of).await;
        let event = standing["event"].as_str().unwrap_or_default().replace(&of.customer, "");
        standing["event"] = json!(event);
        (of, standing)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_a_subscriptions_events_ends_the_same() {
    let world = World::with(options()).await;
    let life = life();
    let mut choices = Choices(20);
    let (mut wholes, mut parts) = (0, 0);
    for order in orders(life.len()) {
        let (of, standing) = world.tell(&life, &choices.with_repetitions(&order)).await;
        let linked = world.billing_history(of.organization).await;
        let linked = linked.iter().filter(|(event, _)| event == "customer.linked").count();
        let waits = world.how_many(PARKED).await;
        if !order.iter().any(|place| is_live(&life[*place])) {
            // Nothing says that it was ever paid for: whose the customer is, is not known.
            assert_eq!(standing, nobody(), "{order:?}");
            let told = i64::try_from(order.len()).unwrap();
            assert_eq!((linked, waits), (0, told), "{order:?}");
            world
                .db
                .execute("delete from stripe_events where status = 'parked'", &[])
                .await
                .unwrap();
            parts += 1;
            continue;
        }
        assert_eq!((linked, waits), (1, 0), "{order:?}");
        let newest = order.iter().max().copied().unwrap_or_default();
        let told = &life[newest];
        assert_eq!(standing["event"], format!("{}_", told.id), "{order:?}");
        assert_eq!(standing["status"], told.status, "{order:?}");
        assert_eq!(standing["period"], json!([told.period.0, told.period.1]), "{order:?}");
        assert_eq!(standing["customer"], true, "{order:?}");
        let is_active = told.status == "active";
        assert_eq!(standing["subscription"] == true, is_active, "{order:?}");
        let current = if is_active { standing["period"].clone() } else { json!([null, null]) };
        assert_eq!(standing["current"], current, "{order:?}");
        assert_eq!(standing["anchor_day"], 20, "{order:?}");
        let open = &standing["open"][0];
        assert_eq!(open[0], THEN - 19 * DAY, "{order:?}: usage keeps its period");
        let ends_at = match newest {
            1 => THEN,
            // Midnight in New York of the anchor's day: the hour of the period before is gone.
            _ => THEN - 10 * 3600,
        };
        assert_eq!(open[1], ends_at, "{order:?}");
        if order.len() == life.len() { wholes += 1 } else { parts += 1 }
    }
    assert_eq!((wholes, parts), (24, 40));
    let repeated =
        "select count(*) from stripe_events where conflicts > 0 or status <> 'processed'";
    assert_eq!(world.how_many(repeated).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_on_that_bills_no_usage_leaves_the_periods_alone() {
    let world = World::with(options()).await;
    let life = life();
    let (of, _) = world.tell(&life[..2], &[0, 1]).await;
    let before = world.standing(&of).await;
    assert_eq!(before["subscription"], true);
    let add_on = Subscriber { subscription: fresh("sub"), ..of.clone() };
    let yearly = Told {
        id: fresh("evt"),
        name: "created",
        created: THEN + DAY,
        status: "active",
        period: (THEN + DAY, THEN + 366 * DAY),
        anchor: THEN + DAY,
        is_old_shape: false,
    };
    let mut body: serde_json::Value = serde_json::from_slice(&yearly.body(&add_on)).unwrap();
    let price = &mut body["data"]["object"]["items"]["data"][0]["price"];
    price["recurring"] = json!({ "interval": "year", "usage_type": "licensed" });
    assert_eq!(world.post_stripe(body.to_string().as_bytes()).await, 200);
    assert_eq!(world.standing(&of).await, before);
    let sql = "select count(*) from stripe_subscriptions where not is_metered";
    assert_eq!(world.how_many(sql).await, 1, "it is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_at_once_end_the_same() {
    let world = World::with(options()).await;
    let life = life();
    for _ in 0..20 {
        let of = world.subscriber((THEN - 19 * DAY, THEN + 11 * DAY)).await;
        let own = |told: &Told| Told { id: fresh("evt"), ..told.clone() };
        let own: Vec<Told> = life.iter().map(own).collect();
        let bodies: Vec<_> = own.iter().map(|told| told.body(&of)).collect();
        // Each of them twice.
        let posts = bodies.iter().chain(&bodies).map(|body| world.post_stripe(body));
        let statuses = futures::future::join_all(posts).await;
        assert_eq!(statuses, [200; 8]);
        let standing = world.standing(&of).await;
        assert_eq!(standing["event"], own[3].id);
        assert_eq!(standing["status"], "canceled");
        assert_eq!(standing["current"], json!([null, null]));
        assert_eq!(standing["open"], json!([[THEN - 19 * DAY, THEN - 10 * 3600]]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_events_of_the_same_seconds_end_the_same_in_every_order() {
    let world = World::with(options()).await;
    // No subscription ever goes back to the first.
    const STATUSES: [&str; 6] =
        ["incomplete", "active", "past_due", "canceled", "paused", "trialing"];
    for seed in 0..12 {
        let mut choices = Choices(seed);
        let events: Vec<_> = (0..5)
            .map(|_| {
                let mut number = |bound| i64::try_from(choices.below(bound)).unwrap();
                let begun = THEN - 40 * DAY + number(80) * DAY;
                // Two seconds for five events: most of them tie.
                let later = number(2);
                let anchor = THEN - number(28) * DAY;
                let is_old_shape = number(2) == 0;
                let first = usize::from(later > 0);
                let status = STATUSES[first + choices.below(STATUSES.len() - first)];
                Told {
                    id: fresh("evt"),
                    name: "updated",
                    created: THEN + later,
                    status,
                    period: (begun, begun + 30 * DAY),
                    anchor,
                    is_old_shape,
                }
            })
            .collect();
        let mut order: Vec<usize> = (0..events.len()).collect();
        let mut first = None;
        for _ in 0..6 {
            let (_, mut standing) = world.tell(&events, &choices.with_repetitions(&order)).await;
            // Whether a close was asked for on the way depends on the way, and is harmless.
            standing["starts"] = json!(null);
            let expected = first.get_or_insert_with(|| standing.clone());
            assert_eq!(&standing, expected, "seed {seed}, order {order:?}: {events:#?}");
            let (a, b) = (choices.below(order.len()), choices.below(order.len()));
            order.swap(a, b);
            order.rotate_left(1);
        }
    }
}

/// A subscription that came to nothing, or to an end, is no reason to follow it: not before there is a
/// live one, nor after.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_subscription_moves_nothing_beside_a_live_one() {
    let world = World::with(options()).await;
    let life = life();
    let alone = world.tell(&life[1..2], &[0]).await.1;
    for status in ["incomplete", "incomplete_expired", "canceled"] {
        // Later in every respect: a later anchor, and a later event.
        let dead = |of: &Subscriber| {
            let other = Subscriber { subscription: fresh("sub"), ..of.clone() };
            let begun = THEN + 2 * DAY;
            let period = (begun, begun + 30 * DAY);
            let told = Told { id: fresh("evt"), status, created: begun, period, ..life[1].clone() };
            Told { anchor: begun, ..told }.body(&other)
        };
        let live = |of: &Subscriber| Told { id: fresh("evt"), ..life[1].clone() }.body(of);
        for dead_first in [true, false] {
            let of = world.subscriber((THEN - 19 * DAY, THEN + 11 * DAY)).await;
            let mut bodies = [dead(&of), live(&of)];
            if !dead_first {
                bodies.reverse();
            }
            for body in &bodies {
                assert_eq!(world.post_stripe(body).await, 200);
            }
            let mut standing = world.standing(&of).await;
            standing["event"] = alone["event"].clone();
            assert_eq!(standing, alone, "{status}, first: {dead_first}");
            assert_eq!(world.how_many(PARKED).await, 0, "{status}, first: {dead_first}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_subscription_makes_nobody_its_customer() {
    let world = World::with(options()).await;
    for (waiting, status) in (1..).zip(["incomplete", "incomplete_expired", "canceled"]) {
        let of = world.subscriber((THEN - 19 * DAY, THEN + 11 * DAY)).await;
        // Somebody tried to subscribe and did not; later the organization does, as another customer.
        let tried = Subscriber { customer: fresh("cus"), subscription: fresh("sub"), ..of.clone() };
        let told = life()[1].clone();
        let dead = Told { id: fresh("evt"), status, ..told.clone() };
        assert_eq!(world.post_stripe(&dead.body(&tried)).await, 200);
        let mut standing = world.standing(&of).await;
        standing["event"] = json!("");
        assert_eq!(standing, nobody(), "{status}");
        let (stands, reason, _) = world.stripe_event(&dead.id).await.expect("stored");
        assert_eq!(stands, "parked", "{status}");
        assert!(reason.is_some_and(|reason| reason.contains("no organization yet")), "{status}");

        let live = Told { id: fresh("evt"), ..told };
        assert_eq!(world.post_stripe(&live.body(&of)).await, 200);
        assert_eq!(world.standing(&of).await["customer"], true, "{status}");
        assert_eq!(world.standing(&of).await["subscription"], true, "{status}");
        assert_eq!(world.how_many(PARKED).await, waiting, "{status}");
    }
}
