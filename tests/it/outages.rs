//! Temporal or Redis stopped while webhooks arrive, and Temporal's data deleted in between.

use std::time::Duration;

use postcall::dev::fakes::Kind;

use crate::harness::{Options, World, audit::Counts, calls::fresh_id, calls::report_of};

const WEBHOOKS: usize = 50;

async fn post_many(world: &World) -> Vec<String> {
    let ids: Vec<String> = (0..WEBHOOKS).map(|_| fresh_id()).collect();
    let posts = ids.iter().map(|id| world.post(report_of(id)));
    let answers = futures::future::join_all(posts).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    ids
}

async fn all_once(world: &World, ids: &[String]) {
    for id in ids {
        world.closed(id).await;
    }
    for id in ids {
        assert_eq!(world.counts(id).await, Counts::once(3), "{id}");
    }
    assert_eq!(world.accepted(Kind::Sms), ids.len() as u64);
    assert_eq!(world.accepted(Kind::Email), ids.len() as u64);
    world.redis_equals_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporal_stopped_while_webhooks_arrive_and_then_its_data_deleted() {
    let mut world = World::with(Options { own_servers: true, ..Options::default() }).await;
    world.servers.as_mut().unwrap().temporal.stop().await;
    let while_stopped = post_many(&world).await;
    world.servers.as_mut().unwrap().temporal.start().await.unwrap();
    all_once(&world, &while_stopped).await;

    let temporal = &mut world.servers.as_mut().unwrap().temporal;
    temporal.stop().await;
    let mut ids = while_stopped;
    ids.extend(post_many(&world).await);
    let temporal = &mut world.servers.as_mut().unwrap().temporal;
    temporal.wipe().await.unwrap();
    temporal.start().await.unwrap();
    all_once(&world, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporal_loses_its_data_in_the_middle_of_calls() {
    let mut world = World::with(Options { own_servers: true, ..Options::default() }).await;
    let ids = post_many(&world).await;
    tokio::time::timeout(Duration::from_secs(30), async {
        // Some are done, some are in the middle, some were never started.
        while world.accepted(Kind::Recording) < 5 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("calls are being processed");
    let temporal = &mut world.servers.as_mut().unwrap().temporal;
    temporal.kill().await;
    temporal.wipe().await.unwrap();
    temporal.start().await.unwrap();
    all_once(&world, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_stopped_while_webhooks_arrive() {
    let mut world = World::with(Options { own_servers: true, ..Options::default() }).await;
    world.servers.as_mut().unwrap().redis.stop().await;
    let ids = post_many(&world).await;
    for id in &ids {
        world.closed(id).await;
    }
    let (status, _) = world.get("/v1/calls").await;
    assert_eq!(status, 200, "slower at worst");
    world.servers.as_mut().unwrap().redis.start().await.unwrap();
    all_once(&world, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_harm_nobody_else() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let hang_up = async |seed: u64| {
        for number in 0..150_u64 {
            let request = world.http.get(format!("{}/v1/calls", world.api_url));
            let request = request.bearer_auth(&world.demo.api_key).header("connection", "close");
            // At every point of a request: it takes some milliseconds.
            let patience = Duration::from_micros((number * 7 + seed * 3) % 20 * 500);
            drop(tokio::time::timeout(patience, request.send()).await);
        }
    };
    let look = async || {
        for _ in 0..150 {
            for path in ["/readyz", "/v1/calls?limit=1", "/v1/api-keys"] {
                let request = world.http.get(format!("{}{path}", world.api_url));
                let answer = request.bearer_auth(&world.demo.api_key).send().await.unwrap();
                assert_eq!(answer.status(), 200, "{path}: {}", answer.text().await.unwrap());
            }
        }
    };
    tokio::join!(hang_up(0), hang_up(1), hang_up(2), look());
    let log = world.log("serve");
    for word in ["already a transaction", "transaction is aborted", "permission denied"] {
        assert!(!log.contains(word), "{word}");
    }
}
