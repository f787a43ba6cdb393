//! Tokens that prove nothing, and a Supabase that is not there.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::supabase::{
    RSA_KID, Supabase, fixture, kid, public_key, rsa_secrets, signed_es256, signed_hs256,
};

const CALLS: &str = "/v1/calls";

#[tokio::test(flavor = "multi_thread")]
async fn forged_expired_and_foreign_tokens_are_refused() {
    let supabase = Supabase::start().await;
    let world = supabase.world().await;
    let user = world.member(world.organization(), "owner").await;
    world.ask_as(&supabase.token(user), Method::GET, CALLS, None).await.with(200);
    let with = |name: &str, value: Value| {
        let mut claims = supabase.claims(user);
        claims[name] = value;
        signed_es256(&claims, &kid())
    };
    let good = supabase.claims(user);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(&good));
    let now = chrono::Utc::now().timestamp();
    let key = public_key();
    let point = key["x"].as_str().unwrap();
    let mut tokens = vec![
        ("none", none),
        ("expired", with("exp", json!(now - 120))),
        ("not yet", with("nbf", json!(now + 120))),
        ("wrong audience", with("aud", json!("anon"))),
        ("wrong issuer", with("iss", json!("https://evil.example/auth/v1"))),
        ("service role", with("role", json!("service_role"))),
        ("anonymous", with("is_anonymous", json!(true))),
        ("no user", with("sub", json!("admin"))),
        ("unknown key", signed_es256(&good, "unknown")),
        ("a key of another kind", signed_es256(&good, RSA_KID)),
        ("another secret", signed_hs256(&good, &[b'a'; 40], None)),
        ("fixture none", fixture("alg_none_token_must_be_rejected")),
        ("fixture service role", fixture("service_role_token")),
    ];
    for (name, secret) in [
        ("the public key as a secret", key.to_string().into_bytes()),
        ("its point as a secret", point.as_bytes().to_vec()),
        ("its bytes as a secret", URL_SAFE_NO_PAD.decode(point).unwrap()),
    ] {
        tokens.push((name, signed_hs256(&good, &secret, Some(kid()))));
    }
    for secret in rsa_secrets() {
        let token = signed_hs256(&good, &secret, Some(RSA_KID.to_owned()));
        tokens.push(("the public RSA key as a secret", token));
    }
    for (name, token) in tokens {
        let answer = world.ask_as(&token, Method::GET, CALLS, None).await;
        assert_eq!((answer.status, answer.problem()), (401, "unauthenticated"), "{name}");
        assert!(!world.log("serve").contains(&token), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_is_one_fetch_and_known_keys_outlive_supabase() {
    let supabase = Supabase::start().await;
    let world = supabase.world().await;
    let users = [
        world.member(world.organization(), "member").await,
        world.member(world.organization(), "member").await,
    ];
    let claims = supabase.claims(users[0]);
    let flood = (0..100).map(|number| {
        let token = signed_es256(&claims, &format!("unknown-{number}"));
        let world = &world;
        async move { world.ask_as(&token, Method::GET, CALLS, None).await.status }
    });
    assert!(join_all(flood).await.into_iter().all(|status| status == 401));
    assert_eq!(supabase.fetches(), 1);
    supabase.go_down();
    for user in users {
        world.ask_as(&supabase.token(user), Method::GET, CALLS, None).await.with(200);
    }
    assert_eq!(supabase.fetches(), 1, "known keys need no fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_supabase_and_redis_nobody_can_tell_and_a_key_still_works() {
    let supabase = Supabase::start().await;
    supabase.go_down();
    let world = supabase.world().await;
    let token = supabase.token(Uuid::new_v4());
    let answer = world.ask_as(&token, Method::GET, CALLS, None).await;
    assert_eq!((answer.status, answer.problem()), (503, "unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    world.ask_as(&world.demo.api_key, Method::GET, CALLS, None).await.with(200);
}
