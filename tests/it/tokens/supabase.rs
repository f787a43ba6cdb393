//! A Supabase that publishes two keys, and signs tokens with them and with a shared secret.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::harness::World;

const SET: &str = include_str!("../../fixtures/supabase/jwks.json");
const RSA_KEY: &str = include_str!("../../fixtures/supabase/rs256_private_key_test_only.pem");
pub(super) const RSA_KID: &str = "an RSA key";
const FIXTURES: &str = include_str!("../../fixtures/supabase/tokens.json");

/// The running server; ends with its test's runtime.
pub(super) struct Supabase {
    pub(super) url: String,
    fetches: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

impl Supabase {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (fetches, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counting, is_down) = (fetches.clone(), down.clone());
        let mut keys: Value = serde_json::from_str(SET).expect("json");
        keys["keys"].as_array_mut().expect("keys").push(public_rsa_key());
        let keys = keys.to_string();
        let set = move || async move {
            counting.fetch_add(1, Ordering::SeqCst);
            match is_down.load(Ordering::SeqCst) {
                true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                false => keys.into_response(),
            }
        };
        let router = Router::new().route("/auth/v1/.well-known/jwks.json", get(set));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, fetches, down }
    }

    /// A world whose users come from here.
    pub(super) async fn world(&self) -> World {
        World::serving(vec![
            ("SUPABASE_URL", self.url.clone()),
            ("SUPABASE_JWT_SECRET", fixture("hs256_secret")),
        ])
        .await
    }

    /// How often the keys were fetched.
    pub(super) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub(super) fn go_down(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// What a token of a signed-in user says.
    pub(super) fn claims(&self, user: Uuid) -> Value {
        json!({
            "iss": format!("{}/auth/v1", self.url), "sub": user, "aud": "authenticated",
            "role": "authenticated", "exp": chrono::Utc::now().timestamp() + 3600,
            "is_anonymous": false, "user_metadata": { "role": "owner", "organization_id": user },
        })
    }

    /// A token by the elliptic key that is published.
    pub(super) fn token(&self, user: Uuid) -> String {
        signed_es256(&self.claims(user), &kid())
    }
}

pub(super) fn fixture(name: &str) -> String {
    let all: Value = serde_json::from_str(FIXTURES).expect("json");
    all[name].as_str().expect("a text").to_owned()
}

/// The published key, as it is published.
pub(super) fn public_key() -> Value {
    let set: Value = serde_json::from_str(SET).expect("json");
    set["keys"][0].clone()
}

pub(super) fn kid() -> String {
    public_key()["kid"].as_str().expect("a text").to_owned()
}

fn public_rsa_key() -> Value {
    let mut key = Jwk::from_encoding_key(&rsa_key(), Algorithm::RS256).expect("a key");
    key.common.key_id = Some(RSA_KID.to_owned());
    json!(key)
}

fn rsa_key() -> EncodingKey {
    EncodingKey::from_rsa_der(&der(RSA_KEY))
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).expect("base64")
}

pub(super) fn signed_rs256(claims: &Value) -> String {
    let header = Header { kid: Some(RSA_KID.to_owned()), ..Header::new(Algorithm::RS256) };
    encode(&header, claims, &rsa_key()).expect("a token")
}

/// The public RSA key in the forms that whoever confuses algorithms would take for a secret.
pub(super) fn rsa_secrets() -> [Vec<u8>; 3] {
    let key = public_rsa_key();
    let modulus = key["n"].as_str().expect("a text").to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(&modulus).expect("base64");
    [key.to_string().into_bytes(), modulus.into_bytes(), bytes]
}

pub(super) fn signed_es256(claims: &Value, kid: &str) -> String {
    let key = EncodingKey::from_ec_der(&der(&fixture("es256_private_key_pem_test_only")));
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, &key).expect("a token")
}

pub(super) fn signed_hs256(claims: &Value, secret: &[u8], kid: Option<String>) -> String {
    let header = Header { kid, ..Header::new(Algorithm::HS256) };
    encode(&header, claims, &EncodingKey::from_secret(secret)).expect("a token")
}

impl World {
    /// Makes a user a member of an organization.
    pub(super) async fn member(&self, organization: Uuid, role: &str) -> Uuid {
        let user = Uuid::new_v4();
        let sql = "insert into users (id, email) values ($1, $2)";
        let email = format!("{user}@example.com");
        self.db.execute(sql, &[&user, &email]).await.expect("a user");
        self.join(user, organization, role).await;
        user
    }

    pub(super) async fn join(&self, user: Uuid, organization: Uuid, role: &str) {
        let sql = "insert into organization_members (organization_id, user_id, role)
                   values ($1, $2, $3)";
        self.db.execute(sql, &[&organization, &user, &role]).await.expect("a member");
    }

    /// An organization without anything.
    pub(super) async fn bare_organization(&self) -> Uuid {
        let id = Uuid::now_v7();
        let sql = "insert into organizations (id, name, slug) values ($1, 'Another', $2)";
        self.db.execute(sql, &[&id, &id.to_string()]).await.expect("an organization");
        id
    }
}
