//! No header makes a signature check panic, or pass without the secret. What is signed with the
//! secret passes, until a bit of it changes.

#![no_main]

mod retell;
mod twilio;
mod vapi;

use contract::call::Provider;
use fuzz::request::Request;
use hmac::{KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use providers::settings;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A request, and what makes the difference between a true one and a forged one.
struct Attempt<'a> {
    request: &'a Request<'a>,
    /// One that the organization shares with the provider.
    secret: &'a SecretString,
    /// One that the sender cannot know: no input holds its own hash.
    unknown: &'a SecretString,
    /// The body with one bit changed.
    changed: Vec<u8>,
}

fuzz_target!(|input: &[u8]| {
    let Some(request) = Request::of(input) else { return };
    settings_are_checked(&request.setting);

    let is_empty = |secret: &&SecretString| secret.expose_secret().is_empty();
    let secret = request.secrets.iter().find(|secret| !is_empty(secret));
    let passed = passes(&request, &request.secrets);
    assert!(!passed || secret.is_some(), "passed without a secret");
    let digest = Sha256::digest(input);
    let unknown = SecretString::from(hex::encode(digest));
    assert!(!passes(&request, &[SecretString::default(), unknown.clone()]), "passed unknown");

    let Some(secret) = secret else { return };
    let changed = flipped(request.body, usize::from(u16::from_be_bytes([digest[0], digest[1]])));
    let attempt = Attempt { request: &request, secret, unknown: &unknown, changed };
    match request.provider {
        Provider::Vapi => vapi::try_all(&attempt),
        Provider::Retell => retell::try_all(&attempt),
        Provider::Twilio => twilio::try_all(&attempt),
    }
});

/// As they are written by the customer.
fn settings_are_checked(setting: &str) {
    let Ok(setting) = serde_json::from_str::<Value>(setting) else { return };
    for provider in Provider::ALL {
        let checked = settings::check(*provider, &setting);
        assert_eq!(checked, settings::check(*provider, &setting), "checking is pure");
    }
}

/// Whether the request as it came passes.
fn passes(request: &Request<'_>, secrets: &[SecretString]) -> bool {
    let Request { provider, headers, body, now, .. } = request;
    match provider {
        Provider::Vapi => vapi::verify(&vapi::plan(request), headers, body, secrets, *now).is_ok(),
        Provider::Retell => retell::passes(headers, body, secrets, *now),
        Provider::Twilio => twilio::passes(headers, &request.setting, body, secrets),
    }
}

/// An empty body gets a byte instead.
fn flipped(body: &[u8], place: usize) -> Vec<u8> {
    let mut changed = body.to_vec();
    match changed.len() {
        0 => changed.push(b'x'),
        length => changed[place / 8 % length] ^= 1 << (place % 8),
    }
    changed
}

fn hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key).expect("a key of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}
