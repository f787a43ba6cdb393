//! Keys made, shown, changed, rotated and revoked.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::World;

const KEYS: &str = "/v1/api-keys";

impl World {
    /// Every value of every table, as text.
    async fn dump(&self) -> String {
        let sql = "select c.relname from pg_class c
                   where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')";
        let mut dump = String::new();
        for table in self.db.query(sql, &[]).await.unwrap() {
            let sql = format!("select to_jsonb(t)::text from {} t", table.get::<_, &str>(0));
            for row in self.db.query(&sql, &[]).await.unwrap() {
                dump.push_str(row.get(0));
                dump.push('\n');
            }
        }
        dump
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_changed_rotated_and_revoked_and_told_once() {
    let world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    let body = json!({ "name": " nightly export ", "scopes": ["api-keys:read", "webhooks:read"],
        "rate_limit": 500, "usage_quota": 10_000, "expires_at": "2100-01-01T00:00:00Z" });
    let made = world.ask_as(&own, Method::POST, KEYS, Some(&body)).await;
    assert_eq!((made.header("etag"), made.header("cache-control")), ("\"1\"", "no-store"));
    let mut made = made.with(201);
    let first = made["key"].as_str().unwrap().to_owned();
    assert!(store::keys::is_well_formed(&first) && first.len() >= 3 + 40, "{}", first.len());
    made.as_object_mut().unwrap().remove("key");
    for (field, value) in [
        ("name", json!("nightly export")),
        ("key_prefix", json!(&first[..10])),
        ("scopes", json!(["api-keys:read", "webhooks:read"])),
        ("enabled", json!(true)),
        ("usage_count", json!(0)),
        ("last_used_at", Value::Null),
        ("version", json!(1)),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("{KEYS}/{id}");
    let shown = world.ask_as(&own, Method::GET, &path, None).await.with(200);
    assert_eq!(shown["usage_by_day"], json!([]));
    let page = world.ask_as(&first, Method::GET, "/v1/api-keys?limit=1", None).await.with(200);
    assert_eq!(page["data"][0], made);
    let next = format!("{KEYS}?limit=250&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = world.ask_as(&own, Method::GET, &next, None).await.with(200);
    assert_eq!(rest["data"][0]["scopes"], json!(["*"]), "the first key has no limits");
    world.ask_as(&own, Method::GET, "/v1/api-keys?limit=251", None).await.with(400);

    let change = json!({ "name": "export", "usage_quota": null });
    let patch = |tag| {
        let (world, path, own, change) = (&world, (Method::PATCH, path.as_str()), &own, &change);
        async move {
            world.ask_at(&world.api_url, Some(own), path, &[("if-match", tag)], Some(change)).await
        }
    };
    patch("\"2\"").await.with(412);
    let now = patch("\"1\"").await.with(200);
    assert_eq!((&now["name"], &now["usage_quota"]), (&json!("export"), &Value::Null));
    assert_eq!(now["rate_limit"], json!(500));

    let rotate = format!("{path}/rotate");
    let rotated = world.ask_as(&own, Method::POST, &rotate, None).await.with(200);
    let second = rotated["key"].as_str().unwrap().to_owned();
    assert!(second != first && rotated["previous_key_ends_at"].is_string(), "{rotated}");
    for key in [&first, &second] {
        world.ask_as(key, Method::GET, KEYS, None).await.with(200);
    }
    let body = json!({ "overlap_seconds": 0 });
    let rotated = world.ask_as(&own, Method::POST, &rotate, Some(&body)).await.with(200);
    let third = rotated["key"].as_str().unwrap().to_owned();
    let refused = world.ask_as(&second, Method::GET, KEYS, None).await;
    assert_eq!((refused.status, refused.problem()), (401, "key-expired"));
    let refused = world.ask_as(&first, Method::GET, KEYS, None).await;
    assert_eq!((refused.status, refused.problem()), (401, "unauthenticated"), "two rotations ago");
    world.ask_as(&third, Method::GET, KEYS, None).await.with(200);

    world.ask_as(&own, Method::DELETE, &path, None).await.with(204);
    assert_eq!(world.ask_as(&third, Method::GET, KEYS, None).await.status, 401);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, rotate),
    ] {
        let body = (method == Method::PATCH).then_some(&change);
        world.ask_as(&own, method, &path, body).await.with(404);
    }

    let sql = "select action, actor, before::text, after::text from audit_log
               where target = $1 order by created_at, id";
    let log = world.db.query(sql, &[&format!("api_keys:{id}")]).await.unwrap();
    let actions: Vec<&str> = log.iter().map(|row| row.get(0)).collect();
    let rotate = "api_keys.rotate";
    let expected = ["api_keys.create", "api_keys.update", rotate, rotate, "api_keys.revoke"];
    assert_eq!(actions, expected);
    assert!(log.iter().all(|row| row.get::<_, &str>(1).starts_with("api_key:")));
    let (dump, text) = (world.dump().await, world.log("serve"));
    for key in [&own, &first, &second, &third] {
        assert!(!dump.contains(&key[10..]), "a table holds a key");
        assert!(!text.contains(&key[10..]), "the log holds a key");
    }
    assert!(dump.contains("nightly export"), "the dump is one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_nobody_gives_what_he_lacks() {
    let world = World::serving(Vec::new()).await;
    let own = world.demo.api_key.clone();
    let body = json!({ "name": "", "scopes": ["calls:write"], "rate_limit": 0, "usage_quota": -1,
        "expires_at": "2000-01-01T00:00:00Z" });
    let refused = world.ask_as(&own, Method::POST, KEYS, Some(&body)).await.with(400);
    let pointers: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["pointer"].as_str())
        .collect();
    let names = ["name", "scopes", "expires_at", "rate_limit", "usage_quota"];
    assert_eq!(pointers, names.map(|name| format!("#/body/{name}")));
    assert!(
        refused.to_string().contains("webhooks:write"),
        "the known scopes are listed: {refused}"
    );
    for body in [json!({}), json!({ "name": "a", "scopes": ["*"], "user_id": null })] {
        world.ask_as(&own, Method::POST, KEYS, Some(&body)).await.with(400);
    }

    let scopes = json!(["api-keys:write", "api-keys:read", "calls:read"]);
    let (_, narrow) = world.made_key(&json!({ "name": "narrow", "scopes": scopes })).await;
    let (id, _) = world.made_key(&json!({ "name": "wide", "scopes": ["*"] })).await;
    let create = |scopes: Value| json!({ "name": "made", "scopes": scopes });
    let as_narrow = async |method, path: &str, body: Value| {
        world.ask_as(&narrow, method, path, Some(&body)).await.status
    };
    let path = format!("{KEYS}/{id}");
    assert_eq!(as_narrow(Method::POST, KEYS, create(json!(["calls:read"]))).await, 201);
    assert_eq!(as_narrow(Method::POST, KEYS, create(json!(["usage:read"]))).await, 403);
    assert_eq!(as_narrow(Method::POST, KEYS, create(json!(["*"]))).await, 403);
    assert_eq!(as_narrow(Method::PATCH, &path, json!({ "scopes": ["*"] })).await, 403);
    // It would be told a key that may do more than it may itself.
    assert_eq!(as_narrow(Method::POST, &format!("{path}/rotate"), json!({})).await, 403);
    let (_, reader) = world.made_key(&create(json!(["api-keys:read"]))).await;
    let refused = world.ask_as(&reader, Method::POST, KEYS, Some(&create(json!(["*"])))).await;
    assert_eq!((refused.status, refused.problem()), (403, "forbidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_expired_narrow_and_used_up_keys_each_have_their_problem() {
    let world = World::serving(Vec::new()).await;
    let calls = async |key: &str| {
        let answer = world.ask_as(key, Method::GET, "/v1/calls", None).await;
        let page = answer.body["type"].as_str().unwrap_or_default().to_owned();
        let documented = world.ask_at(&world.api_url, None, (Method::GET, &page), &[], None).await;
        assert_eq!(documented.status, 200, "{page} is a page");
        (answer.status, answer.problem().to_owned(), answer.header("www-authenticate").to_owned())
    };
    let refused =
        |status, kind: &str, challenge: &str| (status, kind.to_owned(), challenge.to_owned());
    let all = json!({ "name": "a", "scopes": ["calls:read"] });
    let (id, disabled) = world.made_key(&all).await;
    world
        .db
        .execute(&format!("update api_keys set enabled = false where id = '{id}'"), &[])
        .await
        .unwrap();
    let (id, expired) = world.made_key(&all).await;
    let sql = format!("update api_keys set expires_at = now() - interval '1 s' where id = '{id}'");
    world.db.execute(&sql, &[]).await.unwrap();
    let (_, narrow) = world.made_key(&json!({ "name": "a", "scopes": ["usage:read"] })).await;
    let (_, used_up) =
        world.made_key(&json!({ "name": "a", "scopes": ["calls:read"], "usage_quota": 0 })).await;
    assert_eq!(calls(&disabled).await, refused(401, "key-disabled", "Bearer"));
    assert_eq!(calls(&expired).await, refused(401, "key-expired", "Bearer"));
    assert_eq!(calls(&narrow).await, refused(403, "forbidden", ""));
    assert_eq!(calls(&used_up).await, refused(402, "quota-exceeded", ""));
    let mistyped = format!("{}0", &used_up[..used_up.len() - 1]);
    let unknown = store::keys::generate().unwrap();
    let unknown = secrecy::ExposeSecret::expose_secret(&unknown);
    for key in [mistyped.as_str(), unknown, "vx_", "nonsense"] {
        assert_eq!(calls(key).await, refused(401, "unauthenticated", "Bearer"), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_managed_from_the_command_line() {
    let world = World::serving(Vec::new()).await;
    let run = async |arguments: &[&str]| {
        let (text, error, code) = world.cli(arguments).await;
        assert!(code == 0, "{arguments:?}: {error}");
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    let created =
        ["key", "create", "robot", "--scope", "calls:read", "--rate-limit", "9", "-o", "json"];
    let made = run(&created).await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    world.ask_as(key, Method::GET, "/v1/calls", None).await.with(200);
    assert_eq!(run(&["key", "show", id, "-o", "json"]).await["rate_limit"], json!(9));
    let now = run(&["key", "update", id, "--clear", "rate-limit", "--disable", "-o", "json"]).await;
    assert_eq!((&now["rate_limit"], &now["enabled"]), (&Value::Null, &json!(false)));
    let listed = run(&["key", "list", "-o", "json"]).await;
    assert!(listed.to_string().contains(id) && !listed.to_string().contains(&key[10..]));
    let rotated = run(&["key", "rotate", id, "--overlap-seconds", "0", "-o", "json"]).await;
    assert_ne!(rotated["key"].as_str().unwrap(), key);
    assert_eq!(world.cli(&["key", "revoke", id]).await.2, 2, "--yes is needed");
    run(&["key", "revoke", id, "--yes"]).await;
    assert_eq!(world.cli(&["key", "show", id]).await.2, 3);
    assert_eq!(world.cli(&["key", "create", "x", "--scope", "nope"]).await.2, 2);
}
