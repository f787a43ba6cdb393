//! Secrets of organizations: set, rotated and dropped while `serve` runs, sealed at rest, never told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{TimeDelta, Utc};
use contract::call::Provider;
use postcall::dev::{Demo, DemoSecrets};
use providers::{retell, twilio};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;
use uuid::Uuid;

use crate::harness::{
    Options, World,
    calls::example_of,
    signed::{fresh_call, retell_event, twilio_form},
    wait::until,
};

/// What memory knows is believed for 5 s.
const FORGOTTEN: Duration = Duration::from_secs(7);
/// A request that took longer says nothing of a tolerance in seconds.
const PROMPT: Duration = Duration::from_millis(700);

/// The first webhook of a call, as its provider writes it.
pub(crate) fn opening(provider: Provider) -> Vec<u8> {
    let id = fresh_call(provider);
    match provider {
        Provider::Vapi => example_of("status_update_queued", &id),
        Provider::Retell => retell_event("call_started", &id, &json!({})),
        Provider::Twilio => twilio_form("voice_status_initiated", &id).into_bytes(),
    }
}

impl World {
    /// The secret that the provider of the demo organization signs with at first.
    pub(crate) fn secret_of(&self, provider: Provider) -> &str {
        match provider {
            Provider::Vapi => &self.demo.vapi_secret,
            Provider::Retell => &self.demo.retell_api_key,
            Provider::Twilio => &self.demo.twilio_auth_token,
        }
    }

    /// Where a provider's events of calls go.
    pub(crate) fn webhook_url(&self, organization: &str, provider: Provider) -> String {
        let end = if provider == Provider::Twilio { "/status" } else { "" };
        format!("{}/{provider}/{organization}{end}", self.api_url)
    }

    /// Any body as a webhook that is signed with a secret.
    pub(crate) fn signed(
        &self,
        organization: &str,
        provider: Provider,
        secret: &str,
        body: Vec<u8>,
    ) -> RequestBuilder {
        let url = self.webhook_url(organization, provider);
        let request = self.http.post(&url);
        let request = match provider {
            Provider::Vapi => request.header("x-vapi-secret", secret),
            Provider::Retell => {
                let signature = retell::auth::sign(&body, &secret.into(), Utc::now());
                request.header("x-retell-signature", signature)
            }
            Provider::Twilio => request
                .header("x-twilio-signature", twilio::auth::sign(&url, &body, &secret.into()))
                .header("content-type", "application/x-www-form-urlencoded"),
        };
        request.body(body)
    }

    /// A second organization of this installation, with secrets and a key of its own.
    pub(crate) async fn second_organization(&self) -> Demo {
        let secrets = DemoSecrets::generate().unwrap();
        let mut secrets = serde_json::to_value(secrets).unwrap();
        secrets["encryption_key"] = self.secrets.encryption_key().expose_secret().into();
        let secrets: DemoSecrets = serde_json::from_value(secrets).unwrap();
        secrets.seed(&self.database_url(), self.fakes.url()).await.unwrap();
        secrets.shown()
    }

    /// Posts a fresh call's first webhook; gives the status.
    async fn knock(&self, organization: &str, provider: Provider, secret: &str) -> u16 {
        let request = self.signed(organization, provider, secret, opening(provider));
        request.send().await.expect("an answer").status().as_u16()
    }

    async fn opens(&self, provider: Provider, secret: &str) {
        let status = self.knock(&self.demo.organization_id, provider, secret).await;
        assert!((200..300).contains(&status), "{provider}: {status}");
    }

    async fn is_refused_soon(&self, provider: Provider, secret: &str) {
        until(&format!("{provider} refuses an old secret"), FORGOTTEN, || async {
            let status = self.knock(&self.demo.organization_id, provider, secret).await;
            (status == 401).then_some(())
        })
        .await;
    }

    /// `postcall credentials VERB PROVIDER`, the secret in a file.
    async fn credentials(&self, words: &[&str], provider: Provider, secret: &str) -> Value {
        let file = self.folder.join(format!("secret-{}", Uuid::now_v7()));
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        let (verb, options) = words.split_first().unwrap();
        let file = file.display().to_string();
        let line = ["credentials", verb, provider.as_str(), "--secret-file", &file, "-o", "json"];
        let line: Vec<&str> = line.iter().chain(options).copied().collect();
        let (shown, errors, code) = self.cli(&line).await;
        assert_eq!(code, 0, "{line:?}: {errors}");
        serde_json::from_str(&shown).unwrap()
    }

    /// Asks the API for a change of credentials; gives status and answer.
    async fn change(&self, key: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/v1/provider-credentials{path}", self.api_url);
        let request = self.http.request(method, url).bearer_auth(key).json(body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn rotate_by_api(&self, provider: Provider, secret: &str) {
        let path = format!("/{provider}/rotate");
        let body = json!({ "secret": secret });
        let (status, now) = self.change(&self.demo.api_key, Method::POST, &path, &body).await;
        assert_eq!(status, 200, "{now}");
        assert_eq!(now["has_previous"], true, "{now}");
    }
}

fn new_secret() -> String {
    Uuid::new_v4().simple().to_string()
}

async fn rotations(world: &World, other: &Demo, provider: Provider) {
    let secrets: [String; 5] = std::array::from_fn(|_| new_secret());
    let own = &world.demo.organization_id;
    world.opens(provider, world.secret_of(provider)).await;
    let foreign = match provider {
        Provider::Vapi => &other.vapi_secret,
        Provider::Retell => &other.retell_api_key,
        Provider::Twilio => &other.twilio_auth_token,
    };
    assert_eq!(world.knock(own, provider, foreign).await, 401, "{provider}");
    let at_home = world.knock(&other.organization_id, provider, foreign).await;
    assert!((200..300).contains(&at_home), "{provider}: {at_home}");

    let set = world.credentials(&["set"], provider, &secrets[0]).await;
    assert_eq!(set["has_previous"], false, "{set}");
    world.opens(provider, &secrets[0]).await;
    world.is_refused_soon(provider, world.secret_of(provider)).await;

    world.credentials(&["rotate"], provider, &secrets[1]).await;
    world.opens(provider, &secrets[1]).await;
    world.opens(provider, &secrets[0]).await;
    world.rotate_by_api(provider, &secrets[2]).await;
    world.opens(provider, &secrets[2]).await;
    world.opens(provider, &secrets[1]).await;
    world.is_refused_soon(provider, &secrets[0]).await;

    let dropped = world.cli(&["credentials", "drop", provider.as_str(), "previous"]).await;
    assert_eq!(dropped.2, 0, "{}", dropped.1);
    world.is_refused_soon(provider, &secrets[1]).await;
    world.opens(provider, &secrets[2]).await;

    let at_once = ["rotate", "--overlap-hours", "0"];
    world.credentials(&at_once, provider, &secrets[3]).await;
    world.opens(provider, &secrets[3]).await;
    world.is_refused_soon(provider, &secrets[2]).await;
    let body = json!({ "secret": secrets[4] });
    let path = format!("/{provider}");
    let (status, _) = world.change(&world.demo.api_key, Method::PUT, &path, &body).await;
    assert_eq!(status, 200);
    world.opens(provider, &secrets[4]).await;
    world.is_refused_soon(provider, &secrets[3]).await;
    assert_eq!(world.knock(own, provider, foreign).await, 401, "{provider}");

    let deleted = world.cli(&["credentials", "delete", provider.as_str()]).await;
    assert_eq!(deleted.2, 2, "it needs --yes");
    world.opens(provider, &secrets[4]).await;
    let deleted = world.cli(&["credentials", "delete", provider.as_str(), "--yes"]).await;
    assert_eq!(deleted.2, 0, "{}", deleted.1);
    world.is_refused_soon(provider, &secrets[4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_and_the_previous_secret_are_accepted_at_once_and_no_other() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let other = world.second_organization().await;
    let providers = [Provider::Vapi, Provider::Retell, Provider::Twilio];
    futures::future::join_all(providers.map(|one| rotations(&world, &other, one))).await;
}

/// A provider that sends 20 webhooks a second with the secret that it was told last.
async fn send_until(
    world: &World,
    provider: Provider,
    secret: &Mutex<String>,
    done: &AtomicBool,
) -> Vec<u16> {
    let mut due = tokio::time::interval(Duration::from_millis(50));
    let mut posts = tokio::task::JoinSet::new();
    while !done.load(Ordering::Relaxed) {
        due.tick().await;
        let told = secret.lock().unwrap().clone();
        let own = &world.demo.organization_id;
        let request = world.signed(own, provider, &told, opening(provider));
        posts.spawn(async move { request.send().await.expect("an answer").status().as_u16() });
    }
    posts.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_right_sender_is_refused_while_secrets_rotate_under_load() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let (world, done) = (&world, &AtomicBool::new(false));
    let own = &world.demo.organization_id;
    let providers = [Provider::Vapi, Provider::Retell, Provider::Twilio];
    let each = providers.map(|provider| async move {
        let secret = Arc::new(Mutex::new(world.secret_of(provider).to_owned()));
        let done = &AtomicBool::new(false);
        let rotating = async {
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(700)).await;
                let new = new_secret();
                world.rotate_by_api(provider, &new).await;
                secret.lock().unwrap().clone_from(&new);
                let burst = (0..40).map(|_| world.knock(own, provider, &new));
                let burst = futures::future::join_all(burst).await;
                assert!(burst.iter().all(|s| (200..300).contains(s)), "{provider}: {burst:?}");
            }
            done.store(true, Ordering::Relaxed);
        };
        let (sent, ()) = tokio::join!(send_until(world, provider, &secret, done), rotating);
        let refused: Vec<_> = sent.iter().filter(|s| !(200..300).contains(*s)).collect();
        assert!(sent.len() > 60 && refused.is_empty(), "{provider}: {refused:?} of {}", sent.len());
    });
    let forging = async {
        let wrong = Mutex::new(new_secret());
        let sent = send_until(world, Provider::Vapi, &wrong, done).await;
        assert!(sent.iter().all(|status| [401, 429].contains(status)), "{sent:?}");
    };
    let rotating = async {
        futures::future::join_all(each).await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(forging, rotating);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sealed_at_rest_and_open_nowhere_else() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let (other, own) = (world.second_organization().await, &world.demo.organization_id);
    let (first, second) = (new_secret(), new_secret());
    let (api_key, shared_key) = (new_secret(), new_secret());
    world.credentials(&["set"], Provider::Vapi, &first).await;
    world.credentials(&["rotate"], Provider::Vapi, &second).await;
    let account = world.demo.twilio_account_sid.clone();
    let twilio = json!({ "secret": second, "api_key": api_key, "shared_key": shared_key,
        "settings": { "account_sid": account, "shared_key_id": "WK1" } });
    let (status, now) = world.change(&world.demo.api_key, Method::PUT, "/twilio", &twilio).await;
    assert_eq!(status, 200, "{now}");
    world.opens(Provider::Vapi, &second).await;

    let sql = "select string_agg(line, e'\\n') from (
                   select c::text as line from provider_credentials c
                   union all select a::text from audit_log a) lines";
    let mut dump: String = world.db.query_one(sql, &[]).await.unwrap().get(0);
    for said in ["credentials.put", "credentials.rotate", "api_key:"] {
        assert!(dump.contains(said), "the audit log tells of {said}: {dump}");
    }
    dump.push_str(&world.log("serve"));
    for secret in [&first, &second, &api_key, &shared_key, world.secret_of(Provider::Retell)] {
        assert!(!dump.contains(secret), "a secret as it is");
        assert!(!dump.contains(&hex::encode(secret)), "a secret in hex");
        assert!(!dump.contains(&STANDARD.encode(secret)), "a secret in base64");
    }

    // Another organization's sealed secret, and a column's in another column.
    let moves = "update provider_credentials mine set secret = theirs.secret
                 from provider_credentials theirs
                 where mine.organization_id = $1 and theirs.organization_id = $2
                   and mine.provider = $3 and theirs.provider = $3";
    let theirs: Uuid = other.organization_id.parse().unwrap();
    for provider in ["vapi", "retell"] {
        let moved = world.db.execute(moves, &[&world.organization(), &theirs, &provider]).await;
        assert_eq!(moved.unwrap(), 1);
    }
    let swaps = "update provider_credentials set secret = shared_key, shared_key = secret
                 where organization_id = $1 and provider = 'twilio'";
    assert_eq!(world.db.execute(swaps, &[&world.organization()]).await.unwrap(), 1);
    tokio::time::sleep(FORGOTTEN).await;
    for (provider, secrets) in [
        (Provider::Vapi, [&other.vapi_secret, &second]),
        (Provider::Retell, [&other.retell_api_key, &world.demo.retell_api_key]),
        (Provider::Twilio, [&shared_key, &second]),
    ] {
        for secret in secrets {
            // What memory knows is good for another moment where Postgres takes its time.
            until(&format!("{provider} is refused"), FORGOTTEN, || async {
                let status = world.knock(own, provider, secret).await;
                [401, 503].contains(&status).then_some(())
            })
            .await;
        }
    }
    let at_home = world.knock(&other.organization_id, Provider::Vapi, &other.vapi_secret).await;
    assert_eq!(at_home, 200, "where it was sealed for, it opens");
    assert!(!world.log("serve").contains(&other.vapi_secret));
}

impl World {
    pub(crate) async fn key_with(&self, scopes: &[&str]) -> String {
        let key = DemoSecrets::generate().unwrap().shown().api_key;
        let sql = "insert into api_keys (id, organization_id, name, key_prefix, key_hash, scopes)
                   values ($1, $2, 'narrow', $3, $4, $5)";
        let hash = store::keys::hash(&key).to_vec();
        let (id, own) = (Uuid::now_v7(), self.organization());
        self.db.execute(sql, &[&id, &own, &&key[..10], &hash, &scopes]).await.unwrap();
        key
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_a_secret_wrong_settings_are_explained_and_keys_need_scopes() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let full = world.demo.api_key.clone();
    let secret = new_secret();
    let account = format!("AC{}", "0a".repeat(16));
    for (provider, settings, word) in [
        ("vapi", json!({ "algorithm": "md5" }), "HMAC plan"),
        ("vapi", json!({ "payloadFormat": "{timestamp}" }), "{body} once"),
        ("retell", json!({ "account_sid": account }), "must be empty"),
        ("twilio", json!({}), "account_sid"),
        ("twilio", json!({ "account_sid": account, "shared_key_id": "a,b" }), "shared_key_id"),
        ("twilio", json!(null), "object"),
    ] {
        let body = json!({ "secret": secret, "settings": settings });
        let path = format!("/{provider}");
        let (status, problem) = world.change(&full, Method::PUT, &path, &body).await;
        assert!([400, 422].contains(&status), "{body}: {status}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
        assert!(!problem.to_string().contains(&secret), "{problem}");
    }
    for (path, body, status) in [
        ("/vapi", json!({ "secret": "short" }), 400),
        ("/vapi", json!({ "secret": format!("{secret}\n") }), 400),
        ("/vapi", json!({ "secret": secret, "shared_key": secret }), 400),
        ("/vapi", json!({ "secret": [secret] }), 400),
        ("/vapi", json!({ "secrte": secret }), 400),
        ("/stripe", json!({ "secret": secret }), 400),
    ] {
        let (answered, problem) = world.change(&full, Method::PUT, path, &body).await;
        assert_eq!(answered, status, "{path} {problem}");
        assert!(!problem.to_string().contains(&secret), "{problem}");
    }
    let too_long = json!({ "secret": secret, "overlap_hours": 721 });
    let (status, problem) = world.change(&full, Method::POST, "/vapi/rotate", &too_long).await;
    assert_eq!(status, 400, "{problem}");
    let same = json!({ "secret": world.demo.vapi_secret });
    let (status, problem) = world.change(&full, Method::POST, "/vapi/rotate", &same).await;
    assert_eq!(status, 409, "{problem}");
    let (status, _) = world.change(&full, Method::DELETE, "/vapi/previous", &json!({})).await;
    assert_eq!(status, 404, "there is none");
    world.opens(Provider::Vapi, &world.demo.vapi_secret).await;

    world.rotate_by_api(Provider::Retell, &secret).await;
    let (_, listed) = world.get("/v1/provider-credentials").await;
    let (shown, errors, code) = world.cli(&["credentials", "list", "-o", "json"]).await;
    assert_eq!((code, listed["data"].as_array().map(Vec::len)), (0, Some(3)), "{errors}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), listed["data"]);
    let told = listed.to_string() + &shown + &errors + &world.log("serve");
    for kept in [&secret, &world.demo.vapi_secret, &world.demo.retell_api_key] {
        assert!(!told.contains(kept), "{listed}");
    }

    let reader = world.key_with(&["credentials:read", "calls:read"]).await;
    let (status, _) = world.change(&reader, Method::GET, "", &json!({})).await;
    assert_eq!(status, 200);
    let body = json!({ "secret": new_secret() });
    for (method, path) in [
        (Method::PUT, "/vapi"),
        (Method::POST, "/vapi/rotate"),
        (Method::DELETE, "/retell/previous"),
        (Method::DELETE, "/vapi"),
    ] {
        let (status, problem) = world.change(&reader, method, path, &body).await;
        assert_eq!(status, 403, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("credentials:write"), "{problem}");
    }
    let writer = world.key_with(&["credentials:write"]).await;
    assert_eq!(world.change(&writer, Method::GET, "", &json!({})).await.0, 403);
    assert_eq!(world.change(&writer, Method::POST, "/vapi/rotate", &body).await.0, 200);
    assert_eq!(world.change("none", Method::GET, "", &json!({})).await.0, 401);
    world.opens(Provider::Vapi, &world.demo.vapi_secret).await;
    world.opens(Provider::Retell, &world.demo.retell_api_key).await;
}

/// HMAC-SHA256 (RFC 2104) with a key of at most 64 bytes.
fn hmac(key: &str, text: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key.as_bytes());
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

/// The status of a request whose signing was followed by its answer at once: it is made again when
/// the machine was slow.
async fn promptly(request: impl Fn() -> RequestBuilder) -> u16 {
    for _ in 0..20 {
        let begun = Instant::now();
        let status = request().send().await.expect("an answer").status().as_u16();
        if begun.elapsed() < PROMPT {
            return status;
        }
    }
    panic!("no answer within {PROMPT:?}");
}

/// Seconds by which a sender's clock is off, and whether it is believed.
const CLOCKS: [(i64, bool); 5] =
    [(0, true), (-299, true), (299, true), (-301, false), (301, false)];

#[tokio::test(flavor = "multi_thread")]
async fn clocks_may_be_off_by_300_seconds_and_the_newer_schemes_hold() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let own = &world.demo.organization_id;
    let url = world.webhook_url(own, Provider::Retell);
    for (seconds, accepted) in CLOCKS {
        let status = promptly(|| {
            let (body, now) = (opening(Provider::Retell), Utc::now());
            let at = now + TimeDelta::seconds(seconds);
            let signature =
                retell::auth::sign(&body, &world.demo.retell_api_key.clone().into(), at);
            world.http.post(&url).header("x-retell-signature", signature).body(body)
        })
        .await;
        assert_eq!(status, if accepted { 204 } else { 401 }, "Retell at {seconds} s");
    }

    let secret = new_secret();
    let plan = r#"{"signatureHeader":"x-own-signature","timestampHeader":"x-own-time",
        "signaturePrefix":"sha256=","payloadFormat":"{timestamp}.{body}"}"#;
    world.credentials(&["set", "--settings", plan], Provider::Vapi, &secret).await;
    let url = world.webhook_url(own, Provider::Vapi);
    let signed = |secret: &str, seconds: i64| {
        let body = opening(Provider::Vapi);
        let time = (Utc::now() + TimeDelta::seconds(seconds)).timestamp_millis().to_string();
        let digest = hmac(secret, &[time.as_bytes(), b".", &body].concat());
        let signature = format!("sha256={}", hex::encode(digest));
        let request = world.http.post(&url).header("x-own-time", time);
        request.header("x-own-signature", signature).body(body)
    };
    for (seconds, accepted) in CLOCKS {
        let status = promptly(|| signed(&secret, seconds)).await;
        assert_eq!(status, if accepted { 200 } else { 401 }, "Vapi at {seconds} s");
    }
    assert_eq!(promptly(|| signed(&new_secret(), 0)).await, 401);

    let (shared, file) = (new_secret(), world.folder.join("shared-key"));
    std::fs::write(&file, &shared).unwrap();
    let settings =
        json!({ "account_sid": world.demo.twilio_account_sid, "shared_key_id": "WK1" }).to_string();
    let file = file.display().to_string();
    let set = ["set", "--shared-key-file", &file, "--settings", &settings];
    let token = world.demo.twilio_auth_token.clone();
    world.credentials(&set, Provider::Twilio, &token).await;
    let url = world.webhook_url(own, Provider::Twilio);
    let by_key = |id: &str, secret: &str| {
        let body = opening(Provider::Twilio);
        let mut pairs: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
        pairs.sort();
        let signed: String = pairs.into_iter().flat_map(|(name, value)| [name, value]).collect();
        let signature = STANDARD.encode(hmac(secret, format!("{url}{signed}").as_bytes()));
        let names = format!("key={id},algorithm=HMAC_SHA256");
        let request = world.http.post(&url).header("x-twilio-signature", signature);
        let request = request.header("x-twilio-webhooks-signature-settings", names);
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    assert_eq!(promptly(|| by_key("WK1", &shared)).await, 204);
    assert_eq!(promptly(|| by_key("WK2", &shared)).await, 401, "another key's name");
    assert_eq!(promptly(|| by_key("WK1", &token)).await, 401, "the auth token is no shared key");
    world.opens(Provider::Twilio, &token).await;
}
