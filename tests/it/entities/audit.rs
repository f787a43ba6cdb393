//! The audit log as customers read it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::all;
use crate::harness::World;

const PATH: &str = "/v1/audit-log";

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_listed_newest_first_and_found_by_filter() {
    let world = World::quiet().await;
    let other = world.second_organization().await;
    let body = json!({ "name": "One", "provider": "vapi" });
    let made = world.own(Method::POST, "/v1/assistants", Some(&body)).await.with(201);
    let one = format!("/v1/assistants/{}", made["id"].as_str().unwrap());
    world.own(Method::PATCH, &one, Some(&json!({ "name": "Two" }))).await.with(200);
    world.own(Method::DELETE, &one, None).await.with(204);
    world.api(&other.api_key, Method::POST, "/v1/assistants", Some(&body), None).await.with(201);

    let earlier = "update audit_log set created_at = created_at - interval '1 hour'
                   where action = 'assistants.create'";
    world.db.execute(earlier, &[]).await.unwrap();
    let actions = all(&world, PATH, "action").await;
    assert_eq!(actions, ["assistants.delete", "assistants.update", "assistants.create"]);
    let page = world.own(Method::GET, PATH, None).await.with(200);
    let (actor, target) = (&page["data"][0]["actor"], &page["data"][0]["target"]);
    assert!(actor.as_str().unwrap().starts_with("api_key:"), "{page}");
    assert_eq!(target, &json!(format!("assistants:{}", made["id"].as_str().unwrap())));
    let update = &page["data"][1];
    assert_eq!(
        (&update["before"]["name"], &update["after"]["name"]),
        (&json!("One"), &json!("Two"))
    );
    assert_eq!((&update["ip"], &page["data"][0]["after"]), (&json!("127.0.0.1"), &Value::Null));
    let (actor, target) = (actor.as_str().unwrap(), target.as_str().unwrap());
    let at = update["created_at"].as_str().unwrap();
    for (query, expected) in [
        (format!("actor={actor}"), 3),
        ("actor=command-line".to_owned(), 0),
        ("action=assistants.update".to_owned(), 1),
        (format!("target={target}&action=assistants.create&actor={actor}"), 1),
        ("from=2000-01-01T00:00:00Z".to_owned(), 3),
        ("to=2000-01-01T00:00:00Z".to_owned(), 0),
        (format!("from={at}"), 2),
    ] {
        let found = all(&world, &format!("{PATH}?{query}"), "id").await;
        assert_eq!(found.len(), expected, "{query}: {page}");
        assert_eq!(found.iter().map(Value::to_string).collect::<BTreeSet<_>>().len(), expected);
    }
    for query in [
        "limit=0",
        "limit=251",
        "actor=",
        "action=a%00",
        "from=x",
        "page=2",
        "from=2001-01-01T00:00:00Z&to=2000-01-01T00:00:00Z",
    ] {
        world.own(Method::GET, &format!("{PATH}?{query}"), None).await.with(400);
    }
    world.are_guarded(&[(Method::GET, PATH, "audit-log:read")], "nothing").await;

    let arguments =
        ["audit", "list", "--action", "assistants.update", "--target", target, "-o", "json"];
    let (shown, talk, code) = world.cli(&arguments).await;
    assert_eq!(code, 0, "{talk}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), json!([update]));
}

/// A long log: as many actions as there are, one of them rare.
const LONG: &str = "
    insert into audit_log (id, organization_id, actor, action, target, created_at)
    select gen_random_uuid(), o.id, 'api_key:' || (i % 5), 'action.' || (i % 7), 'thing:' || (i % 999),
        now() - i * interval '1 minute'
    from organizations o, generate_series(1, 40000) i;
    analyze audit_log";

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_of_a_long_log_is_served_by_an_index() {
    let world = World::quiet().await;
    world.db.batch_execute(LONG).await.unwrap();
    let own = world.organization();
    for (filter, index) in [
        ("null, null, null", "audit_log_organization"),
        ("'nobody', null, null", "audit_log_actor"),
        ("null, 'action.none', null", "audit_log_action"),
        ("null, null, 'thing:7'", "audit_log_target"),
    ] {
        let begin = format!(
            "begin; set local role postcall_api; set local plan_cache_mode = force_custom_plan;
             set local app.organization_id = '{own}';
             prepare asked (uuid, timestamptz, timestamptz, uuid, text, text, text, bigint) as {}",
            statement()
        );
        world.db.batch_execute(&begin).await.unwrap();
        let nobody = uuid::Uuid::nil();
        let explain = format!(
            "explain execute asked ('{own}', '-infinity', now() + interval '1 day', '{nobody}',
                 {filter}, 51)"
        );
        let rows = world.db.query(&explain, &[]).await.unwrap();
        let plan: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        let is_served = plan.contains(&format!(" {index} ")) && !plan.contains("Seq Scan");
        assert!(is_served, "{filter}:\n{plan}");
        world.db.batch_execute("rollback; deallocate asked").await.unwrap();
    }
}

/// The very statement of the store.
fn statement() -> &'static str {
    let source = include_str!("../../../store/src/audit/read.rs");
    let (_, rest) = source.split_once("r#\"").expect("a raw statement");
    rest.split_once("\"#").expect("its end").0
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_is_trusted_the_address_is_the_clients() {
    let world = World::serving(vec![("POSTCALL_TRUSTED_PROXIES", "1".to_owned())]).await;
    let body = json!({"name": "A", "provider": "vapi"});
    let forwarded = [("x-forwarded-for", "198.51.100.1, 203.0.113.9")];
    let key = Some(world.demo.api_key.as_str());
    let asked = (Method::POST, "/v1/assistants");
    world.ask_at(&world.api_url, key, asked, &forwarded, Some(&body)).await.with(201);
    let log = world.own(Method::GET, &format!("{PATH}?action=assistants.create"), None).await;
    assert_eq!(log.with(200)["data"][0]["ip"], "203.0.113.9");
}
