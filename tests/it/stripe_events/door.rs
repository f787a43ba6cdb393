//! The door: who is believed, how much is read, and what is answered when nothing can be kept.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use futures::StreamExt;
use reqwest::header::RETRY_AFTER;
use serde_json::json;

use super::{
    active,
    made::{DAY, OTHER_SECRET, SECRET, THEN, invoice, options},
    november,
};
use crate::harness::{Options, World, wait::until};

/// Longest body, in bytes.
const MIB: usize = 1024 * 1024;
/// What a stranger is told.
const REFUSAL: &str = "the request is not signed by a known secret\n";

#[tokio::test(flavor = "multi_thread")]
async fn only_what_stripe_signed_in_these_minutes_is_believed() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let body = active((THEN, THEN + 30 * DAY)).body(&of);
    let now = Utc::now();
    let seconds = TimeDelta::seconds;
    let url = format!("{}/stripe", world.api_url);
    let signed = providers::stripe::sign(&body, &SECRET.into(), now);
    let mut flipped = body.clone();
    *flipped.last_mut().unwrap() = b' ';
    let post = || world.http.post(&url).body(body.clone());
    let refused = [
        ("another secret", world.post_stripe_at(&body, "whsec_forged", now).await),
        ("no secret", world.post_stripe_at(&body, "", now).await),
        ("301 s ago", world.post_stripe_at(&body, SECRET, now - seconds(301)).await),
        // Time goes by until it arrives.
        ("ahead", world.post_stripe_at(&body, SECRET, now + seconds(306)).await),
        ("no header", post().send().await.unwrap()),
        ("no scheme", post().header("stripe-signature", "x").send().await.unwrap()),
        (
            "two headers",
            post()
                .header("stripe-signature", &signed)
                .header("stripe-signature", &signed)
                .send()
                .await
                .unwrap(),
        ),
        (
            "another body",
            world
                .http
                .post(&url)
                .header("stripe-signature", &signed)
                .body(flipped)
                .send()
                .await
                .unwrap(),
        ),
    ];
    for (what, answer) in refused {
        assert_eq!(answer.status(), 401, "{what}");
        assert_eq!(answer.text().await.unwrap(), REFUSAL, "{what}");
    }
    assert_eq!(world.how_many("select count(*) from stripe_events").await, 0, "nothing is stored");

    for (secret, at) in
        [(OTHER_SECRET, now), (SECRET, now - seconds(280)), (SECRET, now + seconds(280))]
    {
        let body = active((THEN, THEN + 30 * DAY)).body(&of);
        assert_eq!(world.post_stripe_at(&body, secret, at).await.status(), 200);
    }
    let header = format!("{signed},v1={},v0=x", "0".repeat(64));
    let answer = post().header("stripe-signature", header).send().await.unwrap();
    assert_eq!(answer.status(), 200, "one of several signatures is enough");
    assert_eq!(world.how_many("select count(*) from stripe_events").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nobody_is_believed() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let of = world.subscriber(november()).await;
    let body = active((THEN, THEN + 30 * DAY)).body(&of);
    for secret in [SECRET, ""] {
        let answer = world.post_stripe_at(&body, secret, Utc::now()).await;
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.text().await.unwrap(), REFUSAL);
    }
    assert_eq!(world.log("serve").matches("STRIPE_WEBHOOK_SECRET").count(), 1, "said at start-up");
}

#[tokio::test(flavor = "multi_thread")]
async fn forgeries_are_slowed_down_and_stripe_never() {
    let world = World::with(options()).await;
    let forged = futures::stream::iter(0..200)
        .map(|_| world.post_stripe_at(b"{}", "whsec_forged", Utc::now()))
        .buffer_unordered(32)
        .map(|answer| (answer.status().as_u16(), answer.headers().contains_key(RETRY_AFTER)))
        .collect::<Vec<_>>()
        .await;
    let polite = forged.iter().filter(|answer| **answer == (401, false)).count();
    assert!((100..190).contains(&polite), "{polite}");
    assert_eq!(forged.iter().filter(|answer| **answer == (429, true)).count(), 200 - polite);
    assert_eq!(world.post_stripe(&invoice("paid", "cus_unknown").1).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_odd_bodies_are_refused_or_parked() {
    let world = World::with(options()).await;
    let nul = json!({ "id": "evt_\u{0}", "type": "invoice.paid", "created": THEN, "data": {
        "object": { "id": "in_1", "customer": "cus_\u{0}" } } })
    .to_string();
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let spaces = b" ".repeat(MIB);
    let odd: [&[u8]; 6] = [b"", b"{}", b"\xff\xfe", &deep, nul.as_bytes(), &spaces];
    for body in odd {
        let begun = body.iter().take(20).copied().collect::<Vec<_>>();
        for _ in 0..2 {
            assert_eq!(world.post_stripe(body).await, 200, "{begun:?}");
        }
    }
    let parked = "select count(*) from stripe_events \
                  where status = 'parked' and id like 'unreadable/%' and conflicts = 0";
    assert_eq!(world.how_many(parked).await, 6);
    assert_eq!(world.post_stripe(&b" ".repeat(MIB + 1)).await, 413);
    let chunks = (0..=MIB / 0x8000).map(|_| Ok::<_, std::io::Error>(vec![b' '; 0x8000]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let request = world.http.post(format!("{}/stripe", world.api_url)).body(body);
    let answer = request.header("stripe-signature", "t=1,v1=x").send().await.expect("an answer");
    assert_eq!(answer.status(), 413, "its length is not announced");
    assert_eq!(world.how_many("select count(*) from stripe_events").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_down_or_slow_stripe_is_told_to_come_again() {
    let mut world = World::with(Options { own_servers: true, ..options() }).await;
    let of = world.subscriber(november()).await;
    let told = active((THEN, THEN + 30 * DAY));
    let body = told.body(&of);
    let is_refused = async |world: &World| {
        let begun = Instant::now();
        let answer = world.post_stripe_at(&body, SECRET, Utc::now()).await;
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key(RETRY_AFTER));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    };
    let lock = "begin; lock table stripe_events in access exclusive mode";
    world.db.batch_execute(lock).await.expect("a lock");
    is_refused(&world).await;
    world.db.batch_execute("rollback").await.expect("unlocked");
    world.servers.as_mut().expect("own").postgres.kill().await;
    is_refused(&world).await;
    world.servers.as_mut().expect("own").postgres.start().await.expect("it recovers");
    world.reconnect().await;
    until("it is taken", Duration::from_secs(30), || async {
        (world.post_stripe(&body).await == 200).then_some(())
    })
    .await;
    assert_eq!(world.stripe_event(&told.id).await.expect("stored").0, "processed");
    assert_eq!(world.standing(&of).await["status"], "active");
}
