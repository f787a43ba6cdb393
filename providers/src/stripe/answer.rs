//! Stripe's answers: what their headers add to the status, and what refusals mean.

use reqwest::{RequestBuilder, header::HeaderMap};
use serde::Deserialize;

use crate::{
    error::ProviderError,
    operation::{Answer, Operation},
};

/// A whole answer, of any status.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: Answer,
    /// `Idempotent-Replayed: true`: Stripe kept it under the idempotency key.
    pub(super) is_replayed: bool,
    /// `Stripe-Should-Retry`, where Stripe knows.
    pub(super) should_retry: Option<bool>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

#[derive(Deserialize)]
struct Failure {
    error: Refusal,
}

/// Stripe's own words for a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    #[serde(rename = "type")]
    kind: Option<String>,
    pub(super) code: Option<String>,
    /// May name customers and amounts: compared, and never passed on.
    pub(super) message: Option<String>,
}

/// Sends once. Refusals are answers too.
pub(super) async fn send(
    operation: Operation,
    request: RequestBuilder,
) -> Result<Answered, ProviderError> {
    let answer = operation.send(request).await?;
    let is_replayed = flag(&answer.headers, "idempotent-replayed") == Some(true);
    let should_retry = flag(&answer.headers, "stripe-should-retry");
    Ok(Answered { answer, is_replayed, should_retry })
}

fn flag(headers: &HeaderMap, name: &str) -> Option<bool> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

impl Answered {
    pub(super) fn refusal(&self) -> Refusal {
        self.answer.json::<Failure>().map(|failure| failure.error).unwrap_or_default()
    }

    /// The error of an answer that is no success (docs.stripe.com/api/errors).
    ///
    /// Where the status says that the request is at fault, `Stripe-Should-Retry: true` overrules it.
    /// 409 is another request under the same key; Stripe may say of one that it stays in conflict.
    /// 429 says nothing of the request itself, so no header makes it a refusal for good.
    pub(super) fn error(&self, operation: Operation) -> ProviderError {
        let (answer, retry) = (&self.answer, self.should_retry);
        match (answer.status.as_u16(), retry) {
            (429, _) => operation.unavailable(answer),
            (408 | 424 | 500.., _) => operation.ambiguous(Some(answer.status)),
            (409, None | Some(true)) | (400 | 402 | 404, Some(true)) => {
                operation.unavailable(answer)
            }
            (status, _) => operation.rejected(self.code(status)),
        }
    }

    /// `code`, else `type`. A type says nothing about a key that is not taken: there it is the status.
    fn code(&self, status: u16) -> String {
        let Refusal { kind, code, .. } = self.refusal();
        let kind = kind.filter(|_| !matches!(status, 401 | 403));
        let word = code.or(kind).filter(|word| is_word(word));
        word.unwrap_or_else(|| format!("http-{status}"))
    }
}

/// Codes and types are identifiers; anything else could be a text with an address in it.
pub(super) fn is_word(text: &str) -> bool {
    let of_a_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(of_a_word)
}
