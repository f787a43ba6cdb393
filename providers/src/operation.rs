//! One request to a provider's API, and the reading of its outcome that all providers share.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;

use crate::{
    error::{ErrorKind, ProviderError},
    http::{self, BodyError},
};

/// Names an operation and says whether doing it twice is harmless.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) provider: &'static str,
    pub(crate) name: &'static str,
    pub(crate) repeatable: bool,
}

/// A whole answer, of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON of a shape, if it is that.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Operation {
    pub(crate) fn error(self, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.provider, self.name, kind)
    }

    pub(crate) fn rejected(self, code: impl Into<String>) -> ProviderError {
        ProviderError::rejected(self.provider, self.name, code)
    }

    /// Sent, but what became of it is not known.
    pub(crate) fn ambiguous(self, status: Option<StatusCode>) -> ProviderError {
        let status = status.map(|status| status.as_u16());
        self.error(ErrorKind::Ambiguous { status, repeatable: self.repeatable })
    }

    /// Not done; the answer says so.
    pub(crate) fn unavailable(self, answer: &Answer) -> ProviderError {
        self.error(ErrorKind::Unavailable {
            status: Some(answer.status.as_u16()),
            retry_after: answer.retry_after,
        })
    }

    /// Succeeded by its status, but the body is not what was promised.
    pub(crate) fn malformed(self, status: StatusCode) -> ProviderError {
        if self.repeatable {
            self.error(ErrorKind::Malformed)
        } else {
            self.ambiguous(Some(status))
        }
    }

    /// Sends once and reads at most `http::MAX_ANSWER_BYTES`.
    pub(crate) async fn send(self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        self.send_up_to(request, http::MAX_ANSWER_BYTES).await
    }

    /// As [`Self::send`], for answers of at most `max_bytes`.
    pub(crate) async fn send_up_to(
        self,
        request: RequestBuilder,
        max_bytes: usize,
    ) -> Result<Answer, ProviderError> {
        let response = request.send().await.map_err(|error| self.unanswered(error))?;
        let status = response.status();
        let headers = response.headers().clone();
        let retry_after = http::retry_after(&headers, Utc::now());
        let body = match http::read_capped(response, max_bytes).await {
            Ok(body) => body,
            // A refusal counts by its status, readable or not.
            Err(_) if !status.is_success() => Bytes::new(),
            Err(error @ BodyError::TooLarge(_)) => {
                return Err(self.malformed(status).caused_by(error));
            }
            Err(error) => return Err(self.ambiguous(Some(status)).caused_by(error)),
        };
        Ok(Answer { status, retry_after, headers, body })
    }

    fn unanswered(self, error: reqwest::Error) -> ProviderError {
        let kind = if error.is_connect() {
            ErrorKind::Unavailable { status: None, retry_after: None }
        } else if error.is_builder() {
            ErrorKind::Rejected { code: "invalid-request".to_owned() }
        } else {
            ErrorKind::Ambiguous { status: None, repeatable: self.repeatable }
        };
        self.error(kind).caused_by(error.without_url())
    }

    /// The error of an answer that is no success, where `code` is the provider's own word for it.
    pub(crate) fn refused(self, answer: &Answer, code: Option<String>) -> ProviderError {
        match answer.status.as_u16() {
            429 => self.unavailable(answer),
            408 | 500.. => self.ambiguous(Some(answer.status)),
            status => self.rejected(code.unwrap_or_else(|| format!("http-{status}"))),
        }
    }
}
