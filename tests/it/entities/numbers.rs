//! Phone numbers: one organization's each, with an assistant of the organization's.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::all;
use crate::harness::World;

const PATH: &str = "/v1/phone-numbers";

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_made_changed_and_deleted_and_belongs_to_one_organization() {
    let world = World::quiet().await;
    let other = world.second_organization().await;
    let assistants = "select id from assistants where organization_id = $1";
    let own: Uuid = world.db.query_one(assistants, &[&world.organization()]).await.unwrap().get(0);
    let theirs: Uuid = other.organization_id.parse().unwrap();
    let theirs: Uuid = world.db.query_one(assistants, &[&theirs]).await.unwrap().get(0);

    let body = json!({ "number": "+14155550123", "provider": "vapi",
        "provider_phone_number_id": "pn_1", "assistant_id": own });
    let made = world.own(Method::POST, PATH, Some(&body)).await;
    assert_eq!(made.etag.as_deref(), Some("\"1\""));
    let made = made.with(201);
    assert_eq!(made["assistant_id"], json!(own));
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.own(Method::GET, &one, None).await.with(200), made);

    let mut bare = body.clone();
    bare["assistant_id"] = Value::Null;
    let post =
        async |body: &Value| world.api(&other.api_key, Method::POST, PATH, Some(body), None).await;
    let taken = post(&bare).await.with(409);
    let ours = world.own(Method::POST, PATH, Some(&bare)).await.with(409);
    assert_eq!(taken["detail"], ours["detail"], "it does not say whose it is");
    bare["provider"] = "twilio".into();
    let at_another = post(&bare).await.with(201);
    let mut foreign = body.clone();
    foreign["number"] = "+14155550124".into();
    foreign["assistant_id"] = json!(theirs);
    let refused = world.own(Method::POST, PATH, Some(&foreign)).await;
    assert_eq!(refused.errors()[0].0, "#/body/assistant_id");
    let refused = world.own(Method::PATCH, &one, Some(&json!({ "assistant_id": theirs }))).await;
    assert_eq!(refused.errors()[0].0, "#/body/assistant_id");

    let change = json!({ "provider_phone_number_id": null });
    assert_eq!(world.patch_if(&one, &change, "\"7\"").await.status, 412);
    let now = world.patch_if(&one, &change, "\"1\"").await.with(200);
    assert_eq!((&now["provider_phone_number_id"], &now["version"]), (&Value::Null, &json!(2)));
    assert_eq!(now["assistant_id"], json!(own));
    world.own(Method::PATCH, &one, Some(&json!({ "number": "+1" }))).await.with(400);

    assert_eq!(all(&world, PATH, "id").await, [made["id"].clone()]);
    let by_number = format!("{PATH}?number=%2B14155550123&assistant_id={own}&provider=vapi");
    assert_eq!(all(&world, &by_number, "id").await, [made["id"].clone()]);
    assert!(all(&world, &format!("{PATH}?assistant_id={theirs}"), "id").await.is_empty());

    // Without its assistant it is nobody's.
    world.own(Method::DELETE, &format!("/v1/assistants/{own}"), None).await.with(204);
    let now = world.own(Method::GET, &one, None).await.with(200);
    assert_eq!((&now["assistant_id"], &now["version"]), (&Value::Null, &json!(3)));
    let gone = json!({ "assistant_id": own });
    let refused = world.own(Method::PATCH, &one, Some(&gone)).await;
    assert_eq!(refused.errors()[0].0, "#/body/assistant_id");

    world.own(Method::DELETE, &one, None).await.with(204);
    world.own(Method::GET, &one, None).await.with(404);
    bare["provider"] = "vapi".into();
    post(&bare).await.with(201);
    let one = format!("{PATH}/{}", at_another["id"].as_str().unwrap());
    world.own(Method::DELETE, &one, None).await.with(404);

    let updates = world.audited("phone_numbers.update").await;
    assert_eq!(updates.len(), 2, "by hand, and with its assistant");
    assert_eq!(updates[1].1["assistant_id"], json!(own));
    assert_eq!(world.audited("phone_numbers.create").await[0].2["number"], "+14155550123");
    assert_eq!(world.audited("phone_numbers.delete").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_numbers_are_refused_and_keys_need_scopes() {
    let world = World::quiet().await;
    let wrong = json!({ "number": "4155550123", "provider": "x", "provider_phone_number_id": "" });
    let answer = world.own(Method::POST, PATH, Some(&wrong)).await;
    let fields: Vec<&str> = answer.errors().iter().map(|(pointer, _)| *pointer).collect();
    let all = ["#/body/number", "#/body/provider", "#/body/provider_phone_number_id"];
    assert_eq!(fields, all, "{}", answer.body);
    for number in ["", "+", "+0123456789", "+1415555012x", "+1 415 555 0123", "+1234567890123456"] {
        let body = json!({ "number": number, "provider": "vapi" });
        let answer = world.own(Method::POST, PATH, Some(&body)).await;
        assert_eq!((answer.status, answer.errors()[0].0), (400, "#/body/number"), "{number}");
    }
    for query in ["limit=0", "limit=251", "number=1", "assistant_id=x", "page=2"] {
        world.own(Method::GET, &format!("{PATH}?{query}"), None).await.with(400);
    }
    let body = json!({ "number": "+14155550123", "provider": "vapi" });
    let made = world.own(Method::POST, PATH, Some(&body)).await.with(201);
    let one = format!("{PATH}/{}", made["id"].as_str().unwrap());
    let routes = [
        (Method::GET, PATH, "phone-numbers:read"),
        (Method::GET, one.as_str(), "phone-numbers:read"),
        (Method::PATCH, one.as_str(), "phone-numbers:write"),
        (Method::DELETE, one.as_str(), "phone-numbers:write"),
    ];
    world.are_guarded(&routes, &one).await;
    assert_eq!(world.own(Method::GET, &one, None).await.with(200), made, "nothing changed");
}
