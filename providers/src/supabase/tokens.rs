//! Access tokens of Supabase Auth.
//!
//! What a token is verified by depends on our settings and never on the token: HS256 goes with the
//! shared secret alone, ES256 and RS256 with a public key that Supabase publishes for just that
//! algorithm. There is no other way in, so a token cannot choose how it is believed.

use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, TokenData, Validation, decode, decode_header, errors::ErrorKind,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::jwks::Jwks;
use crate::http::{self, SetupError};

/// Seconds that clocks may differ by.
const LEEWAY: u64 = 30;
/// Supabase's own are shorter than 4 KB.
const LONGEST: usize = 16 * 1024;
/// Of signed-in users; the role of our tokens, too.
const AUTHENTICATED: &str = "authenticated";

/// Verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    issuer: Option<String>,
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
    fingerprint: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What a good token says. Nothing of `user_metadata`, which users write themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// `sub`: the user's id, a UUID in its usual spelling.
    pub user: String,
    /// `exp`.
    pub expires_at: DateTime<Utc>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It proves nothing.
    #[error("the token is not valid")]
    Invalid,
    /// It was good.
    #[error("the token has expired")]
    Expired,
    /// It is good, but of nobody who signed in.
    #[error("the token is not of a signed-in user")]
    Anonymous,
    /// Supabase's keys cannot be had, so nobody knows.
    #[error("the keys of Supabase cannot be had")]
    Unavailable,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    is_anonymous: Option<bool>,
}

impl Tokens {
    /// None where neither a URL nor a secret is set: then no token can be good.
    ///
    /// # Errors
    /// When the URL is none, or the machine's TLS set-up does not allow a client.
    pub fn new(
        supabase_url: Option<&str>,
        secret: Option<&SecretString>,
    ) -> Result<Option<Self>, SetupError> {
        if supabase_url.is_none() && secret.is_none() {
            return Ok(None);
        }
        let url = supabase_url.map(|url| http::base_url("supabase", url)).transpose()?;
        let issuer =
            url.as_ref().map(|url| format!("{}/auth/v1", url.as_str().trim_end_matches('/')));
        let fingerprint = Sha256::new()
            .chain_update(issuer.as_deref().unwrap_or_default())
            .chain_update([0])
            .chain_update(secret.map(ExposeSecret::expose_secret).unwrap_or_default())
            .finalize();
        Ok(Some(Self {
            issuer,
            secret: secret
                .map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes())),
            jwks: url.as_ref().map(Jwks::new).transpose()?,
            fingerprint: hex::encode(&fingerprint[..8]),
        }))
    }

    /// Names the settings that tokens are verified by; changes with them.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Verifies a token as of now.
    ///
    /// # Errors
    /// When it is not the token of a user who signed in, or that cannot be known.
    pub async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        if token.len() > LONGEST {
            return Err(Refused::Invalid);
        }
        let header = decode_header(token).map_err(|_| Refused::Invalid)?;
        let decoded = match header.alg {
            Algorithm::HS256 => {
                let secret = self.secret.as_ref().ok_or(Refused::Invalid)?;
                self.decode(token, secret, Algorithm::HS256)
            }
            Algorithm::ES256 | Algorithm::RS256 => {
                let (Some(jwks), Some(kid)) = (&self.jwks, &header.kid) else {
                    return Err(Refused::Invalid);
                };
                let found = jwks.key(kid).await.map_err(|_| Refused::Unavailable)?;
                let found = found.ok_or(Refused::Invalid)?;
                self.decode(token, &found.key, found.algorithm)
            }
            _ => Err(Refused::Invalid),
        };
        verified(&decoded?.claims)
    }

    fn decode(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<TokenData<Claims>, Refused> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&[AUTHENTICATED]);
        let mut required = vec!["exp", "aud", "sub"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        decode(token, key, &validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Refused::Expired,
            _ => Refused::Invalid,
        })
    }
}

fn verified(claims: &Claims) -> Result<Verified, Refused> {
    let Claims { sub, exp, role, is_anonymous } = claims;
    if *is_anonymous == Some(true) || role.as_deref() != Some(AUTHENTICATED) {
        return Err(Refused::Anonymous);
    }
    let expires_at = DateTime::from_timestamp(*exp, 0).ok_or(Refused::Invalid)?;
    Ok(Verified { user: sub.clone(), expires_at })
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use hmac::{Hmac, KeyInit, Mac};
    use serde_json::{Value, json};

    use super::*;
    use crate::canned::{Reply, serve};

    const SET: &str = include_str!("../../../tests/fixtures/supabase/jwks.json");
    const TOKENS: &str = include_str!("../../../tests/fixtures/supabase/tokens.json");
    /// The issuer of the fixtures.
    const URL: &str = "https://abcdefghijklmnopqrst.supabase.co";

    fn fixture(name: &str) -> String {
        let all: Value = serde_json::from_str(TOKENS).expect("json");
        all[name].as_str().expect("a text").to_owned()
    }

    fn secret() -> SecretString {
        fixture("hs256_secret").into()
    }

    /// With keys from a server, and the issuer of the fixtures.
    async fn tokens(secret: Option<SecretString>) -> (Tokens, crate::canned::Canned) {
        let server = serve([Reply::Json(200, SET.to_owned())]).await;
        let tokens = Tokens::new(Some(&server.url), secret.as_ref()).expect("settings");
        let mut tokens = tokens.expect("settings are given");
        tokens.issuer = Some(format!("{URL}/auth/v1"));
        (tokens, server)
    }

    fn claims() -> Value {
        json!({
            "iss": format!("{URL}/auth/v1"), "sub": "123e4567-e89b-12d3-a456-426614174000",
            "aud": "authenticated", "exp": 4_102_444_800_u32, "role": "authenticated",
        })
    }

    fn signed(header: &Value, claims: &Value, key: &[u8]) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.update(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[tokio::test]
    async fn tokens_of_both_kinds_are_verified() {
        let (tokens, _server) = tokens(Some(secret())).await;
        for name in ["hs256_token", "es256_token"] {
            let verified = tokens.verify(&fixture(name)).await.expect(name);
            assert_eq!(verified.user, "123e4567-e89b-12d3-a456-426614174000", "{name}");
            assert_eq!(verified.expires_at.timestamp(), 4_102_444_800, "{name}");
        }
        assert_eq!(tokens.verify(&fixture("hs256_expired_token")).await, Err(Refused::Expired));
    }

    #[tokio::test]
    async fn no_token_chooses_how_it_is_believed() {
        let (with_secret, _server) = tokens(Some(secret())).await;
        let (without, _other) = tokens(None).await;
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let set: Value = serde_json::from_str(SET).expect("json");
        let x = set["keys"][0]["x"].as_str().expect("a coordinate").as_bytes().to_vec();
        let mut forged = vec![
            fixture("alg_none_token_must_be_rejected"),
            fixture("service_role_token"),
            signed(&json!({ "alg": "none" }), &claims(), b""),
            signed(&json!({ "alg": "HS512" }), &claims(), secret().expose_secret().as_bytes()),
            String::new(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            format!("{}.x", fixture("hs256_token")),
            "a".repeat(100_000),
        ];
        // What is public of the key, as a secret.
        for key in [SET.as_bytes().to_vec(), set["keys"][0].to_string().into_bytes(), x, vec![]] {
            forged.push(signed(&header, &claims(), &key));
            let kid = json!({ "alg": "HS256", "kid": set["keys"][0]["kid"] });
            forged.push(signed(&kid, &claims(), &key));
        }
        for (number, token) in forged.iter().enumerate() {
            for tokens in [&with_secret, &without] {
                assert_eq!(tokens.verify(token).await, Err(Refused::Invalid), "{number}");
            }
        }
        // The shared secret is no setting of the second, so nothing that it signs is good there.
        assert_eq!(without.verify(&fixture("hs256_token")).await, Err(Refused::Invalid));
        let mut flipped = fixture("es256_token").into_bytes();
        let last = flipped.len() - 2;
        flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).expect("ASCII");
        assert_eq!(with_secret.verify(&flipped).await, Err(Refused::Invalid));
    }

    #[tokio::test]
    async fn every_claim_is_checked() {
        let (tokens, _server) = tokens(Some(secret())).await;
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let verify = |changes: Value| {
            let mut claims = claims();
            for (name, value) in changes.as_object().expect("an object") {
                match value {
                    Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                    value => claims[name] = value.clone(),
                }
            }
            let token = signed(&header, &claims, secret().expose_secret().as_bytes());
            let tokens = &tokens;
            async move { tokens.verify(&token).await.err() }
        };
        let now = Utc::now().timestamp();
        for (changes, expected) in [
            (json!({}), None),
            (json!({ "aud": ["x", "authenticated"] }), None),
            (json!({ "exp": now - 10 }), None),
            (json!({ "exp": now - 61 }), Some(Refused::Expired)),
            (json!({ "nbf": now + 10 }), None),
            (json!({ "nbf": now + 61 }), Some(Refused::Invalid)),
            (json!({ "exp": null }), Some(Refused::Invalid)),
            (json!({ "exp": "4102444800" }), Some(Refused::Invalid)),
            (json!({ "aud": "anon" }), Some(Refused::Invalid)),
            (json!({ "aud": null }), Some(Refused::Invalid)),
            (json!({ "iss": "https://evil.example/auth/v1" }), Some(Refused::Invalid)),
            (json!({ "iss": null }), Some(Refused::Invalid)),
            (json!({ "sub": null }), Some(Refused::Invalid)),
            (json!({ "role": "service_role" }), Some(Refused::Anonymous)),
            (json!({ "role": null }), Some(Refused::Anonymous)),
            (json!({ "is_anonymous": true }), Some(Refused::Anonymous)),
            (json!({ "user_metadata": { "role": "owner" } }), None),
        ] {
            assert_eq!(verify(changes.clone()).await, expected, "{changes}");
        }
    }

    #[test]
    fn settings_name_the_verifier_and_show_nothing() {
        let tokens = |url: Option<&str>, secret: Option<&str>| {
            let secret = secret.map(SecretString::from);
            Tokens::new(url, secret.as_ref()).expect("settings")
        };
        assert!(tokens(None, None).is_none());
        let one = tokens(Some(URL), Some("open sesame")).expect("some");
        let other = tokens(Some(URL), Some("another")).expect("some");
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert!(!format!("{one:?}").contains("sesame"));
        assert!(Tokens::new(Some("nonsense"), None).is_err());
    }
}
