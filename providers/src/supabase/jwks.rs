//! The public keys that Supabase Auth signs with, by their `kid`.
//!
//! Fetched by one request at a time, however many ask; keys that are known stay in use while Supabase
//! does not answer.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    error::ProviderError,
    http::{self, SetupError},
    operation::Operation,
};

const FETCH: Operation = Operation { provider: "supabase", name: "jwks", repeatable: true };
/// A request waits for it.
const TIMEOUT: Duration = Duration::from_secs(3);
/// After that the keys are fetched anew, while the ones there are serve on.
const FRESH: Duration = Duration::from_secs(600);
/// Between two fetches for the sake of a `kid` that nobody knows: anybody can send one.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);
/// Between two fetches that fail.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// More are not believed; Supabase has two.
const MOST_KEYS: usize = 50;

/// A public key and the one algorithm that it is good for.
#[derive(Clone)]
pub(super) struct PublicKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: Arc<DecodingKey>,
}

/// No key can be had at the moment.
#[derive(Debug)]
pub(super) struct Unavailable;

/// The keys, shared by all requests.
#[derive(Clone)]
pub(super) struct Jwks {
    client: Client,
    url: Url,
    known: Arc<RwLock<Known>>,
    /// Held by whoever fetches: when the last fetch was, and whether it worked.
    fetching: Arc<Mutex<Option<(Instant, bool)>>>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, PublicKey>,
    fetched_at: Option<Instant>,
}

impl Jwks {
    pub(super) fn new(supabase_url: &Url) -> Result<Self, SetupError> {
        let url = http::under(supabase_url, &["auth", "v1", ".well-known", "jwks.json"]);
        let client = http::client(TIMEOUT)?;
        Ok(Self { client, url, known: Arc::default(), fetching: Arc::default() })
    }

    /// The key of this id; none where Supabase has none.
    pub(super) async fn key(&self, kid: &str) -> Result<Option<PublicKey>, Unavailable> {
        let (found, is_fresh, any) = self.look(kid);
        if let Some(found) = found {
            if !is_fresh {
                // Nobody waits for this; who comes meanwhile finds it under way.
                let jwks = self.clone();
                tokio::spawn(async move {
                    if let Ok(mut last) = jwks.fetching.try_lock() {
                        jwks.fetch(&mut last).await;
                    }
                });
            }
            return Ok(Some(found));
        }
        let mut last = self.fetching.lock().await;
        // Somebody may have fetched while this one waited.
        if let (Some(found), _, _) = self.look(kid) {
            return Ok(Some(found));
        }
        let pause = |worked: bool| if worked { BETWEEN_FETCHES } else { AFTER_FAILURE };
        if last.is_some_and(|(at, worked)| at.elapsed() < pause(worked)) {
            let (_, _, any) = self.look(kid);
            return if any { Ok(None) } else { Err(Unavailable) };
        }
        if !self.fetch(&mut last).await && !any {
            return Err(Unavailable);
        }
        Ok(self.look(kid).0)
    }

    /// The key, whether the keys are fresh, and whether any fetch ever worked.
    fn look(&self, kid: &str) -> (Option<PublicKey>, bool, bool) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = known.fetched_at.is_some_and(|at| at.elapsed() < FRESH);
        (known.keys.get(kid).cloned(), is_fresh, known.fetched_at.is_some())
    }

    async fn fetch(&self, last: &mut Option<(Instant, bool)>) -> bool {
        if last.is_some_and(|(at, worked)| !worked && at.elapsed() < AFTER_FAILURE) {
            return false;
        }
        let fetched = self.ask().await;
        let worked = fetched.is_ok();
        *last = Some((Instant::now(), worked));
        match fetched {
            Ok(keys) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                *known = Known { keys, fetched_at: Some(Instant::now()) };
            }
            Err(error) => tracing::warn!(%error, "the keys of Supabase could not be fetched"),
        }
        worked
    }

    async fn ask(&self) -> Result<HashMap<String, PublicKey>, ProviderError> {
        let answer = FETCH.send(self.client.get(self.url.clone())).await?;
        if answer.status != StatusCode::OK {
            return Err(FETCH.refused(&answer, None));
        }
        let set: Value = answer.json().ok_or_else(|| FETCH.malformed(answer.status))?;
        let keys = set["keys"].as_array().ok_or_else(|| FETCH.malformed(answer.status))?;
        Ok(keys.iter().take(MOST_KEYS).filter_map(public_key).collect())
    }
}

/// Only what verifies by one of two algorithms, whatever else stands in the set.
fn public_key(value: &Value) -> Option<(String, PublicKey)> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::EllipticCurve(curve), None | Some(KeyAlgorithm::ES256))
            if curve.curve == EllipticCurve::P256 =>
        {
            Algorithm::ES256
        }
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        _ => return None,
    };
    let key = Arc::new(DecodingKey::from_jwk(&jwk).ok()?);
    Some((jwk.common.key_id?, PublicKey { algorithm, key }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::canned::{Reply, serve};

    const SET: &str = include_str!("../../../tests/fixtures/supabase/jwks.json");
    const KID: &str = "0b9d4f1e-7d2a-4a53-9c7e-6a1e9d1f3c55";

    fn jwks(url: &str) -> Jwks {
        Jwks::new(&http::base_url("supabase", url).expect("a URL")).expect("a client")
    }

    #[tokio::test]
    async fn a_flood_of_unknown_ids_costs_one_request() {
        let server = serve([Reply::Json(200, SET.to_owned())]).await;
        let jwks = jwks(&server.url);
        let unknown = (0..50).map(|number| {
            let jwks = jwks.clone();
            async move { jwks.key(&format!("unknown-{number}")).await }
        });
        for found in futures::future::join_all(unknown).await {
            assert!(found.expect("Supabase answers").is_none());
        }
        assert!(jwks.key(KID).await.expect("known").is_some());
        assert_eq!(server.requests().len(), 1);
        assert!(server.requests()[0].starts_with("GET /auth/v1/.well-known/jwks.json "));
    }

    #[tokio::test]
    async fn known_keys_outlive_supabase() {
        let server = serve([Reply::Json(200, SET.to_owned()), Reply::Json(500, "{}".into())]).await;
        let jwks = jwks(&server.url);
        assert!(jwks.key(KID).await.expect("known").is_some());
        // As if the keys were old.
        *jwks.known.write().expect("not poisoned") = {
            let keys = jwks.ask_of(SET);
            Known { keys, fetched_at: Instant::now().checked_sub(FRESH) }
        };
        for _ in 0..3 {
            assert!(jwks.key(KID).await.expect("known").is_some());
        }
    }

    #[tokio::test]
    async fn without_any_key_nothing_can_be_said() {
        let server = serve([Reply::Json(503, "{}".into())]).await;
        let jwks = jwks(&server.url);
        assert!(jwks.key(KID).await.is_err());
        assert!(jwks.key(KID).await.is_err());
        assert_eq!(server.requests().len(), 1, "not asked again at once");
    }

    #[test]
    fn only_public_keys_for_signatures_are_taken() {
        let set: Value = serde_json::from_str(SET).expect("json");
        let good = &set["keys"][0];
        assert!(public_key(good).is_some());
        let changed = |name: &str, value: Value| {
            let mut key = good.clone();
            key[name] = value;
            public_key(&key)
        };
        assert!(changed("use", json!("enc")).is_none());
        assert!(changed("alg", json!("HS256")).is_none());
        assert!(changed("alg", json!("ES384")).is_none());
        assert!(changed("kid", Value::Null).is_none());
        assert!(
            public_key(&json!({ "kty": "oct", "kid": "a", "alg": "HS256", "k": "c2VjcmV0" }))
                .is_none()
        );
        assert!(public_key(&json!({ "kty": "new", "kid": "a" })).is_none());
    }

    impl Jwks {
        #[expect(clippy::unused_self, reason = "it stands in for an answer")]
        fn ask_of(&self, set: &str) -> HashMap<String, PublicKey> {
            let set: Value = serde_json::from_str(set).expect("json");
            set["keys"].as_array().expect("keys").iter().filter_map(public_key).collect()
        }
    }
}
