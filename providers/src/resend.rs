//! Resend's email API. Its idempotency keys (24 h) make every repetition of a request harmless.

use std::time::Duration;

use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    error::{ErrorKind, ProviderError},
    http::{self, MAX_RETRY_AFTER, SetupError},
    operation::{Answer, Operation},
};

/// Longest key that Resend takes, in characters.
const MAX_KEY_CHARS: usize = 256;

const SEND: Operation = Operation { provider: "resend", name: "send", repeatable: true };

/// One email. Its `Debug` is deliberately missing: it is personal data throughout.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct EmailMessage {
    /// The one recipient: nobody learns who else was told.
    pub to: String,
    /// Subject line.
    pub subject: String,
    /// Body for those who read HTML.
    pub html: String,
    /// Body for those who do not.
    pub text: String,
}

/// Sends from one address of a verified domain.
#[derive(Debug, Clone)]
pub struct ResendClient {
    client: Client,
    url: Url,
    key: SecretString,
    from: String,
}

#[derive(Serialize)]
struct Request<'a> {
    from: &'a str,
    #[serde(flatten)]
    message: &'a EmailMessage,
}

#[derive(Deserialize)]
struct Sent {
    id: String,
}

#[derive(Deserialize)]
struct Refusal {
    name: Option<String>,
}

impl ResendClient {
    /// `from` as in `Voice Co <calls@example.com>`.
    ///
    /// # Errors
    /// When `base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(base_url: &str, key: SecretString, from: &str) -> Result<Self, SetupError> {
        Self::with_timeout(base_url, key, from, http::TOTAL_TIMEOUT)
    }

    fn with_timeout(
        base_url: &str,
        key: SecretString,
        from: &str,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        let base_url = http::base_url("resend", base_url)?;
        let url = http::under(&base_url, &["emails"]);
        Ok(Self { client: http::client(timeout)?, url, key, from: from.to_owned() })
    }

    /// Sends an email and returns Resend's id. The same key with the same message sends one email,
    /// however often it is called within 24 h.
    ///
    /// # Errors
    /// `Rejected` with Resend's error name; everything else may be repeated with the same key.
    pub async fn send(
        &self,
        message: &EmailMessage,
        idempotency_key: &str,
    ) -> Result<String, ProviderError> {
        if idempotency_key.is_empty() || idempotency_key.chars().count() > MAX_KEY_CHARS {
            return Err(SEND.rejected("invalid_idempotency_key"));
        }
        let request = self
            .client
            .post(self.url.clone())
            .bearer_auth(self.key.expose_secret())
            .header("idempotency-key", idempotency_key)
            .json(&Request { from: &self.from, message });
        let answer = SEND.send(request).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let sent: Sent = answer.json().ok_or_else(|| SEND.malformed(answer.status))?;
        Ok(sent.id)
    }
}

fn refused(answer: &Answer) -> ProviderError {
    let name = answer.json::<Refusal>().and_then(|refusal| refusal.name);
    match name.as_deref() {
        Some("concurrent_idempotent_requests" | "resource_locked") => SEND.unavailable(answer),
        // A quota comes back with the day or the month, not with the next second.
        Some("daily_quota_exceeded" | "monthly_quota_exceeded") => {
            SEND.error(ErrorKind::Unavailable {
                status: Some(answer.status.as_u16()),
                retry_after: Some(MAX_RETRY_AFTER),
            })
        }
        _ => SEND.refused(answer, name.filter(|name| is_error_name(name))),
    }
}

/// Error names are identifiers; anything else could be a text with an address in it.
fn is_error_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::canned::{Reply, serve};

    fn message() -> EmailMessage {
        EmailMessage {
            to: "owner@example.com".into(),
            subject: "Call summary".into(),
            html: "<p>Booked.</p>".into(),
            text: "Booked.".into(),
        }
    }

    async fn send(reply: Reply, key: &str) -> (Result<String, ProviderError>, Vec<String>) {
        let server = serve([reply]).await;
        let timeout = Duration::from_millis(500);
        let client = ResendClient::with_timeout(
            &server.url,
            "re_1".into(),
            "Co <calls@example.com>",
            timeout,
        )
        .expect("client");
        (client.send(&message(), key).await, server.requests())
    }

    macro_rules! resend {
        ($name:literal) => {
            include_str!(concat!("../../tests/fixtures/resend/", $name)).to_owned()
        };
    }

    #[tokio::test]
    async fn an_email_carries_its_key() {
        let (sent, requests) = send(Reply::Json(200, resend!("send_200.json")), "call/1/x").await;
        assert_eq!(sent.expect("sent"), "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794");
        let (head, body) = requests[0].split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("POST /emails HTTP/1.1"));
        for line in
            ["idempotency-key: call/1/x", "authorization: Bearer re_1", "user-agent: postcall/"]
        {
            assert!(head.contains(line), "{line}");
        }
        let body: Value = serde_json::from_str(body).expect("json");
        assert_eq!(body["from"], "Co <calls@example.com>");
        assert_eq!(body["to"], "owner@example.com");
    }

    #[tokio::test]
    async fn refusals_are_classified_by_name() {
        let rejected = |code: &str| ErrorKind::Rejected { code: code.to_owned() };
        let unavailable = |status, seconds: Option<u64>| ErrorKind::Unavailable {
            status: Some(status),
            retry_after: seconds.map(Duration::from_secs),
        };
        let ambiguous = |status| ErrorKind::Ambiguous { status, repeatable: true };
        let limited = Reply::With(
            429,
            "retry-after: 2\r\n".into(),
            resend!("error_429_rate_limit.json").into_bytes(),
        );
        let json = Reply::Json;
        for (reply, kind) in [
            (json(401, resend!("error_401_missing_api_key.json")), rejected("missing_api_key")),
            (json(403, resend!("error_403_domain.json")), rejected("validation_error")),
            (
                json(422, resend!("error_422_missing_required_field.json")),
                rejected("missing_required_field"),
            ),
            (
                json(409, resend!("error_409_invalid_idempotent_request.json")),
                rejected("invalid_idempotent_request"),
            ),
            (json(409, resend!("error_409_concurrent.json")), unavailable(409, None)),
            (limited, unavailable(429, Some(2))),
            (json(429, resend!("error_429_daily_quota.json")), unavailable(429, Some(3600))),
            (json(400, r#"{"name":"owner@example.com"}"#.into()), rejected("http-400")),
            (json(500, resend!("error_500.json")), ambiguous(Some(500))),
            (json(200, "<html>".into()), ErrorKind::Malformed),
            (Reply::Endless, ErrorKind::Malformed),
            (Reply::Hang, ambiguous(None)),
            (Reply::Cut, ambiguous(None)),
        ] {
            let (result, requests) = send(reply, "k").await;
            let error = result.expect_err("refused");
            assert_eq!(error.kind, kind);
            assert_eq!(error.can_retry(), !matches!(kind, ErrorKind::Rejected { .. }));
            assert_eq!(requests.len(), 1, "{error}: sent once");
            assert!(!format!("{error} {error:?}").contains("example.com"));
        }
    }

    #[tokio::test]
    async fn unusable_keys_are_refused_here() {
        for key in [String::new(), "k".repeat(257), "a\nb".into()] {
            let (result, requests) = send(Reply::Json(200, "{}".into()), &key).await;
            assert!(!result.expect_err("refused").can_retry());
            assert!(requests.is_empty());
        }
    }
}
