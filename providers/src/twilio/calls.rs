//! Twilio's list of calls, for the sweep (`2010-04-01`, `Calls.json`).
//!
//! The list can be filtered by days only. No call lasts longer than a day, so every call that was
//! dialled and changed in a range began at most a day before it: one list by `StartTime` has them
//! all, whether they ended, failed or go on. Calls that wait to be dialled have no start; they are
//! a second list, by their status. A call that was canceled while it waited is in neither.

use bytes::Bytes;
use chrono::{DateTime, Days, TimeDelta, Utc};
use contract::call::CallStatus;
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{classify_call_status, form::instant, messages::refused};
use crate::{
    calls_api::{CallsPage, ListedCall},
    error::ProviderError,
    http::{self, SetupError},
    operation::{Answer, Operation},
};

/// Calls of one page: each has about 2 KB, and an answer may have 1 MB.
const PAGE_SIZE: &str = "250";
/// Recordings of one call that are asked for; one is kept.
const RECORDINGS: &str = "50";
/// Twilio's longest `TimeLimit`, and an hour for the ringing before and the clocks.
const LONGEST_CALL: TimeDelta = TimeDelta::hours(25);
/// How a cursor into each of the two lists begins; the rest is Twilio's `next_page_uri`.
const STARTED: &str = "started:";
const QUEUED: &str = "queued:";

const LIST: Operation = Operation { provider: "twilio", name: "list_calls", repeatable: true };
const CALL: Operation = Operation { provider: "twilio", name: "get_call", repeatable: true };
const RECORDING: Operation =
    Operation { provider: "twilio", name: "list_recordings", repeatable: true };

/// Reads calls of one account.
#[derive(Debug, Clone)]
pub struct TwilioCalls {
    client: Client,
    base_url: Url,
    account_sid: String,
    auth_token: SecretString,
}

#[derive(Deserialize)]
struct Page {
    calls: Vec<Listed>,
    next_page_uri: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    sid: String,
    status: Option<String>,
    end_time: Option<String>,
    date_updated: Option<String>,
    parent_call_sid: Option<String>,
}

#[derive(Deserialize)]
struct Recordings {
    recordings: Vec<Value>,
}

impl TwilioCalls {
    /// Reads one account with its auth token.
    ///
    /// # Errors
    /// When `base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(
        base_url: &str,
        account_sid: &str,
        auth_token: SecretString,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client: http::client(http::TOTAL_TIMEOUT)?,
            base_url: http::base_url("twilio", base_url)?,
            account_sid: account_sid.to_owned(),
            auth_token,
        })
    }

    /// One page of the calls that changed at or after `since` and before `until`.
    ///
    /// A call that has not ended is always among them. A page may be empty and not be the last.
    ///
    /// # Errors
    /// When the provider refuses or does not answer.
    pub async fn page(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        cursor: Option<&str>,
    ) -> Result<CallsPage, ProviderError> {
        let (list, url) = match cursor {
            None => (STARTED, self.started(since, until)),
            Some(cursor) => self.resume(cursor)?,
        };
        let answer = LIST.send(self.get(url)).await?;
        if !answer.status.is_success() {
            return Err(refused(LIST, &answer));
        }
        let page: Page = answer.json().ok_or_else(|| LIST.malformed(answer.status))?;
        let next = match page.next_page_uri.filter(|uri| !uri.is_empty()) {
            Some(uri) => {
                self.same_origin(&uri).ok_or_else(|| LIST.malformed(answer.status))?;
                Some(format!("{list}{uri}"))
            }
            None => (list == STARTED).then(|| QUEUED.to_owned()),
        };
        let changed = page.calls.into_iter().filter(|call| call.changed_in(since, until));
        Ok(CallsPage { calls: changed.map(Listed::shown).collect(), next })
    }

    /// One call with everything that the provider tells of it; nothing where it knows none.
    ///
    /// The body is ours: `{"call": {…}, "recordings": […]}`, both as Twilio writes them.
    ///
    /// # Errors
    /// When the provider refuses or does not answer.
    pub async fn call(&self, provider_call_id: &str) -> Result<Option<Bytes>, ProviderError> {
        // A path is made of it.
        if !provider_call_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let file = format!("{provider_call_id}.json");
        let Some(answer) = self.found(CALL, self.url(&["Calls", &file])).await? else {
            return Ok(None);
        };
        let call: Value = answer.json().ok_or_else(|| CALL.malformed(answer.status))?;
        if !call.is_object() {
            return Err(CALL.malformed(answer.status));
        }
        let mut url = self.url(&["Calls", provider_call_id, "Recordings.json"]);
        url.query_pairs_mut().append_pair("PageSize", RECORDINGS);
        let recordings = match self.found(RECORDING, url).await? {
            Some(answer) => {
                let list: Option<Recordings> = answer.json();
                list.ok_or_else(|| RECORDING.malformed(answer.status))?.recordings
            }
            None => Vec::new(),
        };
        let body = json!({ "call": call, "recordings": recordings });
        Ok(Some(Bytes::from(body.to_string())))
    }

    async fn found(&self, operation: Operation, url: Url) -> Result<Option<Answer>, ProviderError> {
        let answer = operation.send(self.get(url)).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer)),
            _ => Err(refused(operation, &answer)),
        }
    }

    fn started(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> Url {
        let first = since.checked_sub_signed(LONGEST_CALL).unwrap_or(since).date_naive();
        // `StartTime<` is up to the midnight with which the day begins.
        let last = until.date_naive();
        let last = last.checked_add_days(Days::new(1)).unwrap_or(last);
        let mut url = self.url(&["Calls.json"]);
        url.query_pairs_mut()
            .append_pair("StartTime>", &first.to_string())
            .append_pair("StartTime<", &last.to_string())
            .append_pair("PageSize", PAGE_SIZE);
        url
    }

    fn queued(&self) -> Url {
        let mut url = self.url(&["Calls.json"]);
        url.query_pairs_mut().append_pair("Status", "queued").append_pair("PageSize", PAGE_SIZE);
        url
    }

    fn resume(&self, cursor: &str) -> Result<(&'static str, Url), ProviderError> {
        if cursor == QUEUED {
            return Ok((QUEUED, self.queued()));
        }
        let mut known = [STARTED, QUEUED].into_iter();
        known
            .find_map(|list| Some((list, self.same_origin(cursor.strip_prefix(list)?)?)))
            .ok_or_else(|| LIST.rejected("invalid-cursor"))
    }

    /// `next_page_uri` is a path; anything that leads elsewhere would get our credentials.
    fn same_origin(&self, uri: &str) -> Option<Url> {
        let url = self.base_url.join(uri).ok()?;
        (url.origin() == self.base_url.origin()).then_some(url)
    }

    fn url(&self, path: &[&str]) -> Url {
        let account = ["2010-04-01", "Accounts", &self.account_sid];
        http::under(&self.base_url, &[account.as_slice(), path].concat())
    }

    fn get(&self, url: Url) -> reqwest::RequestBuilder {
        let token = self.auth_token.expose_secret();
        self.client.get(url).basic_auth(&self.account_sid, Some(token))
    }
}

impl Listed {
    /// A call changes last when it ends, and once more when Twilio has its price.
    fn changed_in(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        let time = |text: &Option<String>| instant(text.as_deref()?);
        let Some(ended_at) = time(&self.end_time) else { return true };
        let changes = [Some(ended_at), time(&self.date_updated)];
        changes.into_iter().flatten().any(|at| since <= at && at < until)
    }

    fn shown(self) -> ListedCall {
        let status = self.status.as_deref().and_then(classify_call_status);
        let has_ended = status.is_some_and(CallStatus::is_final);
        let is_leg = self.parent_call_sid.is_some_and(|parent| !parent.is_empty());
        ListedCall {
            provider_call_id: self.sid,
            is_answered: status == Some(CallStatus::InProgress),
            has_ended,
            is_unanswered: false,
            is_leg,
        }
    }
}

#[cfg(test)]
mod tests;
