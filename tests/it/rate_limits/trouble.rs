//! Limits while Redis is stopped, empty or slow: no error, and no more than each process may let through.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Options, World, tcp_proxy::TcpProxy, wait::until};

const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: usize = 30;
const FALLBACKS: &str = "postcall_api_rate_limit_fallbacks_total";

impl World {
    /// Asks both processes, `count` times in all; gives how many were let through.
    async fn let_through(&self, urls: [&str; 2], key: &str, count: usize) -> usize {
        let calls = (Method::GET, "/v1/calls?limit=1");
        let urls = urls.into_iter().cycle().take(count);
        let asked = urls.map(|url| self.ask_at(url, Some(key), calls.clone(), &[], None));
        let asked = join_all(asked).await;
        for answer in &asked {
            assert!([200, 429].contains(&answer.status), "{answer:?}");
        }
        asked.iter().filter(|answer| answer.status == 200).count()
    }

    /// Both processes let as much through together as one may. On a machine that has other things to do
    /// Redis may be late for a process, which then counts alone: then it is tried once more.
    async fn redis_counts_for(&self, both: [&str; 2]) {
        until("Redis answers both in time", PATIENCE, || async {
            let key = self.limited_key().await;
            let before = self.fallbacks(both).await;
            let mut through = 0;
            for _ in 0..2 * LIMIT {
                through += self.let_through(both, &key, 1).await;
                through += self.let_through([both[1], both[0]], &key, 1).await;
            }
            assert!(through <= 2 * LIMIT, "{through}");
            let in_time = self.fallbacks(both).await == before;
            assert!(!in_time || through == LIMIT, "{through}");
            in_time.then_some(())
        })
        .await;
    }

    /// How often each process counted alone, by its metrics.
    async fn fallbacks(&self, both: [&str; 2]) -> Vec<String> {
        let mut found = Vec::new();
        for url in both {
            let metrics = self.http.get(format!("{url}/metrics")).send().await.unwrap();
            let text = metrics.text().await.unwrap();
            let line = text.lines().find(|line| line.starts_with(FALLBACKS));
            found.push(line.unwrap_or_default().to_owned());
        }
        found
    }

    async fn limited_key(&self) -> String {
        let body = json!({ "name": "a", "scopes": ["calls:read"], "rate_limit": LIMIT });
        self.made_key(&body).await.1
    }

    /// Waits until Redis is asked again, which shows in its keys.
    async fn redis_counts(&self, urls: [&str; 2]) {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        for url in urls {
            until("Redis counts again", PATIENCE, || async {
                let probe = self.made_key(&json!({ "name": "p", "scopes": ["calls:read"] })).await;
                self.let_through([url, url], &probe.1, 1).await;
                let name = format!("ratelimit:key:{}", probe.0);
                let mut connection = client.get_multiplexed_async_connection().await.ok()?;
                let found: i64 =
                    redis::cmd("EXISTS").arg(name).query_async(&mut connection).await.ok()?;
                (found == 1).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_while_redis_is_stopped_flushed_or_slow() {
    let proxy = TcpProxy::start().await;
    let redis_proxy = Some(proxy.clone());
    let options = Options { own_servers: true, no_worker: true, redis_proxy, ..Options::default() };
    let mut world = World::with(options).await;
    let other = world.another_serve().await;
    let url = world.api_url.clone();
    let (both, one) = ([url.as_str(), other.api_url.as_str()], [url.as_str(), url.as_str()]);

    world.redis_counts_for(both).await;

    // Empty, Redis has forgotten: what each process let through itself it still knows.
    let key = world.limited_key().await;
    assert_eq!(world.let_through(one, &key, 2 * LIMIT).await, LIMIT);
    let client = redis::Client::open(world.redis_url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(world.let_through(one, &key, LIMIT).await, 0, "not once more");
    assert!(world.let_through(both, &key, 4 * LIMIT).await <= LIMIT, "the other one its own");

    // Stopped: each process by itself.
    let key = world.limited_key().await;
    world.servers.as_mut().unwrap().redis.stop().await;
    assert_eq!(world.let_through(one, &key, 2 * LIMIT).await, LIMIT);
    assert_eq!(world.let_through(both, &key, 4 * LIMIT).await, LIMIT, "the other one its own");
    world.servers.as_mut().unwrap().redis.start().await.unwrap();
    world.redis_counts(both).await;
    assert_eq!(world.let_through(both, &key, LIMIT).await, 0, "none gets more by the start");
    world.redis_counts_for(both).await;

    // Slow: as if it were stopped, and nobody waits for it each time.
    let key = world.limited_key().await;
    proxy.delay(Duration::from_secs(2));
    assert_eq!(world.let_through(one, &key, 2 * LIMIT).await, LIMIT);
    until("an answer came late", PATIENCE, || async { (proxy.delayed() > 0).then_some(()) }).await;
    proxy.delay(Duration::ZERO);
    world.redis_counts(both).await;
    world.redis_counts_for(both).await;
    assert!(world.fallbacks(both).await.iter().all(|line| !line.is_empty()), "each was alone");
}
