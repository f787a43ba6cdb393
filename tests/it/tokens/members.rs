//! Membership decides the organization, and the role what may be done.

use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    PATIENCE,
    supabase::{Supabase, fixture, signed_hs256, signed_rs256},
};
use crate::harness::wait::until;

const CALLS: &str = "/v1/calls";
const KEYS: &str = "/v1/api-keys";

#[tokio::test(flavor = "multi_thread")]
async fn roles_give_scopes_and_changes_name_the_user() {
    let supabase = Supabase::start().await;
    let world = supabase.world().await;
    let own = world.organization();
    for (role, may_write) in [("owner", true), ("admin", true), ("member", false)] {
        let user = world.member(own, role).await;
        let claims = supabase.claims(user);
        let secret = fixture("hs256_secret");
        for token in [
            supabase.token(user),
            signed_rs256(&claims),
            signed_hs256(&claims, secret.as_bytes(), None),
        ] {
            world.ask_as(&token, Method::GET, CALLS, None).await.with(200);
            let name = format!("made by {role}");
            let body = json!({ "name": name, "scopes": ["calls:read"] });
            let made = world.ask_as(&token, Method::POST, KEYS, Some(&body)).await;
            assert_eq!(made.status, if may_write { 201 } else { 403 }, "{role}: {}", made.body);
            if may_write {
                assert_eq!(made.body["user_id"], json!(user));
                let target = format!("api_keys:{}", made.body["id"].as_str().unwrap());
                let sql = "select actor from audit_log where target = $1";
                let row = world.db.query_one(sql, &[&target]).await.unwrap();
                assert_eq!(row.get::<_, &str>(0), format!("user:{user}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_several_organizations_names_one_and_a_stranger_gets_nothing() {
    let supabase = Supabase::start().await;
    let world = supabase.world().await;
    let (own, other) = (world.organization(), world.bare_organization().await);
    let strange = world.bare_organization().await;
    let user = world.member(own, "member").await;
    world.join(user, other, "owner").await;
    let token = supabase.token(user);
    let ask = async |organization: Option<String>| {
        let headers: Vec<(&str, &str)> =
            organization.iter().map(|id| ("x-organization-id", id.as_str())).collect();
        world.ask_at(&world.api_url, Some(&token), (Method::GET, KEYS), &headers, None).await
    };
    let unnamed = ask(None).await;
    assert_eq!((unnamed.status, unnamed.problem()), (400, "organization-needed"));
    for id in [own, other, strange] {
        assert!(!unnamed.body.to_string().contains(&id.to_string()), "{}", unnamed.body);
    }
    assert_eq!(ask(Some(own.to_string())).await.with(200)["data"].as_array().unwrap().len(), 1);
    assert_eq!(ask(Some(other.to_string())).await.with(200)["data"], json!([]));
    ask(Some("nonsense".to_owned())).await.with(400);
    let (not_his, nowhere) =
        (ask(Some(strange.to_string())).await, ask(Some(Uuid::new_v4().to_string())).await);
    assert_eq!((not_his.status, nowhere.status), (403, 403));
    assert_eq!(not_his.body["detail"], nowhere.body["detail"], "nobody learns which exist");
    let stranger = supabase.token(Uuid::new_v4());
    world.ask_as(&stranger, Method::GET, KEYS, None).await.with(403);

    world
        .db
        .execute("update organizations set deleted_at = now() where id = $1", &[&other])
        .await
        .unwrap();
    until("one is left", PATIENCE, || async { (ask(None).await.status == 200).then_some(()) })
        .await;
    ask(Some(other.to_string())).await.with(403);
    world
        .db
        .execute("delete from organization_members where user_id = $1", &[&user])
        .await
        .unwrap();
    until("none is left", PATIENCE, || async { (ask(None).await.status == 403).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_kept_sealed_until_their_token_ends() {
    let supabase = Supabase::start().await;
    let world = supabase.world().await;
    let user = world.member(world.organization(), "member").await;
    let token = supabase.token(user);
    world.ask_as(&token, Method::GET, CALLS, None).await.with(200);
    let name = format!("session:{}", hex::encode(Sha256::digest(&token)));
    let client = redis::Client::open(world.redis_url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let ttl: i64 = redis::cmd("TTL").arg(&name).query_async(&mut connection).await.unwrap();
    assert!((1..=3600).contains(&ttl), "not beyond the token's own end: {ttl}");
    let sealed: Vec<u8> = redis::cmd("GET").arg(&name).query_async(&mut connection).await.unwrap();
    let user = user.to_string();
    assert!(!sealed.windows(user.len()).any(|part| part == user.as_bytes()), "it is sealed");

    // Another process believes the session, without Supabase; and not one that somebody wrote there.
    supabase.go_down();
    let other = world.another_serve().await;
    let there = async |token: &str| {
        world.ask_at(&other.api_url, Some(token), (Method::GET, CALLS), &[], None).await.status
    };
    assert_eq!(there(&token).await, 200);
    let another = supabase.token(Uuid::new_v4());
    let forged = format!("session:{}", hex::encode(Sha256::digest(&another)));
    redis::cmd("SET").arg(forged).arg(sealed).query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(there(&another).await, 503, "only Supabase could tell");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presented_user_shows_his_memberships_and_nothing_else() {
    let supabase = Supabase::start().await;
    let mut world = supabase.world().await;
    let (own, other) = (world.organization(), world.bare_organization().await);
    let user = world.member(own, "member").await;
    world.member(own, "owner").await;
    world.member(other, "owner").await;
    let tx = world.db.transaction().await.unwrap();
    let begin = format!("set local role postcall_api; set local app.user_id = '{user}'");
    tx.batch_execute(&begin).await.unwrap();
    let count = async |sql: &str| tx.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(count("select count(*) from organization_members").await, 1);
    assert_eq!(count("select count(*) from organizations").await, 1);
    for table in ["users", "api_keys", "calls", "webhooks", "idempotency_keys", "api_key_days"] {
        assert_eq!(count(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_owners_make_and_unmake_owners() {
    let supabase = Supabase::start().await;
    let world = supabase.world().await;
    let own = world.organization();
    let (owner, admin) = (world.member(own, "owner").await, world.member(own, "admin").await);
    let member = world.member(own, "member").await;
    let own_key = &world.demo.api_key;
    let body = json!({ "name": "a", "scopes": ["members:write"] });
    let made = world.ask_as(own_key, Method::POST, KEYS, Some(&body)).await.with(201);
    let key = made["key"].as_str().unwrap();
    let ask = async |bearer: &str, method: Method, user: Uuid, role: &str| {
        let body = json!({ "role": role });
        let body = (method == Method::PATCH).then_some(&body);
        world.ask_as(bearer, method, &format!("/v1/members/{user}"), body).await.status
    };
    let by_admin = supabase.token(admin);
    for bearer in [by_admin.as_str(), key] {
        assert_eq!(ask(bearer, Method::PATCH, member, "owner").await, 403);
        assert_eq!(ask(bearer, Method::PATCH, owner, "member").await, 403);
        assert_eq!(ask(bearer, Method::DELETE, owner, "").await, 403);
        assert_eq!(ask(bearer, Method::PATCH, member, "admin").await, 200);
    }
    let new = json!({ "user_id": Uuid::new_v4(), "email": "a@example.com", "role": "owner" });
    let added = world.ask_as(&by_admin, Method::POST, "/v1/members", Some(&new)).await;
    assert_eq!(added.status, 403, "{}", added.body);
    let by_owner = supabase.token(owner);
    assert_eq!(ask(&by_owner, Method::PATCH, member, "owner").await, 200);
    assert_eq!(ask(&by_owner, Method::DELETE, member, "").await, 204);
}
