//! Limits of the API: of keys, organizations and addresses, over all processes, with and without Redis.

mod trouble;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::World;

const CALLS: (Method, &str) = (Method::GET, "/v1/calls?limit=1");

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_limit_over_all_processes_and_is_told_of_it() {
    let world = World::serving(Vec::new()).await;
    let other = world.another_serve().await;
    let body = json!({ "name": "a", "scopes": ["calls:read"], "rate_limit": 20 });
    let (_, key) = world.made_key(&body).await;
    let first = world.ask_at(&world.api_url, Some(&key), CALLS, &[], None).await;
    assert_eq!(first.status, 200);
    let (policy, state) = (first.header("ratelimit-policy"), first.header("ratelimit"));
    assert!(
        policy.contains("\"key\";q=20;w=3600") && policy.contains("\"organization\";q="),
        "{policy}"
    );
    assert!(policy.contains("\"address\";q=") && state.contains("\"key\";r=19;t=36"), "{state}");
    let mut asked = Vec::new();
    for url in [&world.api_url, &other.api_url].into_iter().cycle().take(60) {
        asked.push(world.ask_at(url, Some(&key), CALLS, &[], None).await);
    }
    let (good, limited): (Vec<_>, Vec<_>) = asked.iter().partition(|answer| answer.status == 200);
    // Each process counts alone where Redis is late; trouble.rs looks at that.
    assert!((19..40).contains(&good.len()), "{}", good.len());
    for answer in limited {
        assert_eq!((answer.status, answer.problem()), (429, "rate-limited"));
        let wait: u32 = answer.header("retry-after").parse().unwrap();
        assert!((1..=3660).contains(&wait), "{wait}");
        assert!(answer.header("ratelimit").contains("\"key\";r=0;t="), "{answer:?}");
    }
    let another = world.ask_as(&world.demo.api_key, Method::GET, "/v1/calls", None).await;
    assert_eq!(another.status, 200, "another key goes on");
    let metrics = world.http.get(format!("{}/metrics", world.api_url)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let limited = "postcall_api_rate_limits_total{outcome=\"limited\",by=\"key\"}";
    assert!(
        metrics.contains(limited) || metrics.contains("by=\"key\",outcome=\"limited\""),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_its_limit_over_all_its_keys() {
    let limit = ("POSTCALL_RATE_LIMIT_ORGANIZATION_PER_HOUR", "12".to_owned());
    let world = World::serving(vec![limit]).await;
    let body = json!({ "name": "a", "scopes": ["calls:read"] });
    let ((_, one), (_, two)) = (world.made_key(&body).await, world.made_key(&body).await);
    let keys = [&one, &two].into_iter().cycle().take(30);
    let url = &world.api_url;
    let asked = join_all(keys.map(|key| world.ask_at(url, Some(key), CALLS, &[], None))).await;
    // Two made the keys.
    assert_eq!(asked.iter().filter(|answer| answer.status == 200).count(), 10);
    let refused = asked.iter().find(|answer| answer.status == 429).unwrap();
    assert!(refused.body["detail"].as_str().unwrap().contains("organization"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_limit_at_each_route_before_anything_is_known_of_it() {
    let world = World::serving(vec![
        ("POSTCALL_RATE_LIMIT_ADDRESS_PER_MINUTE", "10".to_owned()),
        ("POSTCALL_TRUSTED_PROXIES", "1".to_owned()),
    ])
    .await;
    // Redis serves other tests, too: an address of its own, and another one that stays quiet.
    let octets = Uuid::new_v4();
    let octets = octets.as_bytes();
    let address = format!("10.{}.{}.{}", octets[0], octets[1], octets[2]);
    let other = format!("10.{}.{}.{}", octets[0], octets[1], octets[2].wrapping_add(1));
    let ask = async |address: &str, path: &str, key: Option<&str>| {
        let headers = [("x-forwarded-for", address)];
        world.ask_at(&world.api_url, key, (Method::GET, path), &headers, None).await
    };
    let ids = (0..30).map(|_| format!("/v1/calls/{}", Uuid::now_v7())).collect::<Vec<_>>();
    let asked = join_all(ids.iter().map(|path| ask(&address, path, None))).await;
    let count = |status| asked.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(401), count(429)), (10, 20));
    let key = Some(world.demo.api_key.as_str());
    let limited = ask(&address, &ids[0], key).await;
    assert_eq!((limited.status, limited.problem()), (429, "rate-limited"), "whoever it is");
    assert_eq!(ask(&address, "/v1/usage/current", key).await.status, 200, "another route");
    assert_eq!(ask(&other, &ids[0], key).await.status, 404, "another address");
    for path in ["/healthz", "/docs", "/openapi.json", "/metrics"] {
        for _ in 0..12 {
            assert_eq!(ask(&address, path, None).await.status, 200, "{path}");
        }
    }
}
