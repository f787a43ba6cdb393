//! The server on this machine that events are posted to.

use std::{fmt, slice, time::Duration};

use anyhow::Context;
use chrono::Utc;
use providers::webhook_out::sign;
use reqwest::{Client, redirect::Policy};
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

use crate::cli::Failed;

/// As for a delivery.
const TIMEOUT: Duration = Duration::from_secs(10);
/// As a delivery's.
const USER_AGENT: &str = concat!("postcall/", env!("CARGO_PKG_VERSION"));

/// Where events go.
pub(super) struct Receiver {
    http: Client,
    url: Url,
    secret: SecretString,
}

/// What came of posting an event.
#[derive(Debug)]
pub(super) struct Outcome {
    /// HTTP status, where there was an answer.
    pub(super) status: Option<u16>,
    /// `timeout` or `connect` where there was none.
    pub(super) error: Option<&'static str>,
    latency: Duration,
}

impl Outcome {
    /// From request to answer, in milliseconds.
    pub(super) fn latency_ms(&self) -> u64 {
        u64::try_from(self.latency.as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => write!(f, "{}", self.error.unwrap_or("connect"))?,
        }
        write!(f, " {} ms", self.latency_ms())
    }
}

impl Receiver {
    /// A receiver at `url`. Its own addresses are the user's word: no guard looks at them.
    pub(super) fn new(
        url: Url,
        secret: SecretString,
        any_certificate: bool,
    ) -> Result<Self, Failed> {
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Failed::Usage("--forward-to: an http or https URL".to_owned()));
        }
        let http = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .user_agent(USER_AGENT)
            .no_proxy()
            .danger_accept_invalid_certs(any_certificate)
            .build()
            .context("no HTTP client")?;
        Ok(Self { http, url, secret })
    }

    /// Posts a body once, signed as a delivery is.
    pub(super) async fn post(&self, id: &str, body: String) -> Outcome {
        let begun = Instant::now();
        let now = Utc::now().timestamp();
        let Ok(signature) = sign(id, now, body.as_bytes(), slice::from_ref(&self.secret)) else {
            return Outcome { status: None, error: Some("unsigned"), latency: begun.elapsed() };
        };
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature)
            .body(body);
        let (status, error) = match request.send().await {
            Ok(answer) => (Some(answer.status().as_u16()), None),
            Err(error) if error.is_timeout() => (None, Some("timeout")),
            Err(_) => (None, Some("connect")),
        };
        Outcome { status, error, latency: begun.elapsed() }
    }
}
