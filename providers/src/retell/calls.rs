//! Retell's calls API, for the sweep: `POST /v3/list-calls` and `GET /v2/get-call/{id}`
//! (retell-sdk 5.66.1, `resources/call`; docs.retellai.com/api-references/list-calls).
//!
//! Retell's filters are joined by AND and know no time of change, so what changed is listed by two
//! queries, one after the other: calls that began and have no end, then calls that ended.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use contract::call::CallStatus;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::status::{is_over, outcome, running};
use crate::{
    calls_api::{CallsPage, ListedCall},
    error::{ErrorKind, ProviderError},
    http::{self, SetupError},
    incoming::MAX_CALL_ID_BYTES,
    operation::{Answer, Operation},
};

/// Calls of a page; Retell allows 1,000, but each may carry 50 KB of metadata.
const PAGE_SIZE: usize = 100;
/// Largest answer read, in bytes: what a webhook may have too. An hour's transcript with the time of
/// each word has about 1 MB, and Retell writes it twice.
const MAX_ANSWER_BYTES: usize = 10 * 1024 * 1024;
/// Longest time of one request: answers are large, and nobody waits for them.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest cursor of Retell's that is passed on, in bytes.
const MAX_CURSOR_BYTES: usize = 4096;
/// How long after a call's end or start its analysis, or its failure, may change it. Covers clocks
/// that differ, too.
const CHANGE_SLACK: TimeDelta = TimeDelta::hours(1);

const LIST: Operation = Operation { provider: "retell", name: "list_calls", repeatable: true };
const GET: Operation = Operation { provider: "retell", name: "get_call", repeatable: true };

/// Reads calls of one account.
#[derive(Debug, Clone)]
pub struct RetellCalls {
    client: Client,
    base_url: Url,
    api_key: SecretString,
}

/// The queries that together list every change, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Query {
    /// Calls that began in the range and are running, or failed without an end.
    Begun,
    /// Calls that ended in the range, however long ago they began.
    Ended,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
    #[serde(default)]
    has_more: bool,
    pagination_key: Option<String>,
}

/// What the list says of a call and we need; values of any type, so that a surprise in one call
/// does not hide the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    call_id: Value,
    call_status: Value,
    disconnection_reason: Value,
    end_timestamp: Value,
}

#[derive(Deserialize)]
struct Fetched {
    call_id: String,
}

impl RetellCalls {
    /// Reads with one API key.
    ///
    /// # Errors
    /// When `base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(base_url: &str, api_key: SecretString) -> Result<Self, SetupError> {
        Self::with_timeout(base_url, api_key, TIMEOUT)
    }

    fn with_timeout(
        base_url: &str,
        api_key: SecretString,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        let client = http::client(timeout)?;
        Ok(Self { client, base_url: http::base_url("retell", base_url)?, api_key })
    }

    /// One page of the calls that changed at or after `since` and before `until`.
    ///
    /// A change is a start, an end, or the analysis up to an hour after the end. Retell lists no
    /// call that is `registered` only, and none that failed without ever having a start or an end.
    ///
    /// # Errors
    /// `Rejected` when the key or `cursor` is not valid, `Unavailable` or `Malformed` when Retell
    /// does not answer, or not as it promises.
    pub async fn page(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        cursor: Option<&str>,
    ) -> Result<CallsPage, ProviderError> {
        let (query, key) = match cursor {
            None => (Query::Begun, ""),
            Some(cursor) => Query::of_cursor(cursor).ok_or_else(|| LIST.rejected("cursor"))?,
        };
        let mut body = json!({
            "filter_criteria": query.filter(since - CHANGE_SLACK, until),
            // The oldest first, so that calls made meanwhile move no page.
            "sort_order": "ascending",
            "limit": PAGE_SIZE,
        });
        if !key.is_empty() {
            body["pagination_key"] = json!(key);
        }
        let url = http::under(&self.base_url, &["v3", "list-calls"]);
        let answer = self.send(LIST, self.client.post(url).json(&body)).await?;
        if !answer.status.is_success() {
            return Err(LIST.refused(&answer, None));
        }
        let list: List = answer.json().ok_or_else(|| LIST.malformed(answer.status))?;
        let next = query.cursor_after(key, &list).ok_or_else(|| LIST.malformed(answer.status))?;
        let calls =
            list.items.iter().filter(|item| query.covers(item)).filter_map(listed).collect();
        Ok(CallsPage { calls, next })
    }

    /// One call with everything that the provider tells of it; nothing where it knows none.
    ///
    /// # Errors
    /// `Rejected` when the key is not valid, `Unavailable` or `Malformed` when Retell does not
    /// answer, or with something else than this call.
    pub async fn call(&self, provider_call_id: &str) -> Result<Option<Bytes>, ProviderError> {
        // These would be other paths than that of a call.
        if matches!(provider_call_id, "" | "." | "..") {
            return Ok(None);
        }
        let url = http::under(&self.base_url, &["v2", "get-call", provider_call_id]);
        let answer = self.send(GET, self.client.get(url)).await?;
        match answer.status {
            // Retell answers 422 for "cannot find requested asset".
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => return Ok(None),
            status if !status.is_success() => return Err(GET.refused(&answer, None)),
            _ => {}
        }
        match answer.json::<Fetched>() {
            Some(fetched) if fetched.call_id == provider_call_id => Ok(Some(answer.body)),
            _ => Err(GET.malformed(answer.status)),
        }
    }

    /// Sends once. Both operations only read, so an answer that was lost is none.
    async fn send(
        &self,
        operation: Operation,
        request: RequestBuilder,
    ) -> Result<Answer, ProviderError> {
        let request = request.bearer_auth(self.api_key.expose_secret());
        let response = request.send().await.map_err(|error| {
            let kind = ErrorKind::Unavailable { status: None, retry_after: None };
            operation.error(kind).caused_by(error.without_url())
        })?;
        let status = response.status();
        let headers = response.headers().clone();
        let retry_after = http::retry_after(&headers, Utc::now());
        let body = match http::read_capped(response, MAX_ANSWER_BYTES).await {
            Ok(body) => body,
            // A refusal counts by its status, readable or not.
            Err(_) if !status.is_success() => Bytes::new(),
            Err(error) => return Err(operation.malformed(status).caused_by(error)),
        };
        Ok(Answer { status, retry_after, headers, body })
    }
}

impl Query {
    const fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Ended => "ended",
        }
    }

    /// The query of a cursor of ours, and Retell's own cursor within it.
    fn of_cursor(cursor: &str) -> Option<(Self, &str)> {
        let (word, key) = cursor.split_once(':')?;
        let query = [Self::Begun, Self::Ended].into_iter().find(|query| query.word() == word)?;
        Some((query, key))
    }

    /// `filter_criteria` for changes from `from` to `until`.
    fn filter(self, from: DateTime<Utc>, until: DateTime<Utc>) -> Value {
        let range = json!({
            "type": "range",
            "op": "bt",
            "value": [from.timestamp_millis(), until.timestamp_millis()],
        });
        match self {
            Self::Begun => json!({
                "start_timestamp": range,
                "call_status": {
                    "type": "enum",
                    "op": "in",
                    "value": ["ongoing", "not_connected", "error"],
                },
            }),
            Self::Ended => json!({ "end_timestamp": range }),
        }
    }

    /// Whether the call is this query's: one that has an end is listed by it.
    fn covers(self, item: &Item) -> bool {
        self == Self::Ended || item.end_timestamp.is_null()
    }

    /// Where the next page begins. Nothing where the list says that it goes on, but not how.
    fn cursor_after(self, key: &str, list: &List) -> Option<Option<String>> {
        if !list.has_more {
            return Some((self == Self::Begun).then(|| format!("{}:", Self::Ended.word())));
        }
        let next = list.pagination_key.as_deref()?;
        // The same cursor again would be the same page for ever.
        let is_usable = !next.is_empty() && next != key && next.len() <= MAX_CURSOR_BYTES;
        is_usable.then(|| Some(format!("{}:{next}", self.word())))
    }
}

/// A call without a usable id cannot be asked for, so it is passed over.
fn listed(item: &Item) -> Option<ListedCall> {
    let call_id = item.call_id.as_str()?;
    if call_id.is_empty() || call_id.len() > MAX_CALL_ID_BYTES {
        return None;
    }
    let (call_status, reason) = (item.call_status.as_str(), item.disconnection_reason.as_str());
    let has_ended = is_over(call_status, !item.end_timestamp.is_null() || reason.is_some());
    let is_unanswered = has_ended && !outcome(call_status, reason).connected;
    Some(ListedCall {
        provider_call_id: call_id.to_owned(),
        is_answered: !has_ended && running(call_status) == Some(CallStatus::InProgress),
        has_ended,
        is_unanswered,
        is_leg: false,
    })
}

#[cfg(test)]
mod tests;
