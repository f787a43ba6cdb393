//! Assistants and the templates that they are made from.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::all;
use crate::harness::World;

const PATH: &str = "/v1/assistants";

#[tokio::test(flavor = "multi_thread")]
async fn an_assistant_is_made_from_a_template_changed_and_deleted() {
    let world = World::quiet().await;
    let template = world.own(Method::GET, "/v1/templates/front-desk", None).await.with(200);
    let body = json!({ "provider": "retell", "provider_assistant_id": "agent_1",
        "template": "front-desk",
        "configuration": { "language": "de", "server": { "api_key": "sesame-1" } } });
    let made = world.own(Method::POST, PATH, Some(&body)).await;
    assert_eq!(made.etag.as_deref(), Some("\"1\""));
    let made = made.with(201);
    assert_eq!((&made["name"], &made["template"]), (&template["name"], &json!("front-desk")));
    let mut expected = template["configuration"].clone();
    expected["language"] = "de".into();
    expected["server"] = json!({ "api_key": "sesame-1" });
    assert_eq!((&made["configuration"], &made["is_active"]), (&expected, &json!(true)));
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.own(Method::GET, &one, None).await.with(200), made);

    let again = world.own(Method::POST, PATH, Some(&body)).await.with(409);
    assert!(again["detail"].as_str().unwrap().contains("provider_assistant_id"), "{again}");
    let mut bare = body.clone();
    bare["provider"] = "vapi".into();
    bare["template"] = Value::Null;
    bare["name"] = "Bare".into();
    let bare = world.own(Method::POST, PATH, Some(&bare)).await.with(201);
    let own = json!({ "language": "de", "server": { "api_key": "sesame-1" } });
    assert_eq!((&bare["configuration"], &bare["template"]), (&own, &Value::Null));

    let change = json!({ "configuration": { "greeting": "Moin" }, "is_active": false });
    assert_eq!(world.patch_if(&one, &change, "\"2\"").await.status, 412);
    let change = || world.patch_if(&one, &change, "\"1\"");
    let at_once = futures::future::join_all((0..10).map(|_| change())).await;
    let won: Vec<_> = at_once.into_iter().filter(|answer| answer.status != 412).collect();
    assert_eq!(won.len(), 1, "one of ten changes wins");
    let now = world.own(Method::GET, &one, None).await.with(200);
    assert_eq!(now["configuration"], json!({ "greeting": "Moin" }), "as a whole");
    assert_eq!((&now["is_active"], &now["version"]), (&json!(false), &json!(2)));
    assert_eq!(now["name"], made["name"]);
    let taken = json!({ "provider_assistant_id": null });
    world.patch_if(&one, &taken, "\"2\"").await.with(200);

    let listed = all(&world, PATH, "id").await;
    assert_eq!(listed.len(), 3, "beside the demo organization's own");
    assert_eq!(listed[0], bare["id"], "newest first");
    let inactive = all(&world, &format!("{PATH}?is_active=false&provider=retell"), "id").await;
    assert_eq!(inactive, [made["id"].clone()]);
    let page = world.own(Method::GET, &format!("{PATH}?limit=1"), None).await.with(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let other = format!("{PATH}?limit=1&provider=vapi&cursor={cursor}");
    let refused = world.own(Method::GET, &other, None).await.with(400);
    assert_eq!(refused["type"], "/docs/problems/invalid-cursor");

    let deleted = world.api(&world.demo.api_key, Method::DELETE, &one, None, Some("\"1\"")).await;
    assert_eq!(deleted.status, 412);
    world.own(Method::DELETE, &one, None).await.with(204);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let body = (method != Method::GET).then(|| json!({}));
        world.own(method, &one, body.as_ref()).await.with(404);
    }
    assert_eq!(all(&world, PATH, "id").await.len(), 2);
    world.own(Method::POST, PATH, Some(&body)).await.with(201);

    let updates = world.audited("assistants.update").await;
    assert_eq!(updates.len(), 2);
    let (target, before, after) = &updates[0];
    assert_eq!(target, &format!("assistants:{}", made["id"].as_str().unwrap()));
    assert_eq!(before["configuration"]["server"]["api_key"], "(left out)");
    assert_eq!(after["configuration"], json!({ "greeting": "Moin" }));
    assert_eq!((&before["version"], &after["version"]), (&json!(1), &json!(2)));
    assert_eq!(world.audited("assistants.create").await.len(), 3);
    let gone = &world.audited("assistants.delete").await[0];
    assert_eq!((&gone.1["version"], &gone.2), (&json!(3), &Value::Null));
    let sql = "select string_agg(a::text, '') from audit_log a";
    let dump: String = world.db.query_one(sql, &[]).await.unwrap().get(0);
    assert!(!dump.contains("sesame") && !world.log("serve").contains("sesame"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_assistants_are_refused_field_by_field_and_keys_need_scopes() {
    let world = World::quiet().await;
    let wrong = json!({ "name": " a", "provider": "ringring", "provider_assistant_id": "",
        "template": "none", "configuration": [] });
    let answer = world.own(Method::POST, PATH, Some(&wrong)).await;
    let fields: Vec<&str> = answer.errors().iter().map(|(pointer, _)| *pointer).collect();
    let all = ["template", "name", "provider", "provider_assistant_id", "configuration"];
    assert_eq!(fields, all.map(|field| format!("#/body/{field}")), "{}", answer.body);
    let deep = (0..30).fold(json!(1), |inner, _| json!({ "a": inner }));
    for (configuration, word) in [
        (deep, "levels"),
        (json!({ "a": "b".repeat(70_000) }), "bytes"),
        (json!({ "a": "\0" }), "NUL"),
        (json!("a"), "object"),
    ] {
        let body = json!({ "name": "a", "provider": "vapi", "configuration": configuration });
        let answer = world.own(Method::POST, PATH, Some(&body)).await;
        assert_eq!(answer.errors()[0].0, "#/body/configuration");
        assert!(answer.errors()[0].1.contains(word), "{}", answer.body);
    }
    let odd = json!({ "provider": "vapi", "template": "a\0" });
    let odd = world.own(Method::POST, PATH, Some(&odd)).await;
    assert_eq!(odd.errors()[0].0, "#/body/template", "{}", odd.body);
    for body in [json!({ "provider": "vapi", "surname": "a" }), json!({ "name": "a" }), json!([])] {
        world.own(Method::POST, PATH, Some(&body)).await.with(400);
    }
    let nameless = world.own(Method::POST, PATH, Some(&json!({ "provider": "vapi" }))).await;
    assert_eq!(nameless.errors()[0].0, "#/body/name");
    for query in ["limit=0", "limit=251", "provider=x", "is_active=maybe", "page=2", "cursor=x"] {
        world.own(Method::GET, &format!("{PATH}?{query}"), None).await.with(400);
    }
    let body = json!({ "name": "a", "provider": "vapi" });
    let made = world.own(Method::POST, PATH, Some(&body)).await.with(201);
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    world.own(Method::PATCH, &one, Some(&json!({ "name": null }))).await.with(400);
    world.own(Method::GET, &format!("{PATH}/x"), None).await.with(400);
    let routes = [
        (Method::GET, PATH, "assistants:read"),
        (Method::GET, one.as_str(), "assistants:read"),
        (Method::PATCH, one.as_str(), "assistants:write"),
        (Method::DELETE, one.as_str(), "assistants:write"),
        (Method::GET, "/v1/templates", "templates:read"),
        (Method::GET, "/v1/templates/front-desk", "templates:read"),
    ];
    world.are_guarded(&routes, &one).await;
    let reader = world.key_with(&["assistants:read"]).await;
    assert_eq!(world.api(&reader, Method::GET, &one, None, None).await.status, 200);
    let refused = world.api(&reader, Method::POST, PATH, Some(&body), None).await.with(403);
    assert!(refused["detail"].as_str().unwrap().contains("assistants:write"));
    assert_eq!(world.own(Method::GET, &one, None).await.with(200), made, "nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn active_templates_are_listed_by_slug_and_found_by_filter() {
    let world = World::quiet().await;
    let slugs = all(&world, "/v1/templates", "slug").await;
    for slug in ["after-hours", "appointments", "driver-check-in", "front-desk", "order-status"] {
        assert!(slugs.contains(&json!(slug)), "{slugs:?}");
    }
    assert!(slugs.len() >= 6 && slugs.is_sorted_by_key(|slug| slug.as_str().map(str::to_owned)));
    let hide = "update templates set is_active = false where slug = 'driver-check-in'";
    world.db.execute(hide, &[]).await.unwrap();
    let logistics = all(&world, "/v1/templates?industry=logistics", "slug").await;
    assert_eq!(logistics, ["identity-verification"]);
    assert!(all(&world, "/v1/templates?industry=logistics&featured=true", "slug").await.is_empty());
    world.own(Method::GET, "/v1/templates/driver-check-in", None).await.with(404);
    for odd in ["none", "Not%20A%20Slug", "a%00b", "%ff"] {
        world.own(Method::GET, &format!("/v1/templates/{odd}"), None).await.with(404);
    }
    let hidden = json!({ "provider": "vapi", "template": "driver-check-in" });
    let refused = world.own(Method::POST, PATH, Some(&hidden)).await;
    assert_eq!(refused.errors()[0].0, "#/body/template");
    world.own(Method::GET, "/v1/templates?featured=perhaps", None).await.with(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_tell_the_assistant_that_was_deleted() {
    let mut world = World::quiet().await;
    world.without_options().await;
    let sql = "select id from assistants where organization_id = $1";
    let row = world.db.query_one(sql, &[&world.organization()]).await.unwrap();
    let assistant: Uuid = row.get(0);
    let endpoint = json!({ "url": "https://example.com/", "events": ["*"],
        "assistant_id": assistant });
    let endpoint = world.own(Method::POST, "/v1/webhooks", Some(&endpoint)).await.with(201);
    world.own(Method::DELETE, &format!("{PATH}/{assistant}"), None).await.with(204);
    let endpoint = format!("/v1/webhooks/{}", endpoint["id"].as_str().unwrap());
    let kept = world.own(Method::GET, &endpoint, None).await.with(200);
    assert_eq!(kept["assistant_id"], json!(assistant), "an endpoint goes on to tell whose it was");
    let gone = json!({ "assistant_id": assistant });
    let refused = world.own(Method::PATCH, &endpoint, Some(&gone)).await;
    assert_eq!(refused.errors()[0].0, "#/body/assistant_id");

    world.start_worker(&[]).await;
    // The example report names this very assistant.
    let id = world.post_call().await;
    world.closed(&id).await;
    let sql = "select assistant_id from calls where id = $1";
    let row = world.db.query_one(sql, &[&world.call_id(&id).0]).await.unwrap();
    assert_eq!(row.get::<_, Option<Uuid>>(0), Some(assistant));
}
