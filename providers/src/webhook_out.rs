//! Webhooks to customers: Standard Webhooks 1.0.0 signatures and one attempt at one delivery.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Response, header::CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use url::Url;

use crate::{
    egress::{self, Egress},
    http::{self, BodyError, SetupError},
};

/// Largest response read, in bytes; nobody needs more to say that a message arrived.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// How much of a response is kept for the customer to look at, in bytes.
pub const KEPT_RESPONSE_BYTES: usize = 8 * 1024;
/// Lengths of key that Standard Webhooks allows, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a message cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// There is no secret, and an unsigned message must not leave.
    #[error("no secret to sign with")]
    NoSecret,
    /// A secret is not `whsec_` and the base64 of 24 to 64 bytes.
    #[error("a secret is not whsec_ and base64 of 24 to 64 bytes")]
    BadSecret,
    /// The id is empty or holds what would make the signed text ambiguous.
    #[error("the message id is not usable")]
    BadId,
}

/// The value of `webhook-signature`: one `v1,<base64>` per secret, so that rotation loses nothing.
///
/// Each is HMAC-SHA256 over `{id}.{timestamp_seconds}.{body}`.
///
/// # Errors
/// When there is no secret, or one is not of the form that Standard Webhooks asks for.
pub fn sign(
    id: &str,
    timestamp_seconds: i64,
    body: &[u8],
    secrets: &[SecretString],
) -> Result<String, Unsignable> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
        return Err(Unsignable::BadId);
    }
    if secrets.is_empty() {
        return Err(Unsignable::NoSecret);
    }
    let signatures: Result<Vec<String>, Unsignable> = secrets
        .iter()
        .map(|secret| {
            let mac = Hmac::<Sha256>::new_from_slice(&key(secret)?);
            let mac = mac.map_err(|_| Unsignable::BadSecret)?;
            let mac = mac.chain_update(format!("{id}.{timestamp_seconds}.")).chain_update(body);
            Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        })
        .collect();
    Ok(signatures?.join(" "))
}

fn key(secret: &SecretString) -> Result<Vec<u8>, Unsignable> {
    let encoded = secret.expose_secret().strip_prefix("whsec_").ok_or(Unsignable::BadSecret)?;
    let key = STANDARD.decode(encoded).map_err(|_| Unsignable::BadSecret)?;
    if KEY_BYTES.contains(&key.len()) { Ok(key) } else { Err(Unsignable::BadSecret) }
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptResult {
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Nothing for success (2xx, read whole), else one of `blocked`, `dns`, `connect`, `tls`,
    /// `timeout`, `status`, `redirect`, `too-large`, `unsigned`.
    pub error_code: Option<&'static str>,
    /// Beginning of the answer, at most [`KEPT_RESPONSE_BYTES`] bytes before replacement of what is
    /// not UTF-8, without NUL.
    pub response_body: String,
    /// From the first look at the name to the end of the answer.
    pub latency: Duration,
    /// How long the endpoint asks to wait, at most an hour.
    pub retry_after: Option<Duration>,
}

impl AttemptResult {
    /// Whether the message was taken.
    pub fn is_success(&self) -> bool {
        self.error_code.is_none()
    }

    fn failed(error_code: &'static str) -> Self {
        Self {
            status: None,
            error_code: Some(error_code),
            response_body: String::new(),
            latency: Duration::ZERO,
            retry_after: None,
        }
    }
}

/// Sends webhooks to addresses that customers chose.
#[derive(Debug, Clone)]
pub struct WebhookSender {
    egress: Egress,
    client: Client,
}

impl WebhookSender {
    /// A sender that reaches what `egress` allows.
    ///
    /// # Errors
    /// When the machine's TLS set-up does not allow a client.
    pub fn new(egress: Egress) -> Result<Self, SetupError> {
        Ok(Self { egress, client: egress.client()? })
    }

    /// Sends once, signed with the time of this attempt. `timeout` covers everything.
    pub async fn attempt(
        &self,
        url: &str,
        id: &str,
        body: Bytes,
        secrets: &[SecretString],
        timeout: Duration,
    ) -> AttemptResult {
        let Ok(url) = Url::parse(url) else { return AttemptResult::failed("blocked") };
        if self.egress.check_url(&url).is_err() {
            return AttemptResult::failed("blocked");
        }
        let timestamp = Utc::now().timestamp();
        let Ok(signature) = sign(id, timestamp, &body, secrets) else {
            return AttemptResult::failed("unsigned");
        };
        let request = self
            .client
            .post(url)
            .timeout(timeout)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body);
        let begun = Instant::now();
        let result = match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => AttemptResult::failed(egress::failure_code(&error)),
        };
        AttemptResult { latency: begun.elapsed(), ..result }
    }
}

async fn read(mut response: Response) -> AttemptResult {
    let status = response.status();
    let retry_after = http::retry_after(response.headers(), Utc::now());
    let mut kept = Vec::new();
    let read = read_keeping(&mut response, &mut kept).await;
    let error_code = if status.is_redirection() {
        Some("redirect")
    } else if !status.is_success() {
        Some("status")
    } else {
        match read {
            Ok(()) => None,
            Err(BodyError::TooLarge(_)) => Some("too-large"),
            Err(BodyError::Cut(error)) => Some(egress::failure_code(&error)),
        }
    };
    AttemptResult {
        status: Some(status.as_u16()),
        error_code,
        response_body: String::from_utf8_lossy(&kept).replace('\0', ""),
        latency: Duration::ZERO,
        retry_after,
    }
}

/// Reads to the end or to the limit; what was read of a broken answer is kept too.
async fn read_keeping(response: &mut Response, kept: &mut Vec<u8>) -> Result<(), BodyError> {
    let mut length = 0;
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Cut)? {
        let room = KEPT_RESPONSE_BYTES - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        length += chunk.len();
        if length > MAX_RESPONSE_BYTES {
            return Err(BodyError::TooLarge(MAX_RESPONSE_BYTES));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::canned::{Canned, Reply, serve};

    const VECTORS: &str = include_str!("../../tests/fixtures/vectors.json");
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const TIMEOUT: Duration = Duration::from_millis(500);

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    #[test]
    fn signatures_are_those_of_the_vectors() {
        let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
        for vector in vectors["standard_webhooks"].as_array().expect("a list") {
            let text = |name: &str| vector[name].as_str().expect(name);
            let timestamp = vector["webhook_timestamp"].as_i64().expect("a timestamp");
            let sign = |texts: &[&str]| {
                sign(text("webhook_id"), timestamp, text("payload").as_bytes(), &secrets(texts))
            };
            assert_eq!(sign(&[text("secret")]), Ok(text("webhook_signature").to_owned()));
            assert_eq!(
                sign(&[text("secret"), text("rotation_old_secret")]),
                Ok(text("webhook_signature_both").to_owned())
            );
        }
        // Svix signs alike; its headers have other names.
        let svix = &vectors["svix"];
        let text = |name: &str| svix[name].as_str().expect(name);
        let timestamp = svix["svix_timestamp"].as_i64().expect("a timestamp");
        let signed = sign(
            text("svix_id"),
            timestamp,
            text("payload").as_bytes(),
            &secrets(&[text("secret")]),
        );
        assert_eq!(signed, Ok(text("svix_signature").to_owned()));
    }

    #[test]
    fn weak_secrets_and_ambiguous_ids_sign_nothing() {
        let of_length = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for secret in
            ["", "whsec_", "secret", "whsec_!", &SECRET[6..], &of_length(23), &of_length(65)]
        {
            assert_eq!(sign("m", 1, b"", &secrets(&[SECRET, secret])), Err(Unsignable::BadSecret));
        }
        for bytes in [24, 32, 64] {
            assert!(sign("m", 1, b"", &secrets(&[&of_length(bytes)])).is_ok());
        }
        assert_eq!(sign("m", 1, b"", &[]), Err(Unsignable::NoSecret));
        for id in ["", "a.b", "a b", "a\r\nb", "é"] {
            assert_eq!(sign(id, 1, b"", &secrets(&[SECRET])), Err(Unsignable::BadId), "{id}");
        }
    }

    async fn attempt(server: &Canned) -> AttemptResult {
        let sender = WebhookSender::new(Egress::new(true)).expect("client");
        let body = Bytes::from_static(b"{\"type\":\"call.completed\"}");
        sender.attempt(&server.url, "msg_1", body, &secrets(&[SECRET]), TIMEOUT).await
    }

    #[tokio::test]
    async fn a_2xx_is_success_and_the_request_is_signed() {
        let server = serve([Reply::With(204, String::new(), Vec::new())]).await;
        let result = attempt(&server).await;
        assert_eq!((result.status, result.is_success()), (Some(204), true));
        let request = server.requests().remove(0);
        let header = |name: &str| {
            let line = request.lines().find(|line| line.starts_with(name)).expect(name);
            line.split_once(": ").expect("a header").1.to_owned()
        };
        assert_eq!(header("content-type"), "application/json");
        assert!(header("user-agent").starts_with("postcall/"));
        let timestamp = header("webhook-timestamp").parse().expect("seconds");
        let body = request.split_once("\r\n\r\n").expect("a body").1;
        let expected = sign(&header("webhook-id"), timestamp, body.as_bytes(), &secrets(&[SECRET]));
        assert_eq!(Ok(header("webhook-signature")), expected);
    }

    #[tokio::test]
    async fn refusals_keep_the_beginning_of_the_answer() {
        let headers = "retry-after: 7\r\n".to_owned();
        let mut body = b"no\0pe \xFF".to_vec();
        body.extend(vec![b'x'; 20_000]);
        let result = attempt(&serve([Reply::With(429, headers, body)]).await).await;
        assert_eq!((result.status, result.error_code), (Some(429), Some("status")));
        assert_eq!(result.retry_after, Some(Duration::from_secs(7)));
        assert!(result.response_body.starts_with("nope \u{FFFD}xx"));
        assert!(result.response_body.len() <= KEPT_RESPONSE_BYTES + 2);
    }

    #[tokio::test]
    async fn every_other_end_has_its_code() {
        for (reply, status, code) in [
            (Reply::Redirect("http://127.0.0.1:1/".into()), Some(302), "redirect"),
            (Reply::Endless, Some(200), "too-large"),
            (Reply::Hang, None, "timeout"),
            (Reply::Cut, None, "connect"),
            (Reply::Short(b"part".to_vec()), Some(200), "connect"),
        ] {
            let server = serve([reply]).await;
            let result = attempt(&server).await;
            assert_eq!((result.status, result.error_code), (status, Some(code)));
            assert_eq!(server.requests().len(), 1, "{code}: sent once");
        }
    }

    #[tokio::test]
    async fn what_must_not_leave_stays() {
        let server = serve([Reply::Json(200, "{}".into())]).await;
        let strict = WebhookSender::new(Egress::new(false)).expect("client");
        let local = server.url.replace("127.0.0.1", "localhost").replace("http:", "https:");
        for url in ["nonsense", &server.url, &local, "https://10.0.0.1/"] {
            let body = Bytes::new();
            let result = strict.attempt(url, "m", body, &secrets(&[SECRET]), TIMEOUT).await;
            assert_eq!(result.error_code, Some("blocked"), "{url}");
        }
        let open = WebhookSender::new(Egress::new(true)).expect("client");
        let result = open.attempt(&server.url, "m", Bytes::new(), &[], TIMEOUT).await;
        assert_eq!(result.error_code, Some("unsigned"));
        assert!(server.requests().is_empty());
    }
}
