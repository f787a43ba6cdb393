//! What Redis keeps of rows: under which names, for how long, and never longer than it is true.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Options, World, calls::PATIENCE, tcp_proxy::TcpProxy, wait::until};

impl World {
    async fn own_redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    async fn look(&self, path: &str) -> (u16, Value) {
        let answer = self.api(&self.demo.api_key, Method::GET, path, None, None).await;
        (answer.status, answer.body)
    }

    async fn do_it(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.api(&self.demo.api_key, method, path, Some(&body), None).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
        answer.body
    }

    /// The row is kept under this name for so many seconds at most. A busy machine may miss the time in
    /// which Redis has to answer: then it is asked for once more.
    async fn is_kept(&self, path: &str, name: &str, seconds: i64) {
        let mut redis = self.own_redis().await;
        until("the row is kept", PATIENCE, || async {
            assert_eq!(self.look(path).await.0, 200, "{path}");
            let mut redis = redis.clone();
            let left: i64 = redis::cmd("TTL").arg(name).query_async(&mut redis).await.unwrap();
            assert!(left <= seconds, "{name}: {left}");
            (left > seconds - 30).then_some(())
        })
        .await;
        let kept: String = redis::cmd("GET").arg(name).query_async(&mut redis).await.unwrap();
        assert!(kept.starts_with("1:"), "{name}: {kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_kept_under_its_name_and_forgotten_when_it_is_written() {
    let world = World::quiet().await;
    let organization = &world.demo.organization_id;
    let made =
        world.do_it(Method::POST, "/v1/assistants", json!({"name": "A", "provider": "vapi"}));
    let made = made.await;
    let assistant = made["id"].as_str().unwrap();
    let user = Uuid::now_v7().to_string();
    let member = json!({"user_id": user, "email": "a@example.com", "role": "member"});
    world.do_it(Method::POST, "/v1/members", member).await;

    let path = format!("/v1/assistants/{assistant}");
    world.is_kept(&path, &format!("assistant:{assistant}"), 300).await;
    world.do_it(Method::PATCH, &path, json!({"name": "B"})).await;
    assert_eq!(world.look(&path).await.1["name"], "B");
    world.do_it(Method::DELETE, &path, Value::Null).await;
    assert_eq!(world.look(&path).await.0, 404);

    let path = format!("/v1/users/{user}");
    world.is_kept(&path, &format!("user:{user}"), 600).await;
    world.do_it(Method::PATCH, &path, json!({"name": "Ada"})).await;
    assert_eq!(world.look(&path).await.1["name"], "Ada");
    world.do_it(Method::DELETE, &format!("/v1/members/{user}"), Value::Null).await;
    assert_eq!(world.look(&path).await.0, 404, "no member any more");

    let number = json!({"number": "+14155550142", "provider": "twilio"});
    world.do_it(Method::POST, "/v1/phone-numbers", number).await;
    world.is_kept("/v1/phone-numbers", &format!("org:{organization}:phone_numbers"), 300).await;
    let number = json!({"number": "+14155550143", "provider": "twilio"});
    let made = world.do_it(Method::POST, "/v1/phone-numbers", number).await;
    assert_eq!(world.look("/v1/phone-numbers").await.1["data"][0]["id"], made["id"]);
    let one = format!("/v1/phone-numbers/{}", made["id"].as_str().unwrap());
    world.do_it(Method::DELETE, &one, Value::Null).await;
    assert_eq!(world.look("/v1/phone-numbers").await.1["data"].as_array().unwrap().len(), 1);

    // That there is none is kept, too; an operator's changes show at once.
    let path = "/v1/templates/new-one";
    assert_eq!(world.look(path).await.0, 404);
    std::fs::write(world.folder.join("configuration.json"), "{}").unwrap();
    let create = ["template", "create", "new-one", "--name", "New", "--configuration-file"];
    let (_, talk, code) = world.cli(&[&create[..], &["configuration.json"]].concat()).await;
    assert_eq!(code, 0, "{talk}");
    world.is_kept(path, "template:new-one", 3600).await;
    let (_, talk, code) = world.cli(&["template", "update", "new-one", "--name", "Newer"]).await;
    assert_eq!((code, &world.look(path).await.1["name"]), (0, &json!("Newer")), "{talk}");
    let (_, talk, code) = world.cli(&["template", "delete", "new-one", "--yes"]).await;
    assert_eq!((code, world.look(path).await.0), (0, 404), "{talk}");
    assert_eq!(world.look("/v1/dashboard").await.0, 200);
    let (_, talk, code) = world.cli(&["org", "update", organization, "--name", "Renamed"]).await;
    let (_, dashboard) = world.look("/v1/dashboard").await;
    assert_eq!((code, &dashboard["organization"]["name"]), (0, &json!("Renamed")), "{talk}");
}

/// Writes and reads what was written, whatever becomes of Redis, until told to stop.
async fn reads_its_own_writes(world: &World, until: std::time::Instant) -> usize {
    let key = &world.demo.api_key;
    let made = json!({"name": "0", "provider": "vapi"});
    let made = world.do_it(Method::POST, "/v1/assistants", made).await;
    let path = format!("/v1/assistants/{}", made["id"].as_str().unwrap());
    let mut rounds = 0;
    while std::time::Instant::now() < until {
        let name = format!("round {rounds}");
        for path in [path.as_str(), "/v1/organization"] {
            let body = json!({ "name": name });
            let answer = world.api(key, Method::PATCH, path, Some(&body), None).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
        assert_eq!(world.look(&path).await, (200, world.look(&path).await.1));
        assert_eq!(world.look(&path).await.1["name"], name.as_str());
        let (status, dashboard) = world.look("/v1/dashboard").await;
        assert_eq!(status, 200, "{dashboard}");
        assert_eq!(dashboard["organization"]["name"], name.as_str(), "stale");
        let shown = dashboard["assistants"].as_array().unwrap();
        assert!(shown.iter().any(|one| one["name"] == name.as_str()), "stale: {shown:?}");
        rounds += 1;
    }
    rounds
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_redis_nothing_fails_and_nobody_reads_what_he_has_overwritten() {
    const PHASE: Duration = Duration::from_secs(4);
    let proxy = TcpProxy::start().await;
    let redis_proxy = Some(proxy.clone());
    let options = Options { own_servers: true, no_worker: true, redis_proxy, ..Options::default() };
    let mut world = World::with(options).await;
    let mut servers = world.servers.take().unwrap();
    let end = std::time::Instant::now() + 6 * PHASE;
    let load = async {
        let looks = async {
            let mut looks = 0;
            while std::time::Instant::now() < end {
                for path in ["/v1/dashboard", "/v1/phone-numbers", "/v1/calls", "/v1/templates"] {
                    let (status, body) = world.look(path).await;
                    assert_eq!(status, 200, "{path}: {body}");
                    looks += 1;
                }
            }
            looks
        };
        tokio::join!(reads_its_own_writes(&world, end), looks)
    };
    let trouble = async {
        tokio::time::sleep(PHASE).await;
        servers.redis.stop().await;
        tokio::time::sleep(PHASE).await;
        servers.redis.start().await.unwrap();
        tokio::time::sleep(PHASE).await;
        let client = redis::Client::open(world.redis_url.as_str()).unwrap();
        for _ in 0..4 {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
            tokio::time::sleep(PHASE / 4).await;
        }
        proxy.delay(Duration::from_secs(2));
        tokio::time::sleep(PHASE).await;
        proxy.delay(Duration::ZERO);
    };
    let ((rounds, looks), ()) = tokio::join!(load, trouble);
    assert!(rounds > 30 && looks > 200, "{rounds} {looks}");
    world.servers = Some(servers);
}
