//! Supabase: Realtime, which tells open dashboards that something changed, and the access tokens of its
//! Auth.

mod jwks;
pub mod tokens;

use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    error::ProviderError,
    http::{self, SetupError},
    operation::Operation,
};

/// A dashboard that looks late is better than a call that waits.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Twice the same broadcast makes a dashboard look twice, no more.
const BROADCAST: Operation =
    Operation { provider: "supabase", name: "broadcast", repeatable: true };

/// Broadcasts to private channels.
#[derive(Debug, Clone)]
pub struct Broadcaster {
    client: Client,
    url: Url,
    service_key: SecretString,
}

impl Broadcaster {
    /// `service_key` must be of the service role: Realtime drops what a role may not write, and
    /// still answers 202.
    ///
    /// # Errors
    /// When `supabase_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(supabase_url: &str, service_key: SecretString) -> Result<Self, SetupError> {
        Self::with_timeout(supabase_url, service_key, TIMEOUT)
    }

    fn with_timeout(
        supabase_url: &str,
        service_key: SecretString,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        let base_url = http::base_url("supabase", supabase_url)?;
        let url = http::under(&base_url, &["realtime", "v1", "api", "broadcast"]);
        Ok(Self { client: http::client(timeout)?, url, service_key })
    }

    /// Sends one event to a private channel. `topic` is the bare channel name.
    ///
    /// # Errors
    /// `Rejected` for a wrong key or payload; everything else may be repeated.
    pub async fn broadcast(
        &self,
        topic: &str,
        event: &str,
        payload: &Value,
    ) -> Result<(), ProviderError> {
        let body = json!({
            "messages": [{ "topic": topic, "event": event, "payload": payload, "private": true }],
        });
        let key = self.service_key.expose_secret();
        let mut request = self.client.post(self.url.clone()).header("apikey", key).json(&body);
        // The new keys (`sb_secret_…`) are no tokens and are refused in `Authorization`.
        if key.starts_with("eyJ") {
            request = request.bearer_auth(key);
        }
        let answer = BROADCAST.send(request).await?;
        match answer.status {
            StatusCode::ACCEPTED => Ok(()),
            status if status.is_success() => Err(BROADCAST.malformed(status)),
            _ => Err(BROADCAST.refused(&answer, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        canned::{Reply, serve},
        error::ErrorKind,
    };

    const REQUEST: &str = include_str!("../../tests/fixtures/supabase/broadcast_request.json");

    async fn broadcast(reply: Reply, key: &str) -> (Result<(), ProviderError>, Vec<String>) {
        let server = serve([reply]).await;
        let timeout = Duration::from_millis(500);
        let broadcaster =
            Broadcaster::with_timeout(&server.url, key.into(), timeout).expect("client");
        let sent: Value = serde_json::from_str(REQUEST).expect("a fixture");
        let sent = &sent["messages"][0];
        let text = |name: &str| sent[name].as_str().expect("text");
        let result = broadcaster.broadcast(text("topic"), text("event"), &sent["payload"]).await;
        (result, server.requests())
    }

    #[tokio::test]
    async fn a_private_event_is_sent_as_the_fixture_has_it() {
        let accepted = || Reply::With(202, String::new(), Vec::new());
        let (result, requests) = broadcast(accepted(), "sb_secret_1").await;
        assert!(result.is_ok());
        let (head, body) = requests[0].split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("POST /realtime/v1/api/broadcast HTTP/1.1"));
        assert!(head.contains("apikey: sb_secret_1") && !head.contains("authorization"));
        let parse = |text| serde_json::from_str::<Value>(text).expect("json");
        assert_eq!(parse(body), parse(REQUEST));
        let (_, requests) = broadcast(accepted(), "eyJhbGciOi").await;
        assert!(requests[0].contains("authorization: Bearer eyJhbGciOi"));
    }

    #[tokio::test]
    async fn other_answers_are_errors() {
        let refusal = |status| ErrorKind::Rejected { code: format!("http-{status}") };
        let ambiguous = |status| ErrorKind::Ambiguous { status, repeatable: true };
        let limited = ErrorKind::Unavailable { status: Some(429), retry_after: None };
        for (reply, kind) in [
            (Reply::Json(401, "{}".into()), refusal(401)),
            (Reply::Json(422, "{}".into()), refusal(422)),
            (Reply::Json(429, "{}".into()), limited),
            (Reply::Json(503, "{}".into()), ambiguous(Some(503))),
            (Reply::Json(200, "{}".into()), ErrorKind::Malformed),
            (Reply::Hang, ambiguous(None)),
        ] {
            let (result, requests) = broadcast(reply, "k").await;
            assert_eq!(result.expect_err("refused").kind, kind);
            assert_eq!(requests.len(), 1);
        }
    }
}
