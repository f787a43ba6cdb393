//! Messages as a receiver has them, and tests of endpoints that are waited for.

use std::time::Duration;

use chrono::Utc;
use postcall::dev::fakes::{Filter, Kind};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;

/// How far a receiver's clock may be away.
const TOLERANCE: Duration = Duration::from_secs(300);

/// A message that reached a fake receiver.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) headers: Value,
    /// The exact text of the body.
    pub(super) raw: String,
}

impl Arrived {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].as_str().unwrap_or_default()
    }

    pub(super) fn body(&self) -> Value {
        serde_json::from_str(&self.raw).unwrap()
    }

    /// Each signature by itself.
    pub(super) fn signatures(&self) -> Vec<&str> {
        self.header("webhook-signature").split(' ').collect()
    }

    /// Whether one of the signatures, or this one, was made with the secret.
    pub(super) fn fits(&self, signature: &str, secret: &str) -> bool {
        providers::webhook_out::verify(
            self.header("webhook-id"),
            self.header("webhook-timestamp"),
            signature,
            self.raw.as_bytes(),
            &[secret.into()],
            Utc::now(),
            TOLERANCE,
        )
        .is_ok()
    }

    pub(super) fn is_genuine(&self, secret: &str) -> bool {
        self.fits(self.header("webhook-signature"), secret)
    }
}

impl World {
    /// What reached a fake receiver, in its order.
    pub(super) fn arrived_at(&self, name: &str) -> Vec<Arrived> {
        let filter =
            Filter { kind: Some(Kind::Webhook), key: Some(name.to_owned()), ..Filter::default() };
        let effects = self.fakes.effects().list(&filter);
        let request = |effect| {
            let request = serde_json::to_value(effect).unwrap()["request"].clone();
            let raw = request["raw"].as_str().unwrap().to_owned();
            Arrived { headers: request["headers"].clone(), raw }
        };
        effects.iter().map(request).collect()
    }

    /// Sends a test to an endpoint; gives its first attempt as the API tells it.
    pub(super) async fn tried(&self, endpoint: Uuid) -> Value {
        let test = format!("/{endpoint}/test");
        let asked = json!({ "wait": true });
        let tested = self.webhooks(Method::POST, &test, Some(&asked)).await.with(200);
        tested["attempt"].clone()
    }
}
