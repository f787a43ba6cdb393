//! Members, and the users that they are.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::all;
use crate::harness::World;

const PATH: &str = "/v1/members";

impl World {
    async fn add(&self, key: &str, user: Uuid, name: &str, role: &str) -> (u16, Value) {
        let body = json!({ "user_id": user, "email": format!("{name}@example.com"),
            "name": name, "role": role });
        let answer = self.api(key, Method::POST, PATH, Some(&body), None).await;
        (answer.status, answer.body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_and_nobody_changes_what_others_wrote_of_a_user() {
    let world = World::quiet().await;
    let other = world.second_organization().await;
    let (ada, bob) = (Uuid::now_v7(), Uuid::now_v7());
    let own = world.demo.api_key.as_str();
    let (status, member) = world.add(own, ada, "ada", "owner").await;
    assert_eq!(
        (status, &member["email"], &member["name"]),
        (201, &json!("ada@example.com"), &json!("ada"))
    );
    assert_eq!(world.add(own, ada, "ada", "member").await.0, 409, "a member already");
    assert_eq!(world.add(own, bob, "bob", "member").await.0, 201);
    assert_eq!(all(&world, PATH, "user_id").await, [json!(bob), json!(ada)]);

    // The other organization knows whom it adds, or it does not add.
    let (status, refused) = world.add(&other.api_key, ada, "eve", "owner").await;
    assert_eq!(status, 409);
    assert!(!refused.to_string().contains("ada@"), "{refused}");
    let one = format!("/v1/users/{ada}");
    let theirs = async |method: Method, body: Option<Value>| {
        world.api(&other.api_key, method, &one, body.as_ref(), None).await
    };
    theirs(Method::GET, None).await.with(404);
    let body =
        json!({ "user_id": ada, "email": "ADA@example.com", "name": "Eve", "role": "admin" });
    let added = world.api(&other.api_key, Method::POST, PATH, Some(&body), None).await.with(201);
    assert_eq!((&added["name"], &added["email"]), (&json!("ada"), &json!("ada@example.com")));
    let seen = theirs(Method::GET, None).await.with(200);
    assert_eq!((&seen["is_ours"], &seen["name"]), (&json!(false), &json!("ada")));
    theirs(Method::PATCH, Some(json!({ "name": "Eve" }))).await.with(409);
    let change = json!({ "name": "Ada L.", "email": "lovelace@example.com" });
    let now = world.own(Method::PATCH, &one, Some(&change)).await.with(200);
    assert_eq!((&now["name"], &now["is_ours"]), (&json!("Ada L."), &json!(true)));
    assert_eq!(theirs(Method::GET, None).await.with(200)["name"], "Ada L.");

    let member = format!("{PATH}/{bob}");
    let now = world.own(Method::PATCH, &member, Some(&json!({ "role": "admin" }))).await.with(200);
    assert_eq!((&now["role"], &now["email"]), (&json!("admin"), &json!("bob@example.com")));
    world.own(Method::DELETE, &member, None).await.with(204);
    world.own(Method::DELETE, &member, None).await.with(404);
    world.own(Method::GET, &format!("/v1/users/{bob}"), None).await.with(404);
    world.own(Method::PATCH, &format!("/v1/users/{bob}"), Some(&change)).await.with(404);
    assert_eq!(world.add(own, bob, "bob", "member").await.0, 201, "back again");

    let changes = world.audited("members.update").await;
    assert_eq!(changes[0].1, json!({ "role": "member" }));
    assert_eq!(changes[0].2, json!({ "role": "admin" }));
    assert_eq!(changes[0].0, format!("members:{bob}"));
    assert_eq!(world.audited("members.add").await.len(), 3);
    assert_eq!(world.audited("members.remove").await[0].2, Value::Null);
    assert_eq!(world.audited("users.update").await[0].2, json!({ "changed": ["email", "name"] }));
    let sql = "select string_agg(a::text, '') from audit_log a";
    let dump: String = world.db.query_one(sql, &[]).await.unwrap().get(0);
    assert!(!dump.contains("@example.com") && !dump.contains("Ada"), "{dump}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_stays_however_many_leave_at_once() {
    let world = World::quiet().await;
    let own = world.demo.api_key.as_str();
    let owners: Vec<Uuid> = (0..6).map(|_| Uuid::now_v7()).collect();
    for (number, owner) in owners.iter().enumerate() {
        assert_eq!(world.add(own, *owner, &format!("owner{number}"), "owner").await.0, 201);
    }
    assert_eq!(world.add(own, Uuid::now_v7(), "admin", "admin").await.0, 201);
    let leave = owners.iter().enumerate().map(|(number, owner)| {
        let (path, world) = (format!("{PATH}/{owner}"), &world);
        async move {
            let demoted = json!({ "role": "admin" });
            match number % 2 {
                0 => world.own(Method::DELETE, &path, None).await.status,
                _ => world.own(Method::PATCH, &path, Some(&demoted)).await.status,
            }
        }
    });
    let answers = futures::future::join_all(leave).await;
    let refused = answers.iter().filter(|status| **status == 409).count();
    assert_eq!(refused, 1, "{answers:?}");
    let sql = "select user_id from organization_members where role = 'owner'";
    let left = world.db.query(sql, &[]).await.unwrap();
    assert_eq!(left.len(), 1);
    let last = format!("{PATH}/{}", left[0].get::<_, Uuid>(0));
    let refused = world.own(Method::DELETE, &last, None).await.with(409);
    assert!(refused["detail"].as_str().unwrap().contains("last owner"), "{refused}");
    world.own(Method::PATCH, &last, Some(&json!({ "role": "owner" }))).await.with(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_members_are_refused_and_keys_need_scopes() {
    let world = World::quiet().await;
    let user = Uuid::now_v7();
    let wrong = json!({ "user_id": user, "email": "nobody", "name": " ", "role": "king" });
    let answer = world.own(Method::POST, PATH, Some(&wrong)).await;
    let fields: Vec<&str> = answer.errors().iter().map(|(pointer, _)| *pointer).collect();
    assert_eq!(fields, ["#/body/email", "#/body/name", "#/body/role"], "{}", answer.body);
    assert_eq!(world.add(&world.demo.api_key, user, "ada", "owner").await.0, 201);
    let (member, one) = (format!("{PATH}/{user}"), format!("/v1/users/{user}"));
    let king = json!({ "role": "king" });
    let refused = world.own(Method::PATCH, &member, Some(&king)).await;
    assert_eq!(refused.errors()[0].0, "#/body/role");
    let wrong = json!({ "email": "a@b", "name": "" });
    let refused = world.own(Method::PATCH, &one, Some(&wrong)).await;
    assert_eq!(refused.errors().len(), 2, "{}", refused.body);
    world.own(Method::PATCH, &one, Some(&json!({ "email": null }))).await.with(400);
    let routes = [
        (Method::GET, PATH, "members:read"),
        (Method::DELETE, member.as_str(), "members:write"),
        (Method::GET, one.as_str(), "members:read"),
        (Method::PATCH, one.as_str(), "members:write"),
    ];
    world.are_guarded(&routes, &one).await;
    let reader = world.key_with(&["members:read"]).await;
    assert_eq!(world.add(&reader, user, "ada", "owner").await.0, 403);
    let admin = json!({ "role": "admin" });
    assert_eq!(world.api(&reader, Method::PATCH, &member, Some(&admin), None).await.status, 403);
    let other = world.second_organization().await;
    for (method, body) in [(Method::PATCH, Some(&admin)), (Method::DELETE, None)] {
        let answer = world.api(&other.api_key, method, &member, body, None).await;
        assert_eq!(answer.status, 404);
    }
}
