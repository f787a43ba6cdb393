use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::*;

const VECTORS: &str = include_str!("../../../../tests/fixtures/vectors.json");
const COMPLETED: &[u8] =
    include_bytes!("../../../../tests/fixtures/twilio/voice_status_completed.form");
const FORM: &str = "application/x-www-form-urlencoded";
const KEY: &str = "webhooks_sharedkey_1";
const KEY_NAMED: &str = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";

/// A signed request as it arrives, and the secret that signed it.
#[derive(Debug, Clone)]
struct Request {
    token: String,
    url: String,
    media: &'static str,
    body: Vec<u8>,
    signature: String,
    settings: Option<&'static str>,
}

impl Request {
    fn of_vector(vector: &Value, shared: bool) -> Self {
        let field = |name: &str| vector[name].as_str().expect("text").to_owned();
        let (media, body) = match vector["body"].as_str() {
            Some(body) => ("application/json", body.to_owned()),
            None => (FORM, encoded(&vector["params"])),
        };
        let column = if shared { "signature_hmac_sha256_sharedkey" } else { "signature" };
        Self {
            token: field("auth_token"),
            url: field("url"),
            media,
            body: body.into_bytes(),
            signature: field(column),
            settings: shared.then_some(KEY_NAMED),
        }
    }

    fn headers(&self) -> HeaderMap {
        let written = [
            ("content-type", Some(self.media)),
            (SIGNATURE, Some(self.signature.as_str())),
            (SETTINGS, self.settings),
        ];
        let present = written.into_iter().filter_map(|(name, value)| Some((name, value?)));
        present
            .filter_map(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
            })
            .collect()
    }

    /// Checked with `tokens`, and with the request's own secret as the shared key.
    fn checked_with(&self, tokens: &[&str]) -> bool {
        let tokens: Vec<SecretString> = tokens.iter().map(|text| (*text).into()).collect();
        let secret = SecretString::from(self.token.as_str());
        let keys = Keys { auth_tokens: &tokens, shared_key: Some((KEY, &secret)) };
        verify(&self.headers(), &self.url, &self.body, &keys).is_ok()
    }

    fn is_accepted(&self) -> bool {
        self.checked_with(&[&self.token])
    }

    fn signed_anew(mut self) -> Self {
        let parameters = sorted_parameters(&self.body).expect("not too many");
        self.signature = hmac_sha1(self.token.as_bytes(), &self.url, &parameters).expect("a key");
        self
    }
}

fn encoded(params: &Value) -> String {
    let mut form = Serializer::new(String::new());
    for (name, value) in params.as_object().expect("parameters") {
        let one = std::slice::from_ref(value);
        for value in value.as_array().map_or(one, Vec::as_slice) {
            form.append_pair(name, value.as_str().expect("text"));
        }
    }
    form.finish()
}

fn vectors() -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    vectors["twilio"].as_array().expect("a list").clone()
}

fn requests() -> Vec<Request> {
    let both = |vector| [false, true].map(|shared| Request::of_vector(vector, shared));
    vectors().iter().flat_map(both).collect()
}

fn completed() -> Request {
    let request = Request::of_vector(&vectors()[0], false);
    Request { body: COMPLETED.to_vec(), ..request }
}

#[test]
fn every_official_vector_is_accepted_by_both_schemes() {
    let requests = requests();
    assert_eq!(requests.len(), 20);
    for request in requests {
        assert!(request.is_accepted(), "{request:?}");
    }
    assert!(completed().is_accepted(), "the fixture's own bytes");
}

#[test]
fn twilios_documented_example_is_accepted() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    assert!(Request::of_vector(&vectors["twilio_docs"], false).is_accepted());
}

#[test]
fn the_previous_token_is_accepted_and_no_other() {
    let request = completed();
    let token = request.token.as_str();
    for tokens in [vec![token], vec!["new", token], vec![token, "old"], vec!["", token]] {
        assert!(request.checked_with(&tokens), "{tokens:?}");
    }
    for tokens in [vec![], vec!["new", "old"], vec![""], vec![&token[1..]]] {
        assert!(!request.checked_with(&tokens), "{tokens:?}");
    }
    let empty = Request { token: String::new(), ..request.clone() };
    assert!(!empty.signed_anew().is_accepted(), "an empty secret is one that everyone knows");
}

#[test]
fn a_named_shared_key_is_the_only_one_that_counts() {
    let shared = Request::of_vector(&vectors()[0], true);
    assert!(shared.checked_with(&[]));
    for settings in [
        "key=another,algorithm=HMAC_SHA256",
        "key=webhooks_sharedkey_1,algorithm=HMAC_SHA1",
        "key=webhooks_sharedkey_1,algorithm=HMAC_SHA512",
        "key=webhooks_sharedkey_1",
        "algorithm=HMAC_SHA256",
        "key=another,key=webhooks_sharedkey_1,algorithm=HMAC_SHA256",
        "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256,algorithm=HMAC_SHA1",
        "",
    ] {
        let renamed = Request { settings: Some(settings), ..shared.clone() };
        assert!(!renamed.is_accepted(), "{settings}");
        let by_token = Request { settings: Some(settings), ..completed() };
        assert!(!by_token.is_accepted(), "fell back to the token: {settings}");
    }
    let spaced = Some("algorithm=HMAC_SHA256, key=webhooks_sharedkey_1, version=2");
    assert!(Request { settings: spaced, ..shared.clone() }.is_accepted());
    assert!(!Request { settings: Some(KEY_NAMED), ..completed() }.is_accepted());
    assert!(!Request { settings: None, ..shared.clone() }.is_accepted());

    let verify_with = |shared_key| {
        let tokens = [SecretString::from(shared.token.as_str())];
        let keys = Keys { auth_tokens: &tokens, shared_key };
        verify(&shared.headers(), &shared.url, &shared.body, &keys)
    };
    let empty = SecretString::default();
    assert_eq!(verify_with(None), Err(Forged));
    assert_eq!(verify_with(Some((KEY, &empty))), Err(Forged));
}

#[test]
fn doubled_and_missing_headers_are_refused() {
    let request = completed();
    let tokens = [SecretString::from(request.token.as_str())];
    let keys = Keys { auth_tokens: &tokens, shared_key: None };
    let check = |headers: &HeaderMap| verify(headers, &request.url, &request.body, &keys);
    assert_eq!(check(&request.headers()), Ok(()));
    for name in [SIGNATURE, "content-type"] {
        let mut headers = request.headers();
        headers.append(HeaderName::from_static(name), headers[name].clone());
        assert_eq!(check(&headers), Err(Forged), "{name} twice");
        headers.remove(name);
        assert_eq!(check(&headers), Err(Forged), "no {name}");
    }
    let mut shared = Request::of_vector(&vectors()[0], true).headers();
    shared.append(SETTINGS, HeaderValue::from_static(KEY_NAMED));
    let keys = Keys { auth_tokens: &tokens, shared_key: Some((KEY, &tokens[0])) };
    assert_eq!(verify(&shared, &request.url, &request.body, &keys), Err(Forged));
}

#[test]
fn ports_may_be_written_or_left_out_and_fragments_do_not_count() {
    let signed_for = |url: &str| Request { url: url.to_owned(), ..completed() }.signed_anew();
    let arrives_at = |request: &Request, url: &str| {
        Request { url: url.to_owned(), ..request.clone() }.is_accepted()
    };
    for (signed, arrived) in [
        ("https://a.example/x?q=1", "https://a.example:443/x?q=1"),
        ("http://a.example/x", "http://a.example:80/x"),
        ("https://a.example", "https://a.example:443"),
        ("https://a.example?q", "https://a.example:443?q"),
        ("http://[::1]/x", "http://[::1]:80/x"),
    ] {
        assert!(arrives_at(&signed_for(signed), arrived), "{signed} at {arrived}");
        assert!(arrives_at(&signed_for(arrived), signed), "{arrived} at {signed}");
        assert!(arrives_at(&signed_for(signed), &format!("{signed}#rc=5&rp=all")), "{signed}");
    }
    // Both SDKs try without any port.
    assert!(arrives_at(&signed_for("https://a.example/x"), "https://a.example:8443/x"));
    for (signed, arrived) in [
        ("https://a.example:80/x", "https://a.example/x"),
        ("https://a.example:8443/x", "https://a.example/x"),
        ("https://a.example/x", "http://a.example/x"),
        ("https://a.example/x", "https://a.example/x?"),
    ] {
        assert!(!arrives_at(&signed_for(signed), arrived), "{signed} at {arrived}");
    }
}

#[test]
fn a_body_that_no_signature_covers_is_refused() {
    let json = vectors().iter().find(|vector| vector["body"].is_string()).cloned();
    let request = Request::of_vector(&json.expect("a vector"), false);
    assert!(request.is_accepted());
    let (base, hash) = request.url.split_once('=').expect("a hash");
    let resigned = |url: String| {
        let signature = hmac_sha1(request.token.as_bytes(), &url, "").expect("a key");
        Request { url, signature, ..request.clone() }
    };
    assert!(resigned(format!("{base}={}", hash.to_uppercase())).is_accepted());
    assert!(resigned(format!("{base}={hash}&tenant=1")).is_accepted());
    let path = base.trim_end_matches("?bodySHA256");
    for url in [
        path.to_owned(),
        format!("{base}="),
        format!("{base}={}", &hash[2..]),
        format!("{base}={}", "0".repeat(64)),
        format!("{base}={hash}&bodySHA256={hash}"),
        format!("{path}#bodySHA256={hash}"),
    ] {
        assert!(!resigned(url.clone()).is_accepted(), "{url}");
    }
    let other = Request { body: b"{}".to_vec(), ..request.clone() };
    assert!(!other.is_accepted());
    let form = Request { media: FORM, ..request.clone() };
    assert!(form.is_accepted(), "the hash covers a body of any type");
    for media in ["application/json", "text/plain", "", "application/x-www-form-urlencodedx"] {
        assert!(!Request { media, ..completed() }.is_accepted(), "{media}");
    }
    let charset = "Application/X-WWW-Form-Urlencoded; charset=utf-8";
    assert!(Request { media: charset, ..completed() }.is_accepted());
}

#[test]
fn too_many_parameters_are_refused() {
    let many = |count: usize| {
        let body = (0..count).map(|n| format!("p{n}=1&")).collect::<String>().into_bytes();
        Request { body, ..completed() }
    };
    assert!(many(MAX_PARAMETERS).signed_anew().is_accepted());
    assert_eq!(sorted_parameters(&many(MAX_PARAMETERS + 1).body), None);
    assert!(!many(1_000_000).is_accepted());
}

#[test]
fn parameters_are_sorted_by_name_then_value_and_counted_once() {
    let sorted = |body: &str| sorted_parameters(body.as_bytes()).expect("few");
    assert_eq!(sorted("b=2&a=z&a=y&a=z&B=&empty="), "Bayazb2empty");
    assert_eq!(sorted("a=%2B+%C3%B1"), "a+ \u{f1}");
    assert_eq!(sorted(""), "");
}

proptest! {
    #[test]
    fn any_flipped_byte_fails(
        request in prop::sample::select(requests()),
        part in 0_usize..3,
        index in any::<prop::sample::Index>(),
        flip in 1_u8..128,
    ) {
        let mut changed = request.clone();
        let mut text = match part {
            0 => changed.body.clone(),
            1 => changed.url.clone().into_bytes(),
            _ => changed.signature.clone().into_bytes(),
        };
        prop_assume!(!text.is_empty());
        let at = index.index(text.len());
        prop_assume!(text[at] < 0x80 || part == 0);
        text[at] ^= flip;
        match part {
            // Twilio signs a set of pairs without separators: what is the same as that is the same
            // to its signature.
            0 if request.media == FORM => {
                prop_assume!(sorted_parameters(&text) != sorted_parameters(&request.body));
                changed.body = text;
            }
            0 => changed.body = text,
            1 => changed.url = String::from_utf8(text).expect("ASCII"),
            _ => changed.signature = String::from_utf8(text).expect("ASCII"),
        }
        prop_assert!(request.is_accepted());
        prop_assert!(!changed.is_accepted());
    }

    #[test]
    fn nothing_panics(
        url in "\\PC{0,40}",
        body in prop::collection::vec(any::<u8>(), 0..200),
        settings in "[a-z=,A-Z0-9_ ]{0,40}",
    ) {
        let request = Request { url, body, ..completed() };
        prop_assert!(!request.is_accepted());
        let mut headers = request.headers();
        headers.insert(SETTINGS, HeaderValue::from_str(&settings).expect("ASCII"));
        let keys = Keys { auth_tokens: &[], shared_key: None };
        prop_assert_eq!(verify(&headers, &request.url, &request.body, &keys), Err(Forged));
    }
}
