//! Vapi's list of calls, for the sweep (`GET /call` and `GET /call/{id}`, SDK 2.0.1).
//!
//! The list takes bounds of `updatedAt` and a `limit`, but has neither a cursor nor a documented
//! order. So a page is a span of time that holds fewer calls than the limit, the newest span first;
//! one that is too full is halved until it is not. No order and no equal times can make that miss a
//! call, and it ends, because a span cannot be halved for ever.

mod span;

use std::{error::Error, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::IgnoredAny};

use self::span::Span;
use crate::{
    calls_api::{CallsPage, ListedCall},
    error::ProviderError,
    http::{self, BodyError, SetupError},
    operation::Operation,
};

/// Calls asked for at once: Vapi's own default.
const LIMIT: usize = 100;
/// Asked for where a span cannot be halved any more: the most that Vapi gives.
const MAX_LIMIT: usize = 1000;
/// Largest list read, in bytes; each call in it carries its whole transcript.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;
/// Largest call read, in bytes: no webhook about it could be larger either.
const MAX_CALL_BYTES: usize = 10 * 1024 * 1024;
/// Longest time of one request; a list may have megabytes.
const TIMEOUT: Duration = Duration::from_secs(30);

const LIST: Operation = Operation { provider: "vapi", name: "list_calls", repeatable: true };
const GET: Operation = Operation { provider: "vapi", name: "get_call", repeatable: true };

/// Reads calls of one account.
#[derive(Debug, Clone)]
pub struct VapiCalls {
    client: Client,
    base_url: Url,
    api_key: SecretString,
}

impl VapiCalls {
    /// Reads with one API key.
    ///
    /// # Errors
    /// When `base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(base_url: &str, api_key: SecretString) -> Result<Self, SetupError> {
        let (client, base_url) = (http::client(TIMEOUT)?, http::base_url("vapi", base_url)?);
        Ok(Self { client, base_url, api_key })
    }

    /// One page of the calls that changed at or after `since` and before `until`. A page may be
    /// empty though another one follows it.
    ///
    /// # Errors
    /// When the provider refuses or does not answer, or more than 1,000 calls changed within the
    /// same millisecond: then nobody could see them all.
    pub async fn page(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        cursor: Option<&str>,
    ) -> Result<CallsPage, ProviderError> {
        let span = match cursor {
            Some(cursor) => Some(Span::parse(cursor).ok_or_else(|| LIST.rejected("bad-cursor"))?),
            None => Span::new(since, until),
        };
        let Some(mut span) = span else { return Ok(CallsPage::default()) };
        loop {
            let limit = if span.can_be_halved() { LIMIT } else { MAX_LIMIT };
            match self.list(&span, limit).await? {
                Some(calls) if calls.len() < limit => {
                    let calls = calls.into_iter().map(ListedCall::from).collect();
                    return Ok(CallsPage { calls, next: span.older().map(|s| s.to_string()) });
                }
                // Halving would go on for ever if the bounds were not heeded.
                Some(calls) if !calls.iter().all(|call| call.lies_in(&span)) => {
                    return Err(LIST.malformed(StatusCode::OK));
                }
                _ if span.can_be_halved() => span.halve(),
                _ => return Err(LIST.rejected("too-many-calls")),
            }
        }
    }

    /// One call with everything that the provider tells of it; nothing where it knows none.
    ///
    /// # Errors
    /// When the provider refuses or does not answer.
    pub async fn call(&self, provider_call_id: &str) -> Result<Option<Bytes>, ProviderError> {
        // These would be other paths than that of a call.
        if matches!(provider_call_id, "" | "." | "..") {
            return Ok(None);
        }
        let url = http::under(&self.base_url, &["call", provider_call_id]);
        let answer = GET.send_up_to(self.signed(url), MAX_CALL_BYTES).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer.body)),
            _ => Err(GET.refused(&answer, None)),
        }
    }

    /// At most `limit` calls of a span; nothing where they are too large to be read at once.
    async fn list(&self, span: &Span, limit: usize) -> Result<Option<Vec<Listed>>, ProviderError> {
        let mut url = http::under(&self.base_url, &["call"]);
        url.query_pairs_mut()
            .append_pair("updatedAtGe", &span.from())
            .append_pair("updatedAtLt", &span.to())
            .append_pair("limit", &limit.to_string());
        let answer = match LIST.send_up_to(self.signed(url), MAX_LIST_BYTES).await {
            Err(error) if is_too_large(&error) && span.can_be_halved() => return Ok(None),
            answer => answer?,
        };
        if !answer.status.is_success() {
            return Err(LIST.refused(&answer, None));
        }
        answer.json().ok_or_else(|| LIST.malformed(answer.status)).map(Some)
    }

    fn signed(&self, url: Url) -> RequestBuilder {
        self.client.get(url).bearer_auth(self.api_key.expose_secret())
    }
}

/// What the sweep looks at of a listed call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    updated_at: Option<DateTime<Utc>>,
    status: Option<String>,
    ended_at: Option<IgnoredAny>,
}

impl Listed {
    fn lies_in(&self, span: &Span) -> bool {
        self.updated_at.is_none_or(|at| span.contains(at))
    }
}

impl From<Listed> for ListedCall {
    fn from(call: Listed) -> Self {
        let has_ended = call.status.as_deref() == Some("ended") || call.ended_at.is_some();
        // Vapi reports on calls that nobody took too.
        Self {
            provider_call_id: call.id,
            is_answered: !has_ended && call.status.as_deref() == Some("in-progress"),
            has_ended,
            is_unanswered: false,
            is_leg: false,
        }
    }
}

fn is_too_large(error: &ProviderError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<BodyError>());
    matches!(cause, Some(BodyError::TooLarge(_)))
}

#[cfg(test)]
mod tests;
