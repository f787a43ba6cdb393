//! Events on their way to postcall: signed, and repeated until they are taken.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::Utc;
use providers::{http, stripe};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::StripeSettings;

/// Stripe waits 20 s for an answer; who takes longer than this has a fault worth seeing.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often an event is posted, and the pause between; Stripe goes on for three days.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Why an event was not posted, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The settings name no URL or no secret.
    #[error("stripe: no webhook_url and webhook_secret; PUT /admin/stripe/settings sets them")]
    NoTarget,
    /// No HTTP client.
    #[error("stripe: no HTTP client for webhooks")]
    Client(#[source] http::SetupError),
    /// Nobody answered. Trying again may help.
    #[error("stripe: the webhook was not answered")]
    Unanswered(#[source] reqwest::Error),
}

/// Where events go, and how the fake behaves otherwise.
#[derive(Debug)]
pub(super) struct Webhook {
    settings: Mutex<StripeSettings>,
    stopping: CancellationToken,
}

impl Webhook {
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self { settings: Mutex::default(), stopping }
    }

    pub(super) fn settings(&self) -> StripeSettings {
        self.lock().clone()
    }

    pub(super) fn configure(&self, settings: StripeSettings) {
        *self.lock() = settings;
    }

    /// Posts once. Signed with this machine's time: whoever checks it has no other clock.
    pub(super) async fn post(&self, event: &Value) -> Result<u16, NotSent> {
        let settings = self.settings();
        let target = settings.webhook_url.zip(settings.webhook_secret);
        let (url, secret) = target.ok_or(NotSent::NoTarget)?;
        let body = event.to_string();
        let signature = stripe::sign(body.as_bytes(), &secret, Utc::now());
        let request = http::client(TIMEOUT).map_err(NotSent::Client)?.post(url);
        let request = request.header("content-type", "application/json");
        let request = request.header("stripe-signature", signature).body(body);
        let response = request.send().await.map_err(NotSent::Unanswered)?;
        Ok(response.status().as_u16())
    }

    /// Posts after a time, again and again until it is taken; nothing without a target.
    pub(super) fn deliver_later(self: &Arc<Self>, event: Value, after_ms: u64) {
        let webhook = Arc::clone(self);
        tokio::spawn(async move {
            let stopping = webhook.stopping.clone();
            stopping.run_until_cancelled(webhook.deliver(&event, after_ms)).await;
        });
    }

    async fn deliver(&self, event: &Value, after_ms: u64) {
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        for _ in 0..ATTEMPTS {
            match self.post(event).await {
                Ok(200..300) | Err(NotSent::NoTarget) => return,
                Ok(status) => tracing::debug!(status, "an event of Stripe's fake was refused"),
                Err(error) => tracing::debug!(%error, "an event of Stripe's fake was not sent"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, StripeSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
