//! One call of an operation: how it is sent, and sent again.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, RETRY_AFTER},
};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::sleep;
use url::Url;
use uuid::Uuid;

use crate::{
    answer::{Answer, ETag},
    client::Client,
    error::Error,
    query::Pairs,
};

const JSON: &str = "application/json";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const ORGANIZATION: HeaderName = HeaderName::from_static("x-organization-id");
/// Bytes of an answer that is read as a whole. The largest page is half of that.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
/// Bytes of an answer that says why not.
const LARGEST_PROBLEM: usize = 64 * 1024;

/// What is asked for, and how.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) client: Client,
    /// Method and route, as `GET /v1/calls/{id}`.
    pub(crate) operation: &'static str,
    /// What stands in the route's braces, in order.
    parameters: Vec<String>,
    query: Pairs,
    /// JSON, or why there is none.
    body: Option<Result<Bytes, String>>,
    accept: &'static str,
    /// A status that is an answer, though it is no success.
    also: Option<StatusCode>,
    is_anonymous: bool,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) if_match: Option<ETag>,
    pub(crate) organization: Option<Uuid>,
    pub(crate) timeout: Option<Duration>,
    last_event_id: Option<Uuid>,
}

impl Call {
    pub(crate) fn new(client: &Client, operation: &'static str, parameters: Vec<String>) -> Self {
        Self {
            client: client.clone(),
            operation,
            parameters,
            query: Pairs::new(),
            body: None,
            accept: JSON,
            also: None,
            is_anonymous: false,
            idempotency_key: None,
            if_match: None,
            organization: None,
            timeout: None,
            last_event_id: None,
        }
    }

    pub(crate) fn query(self, query: Pairs) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn body<T: Serialize>(self, body: &T) -> Self {
        let body = serde_json::to_vec(body).map(Bytes::from).map_err(|error| error.to_string());
        Self { body: Some(body), ..self }
    }

    pub(crate) fn maybe_body<T: Serialize>(self, body: Option<&T>) -> Self {
        match body {
            Some(body) => self.body(body),
            None => self,
        }
    }

    pub(crate) fn accept(self, media_type: &'static str) -> Self {
        Self { accept: media_type, ..self }
    }

    pub(crate) fn also(self, status: StatusCode) -> Self {
        Self { also: Some(status), ..self }
    }

    pub(crate) fn anonymous(self) -> Self {
        Self { is_anonymous: true, ..self }
    }

    pub(crate) fn last_event_id(self, last_event_id: Option<Uuid>) -> Self {
        Self { last_event_id, ..self }
    }

    /// Sets a parameter of the query in the place of what it was.
    pub(crate) fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.retain(|(other, _)| *other != name);
        self.query.extend(value.map(|value| (name, value)));
        self
    }

    /// The answer as a whole. Nothing is null.
    pub(crate) async fn answer<T: DeserializeOwned>(self) -> Result<Answer<T>, Error> {
        let call = self.named();
        let (status, headers, body) = call.repeated(|| call.whole()).await?;
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        let value = serde_json::from_slice(body)
            .map_err(|source| Error::Decode { operation: call.operation, source })?;
        Ok(Answer::new(value, status, &headers))
    }

    /// The beginning of an answer that is read in pieces.
    pub(crate) async fn open(&self) -> Result<Response, Error> {
        self.repeated(|| self.open_once()).await
    }

    /// The same, for whoever knows better how to go on.
    pub(crate) async fn open_once(&self) -> Result<Response, Error> {
        self.sent(self.timeout).await
    }

    /// A POST has a key under which it is done once: the same in all attempts.
    fn named(mut self) -> Self {
        if self.method() == Method::POST && self.idempotency_key.is_none() {
            self.idempotency_key = Some(Uuid::new_v4().to_string());
        }
        self
    }

    async fn repeated<T, F>(&self, once: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut failed = 0;
        loop {
            let error = match once().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failed += 1;
            let wait = self.client.inner.retries.wait(failed, &error);
            match wait.filter(|_| self.may_repeat()) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    fn may_repeat(&self) -> bool {
        self.method() == Method::GET || self.idempotency_key.is_some()
    }

    async fn whole(&self) -> Result<(u16, HeaderMap, Bytes), Error> {
        let timeout = self.timeout.unwrap_or(self.client.inner.timeout);
        let mut response = self.sent(Some(timeout)).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read(self.operation, &mut response, LARGEST_ANSWER).await?;
        Ok((status, headers, body))
    }

    async fn sent(&self, timeout: Option<Duration>) -> Result<Response, Error> {
        let mut request = self.request()?;
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let transport = |error| Error::transport(self.operation, error);
        let mut response = request.send().await.map_err(transport)?;
        let status = response.status();
        if status.is_success() || Some(status) == self.also {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers(), Utc::now());
        // The status says enough where the rest is missing.
        let body = read(self.operation, &mut response, LARGEST_PROBLEM).await.unwrap_or_default();
        Err(Error::refused(self.operation, status.as_u16(), &body, retry_after))
    }

    fn request(&self) -> Result<RequestBuilder, Error> {
        let inner = &self.client.inner;
        let mut request = inner.http.request(self.method(), self.url()?).headers(self.headers()?);
        if !self.is_anonymous {
            request = request.bearer_auth(inner.key.expose_secret());
        }
        match &self.body {
            None => Ok(request),
            Some(Ok(body)) => Ok(request.header(CONTENT_TYPE, JSON).body(body.clone())),
            Some(Err(detail)) => Err(Error::invalid("the body", detail.as_str())),
        }
    }

    fn method(&self) -> Method {
        let (method, _) = self.operation.split_once(' ').unwrap_or_default();
        Method::from_bytes(method.as_bytes()).unwrap_or_default()
    }

    fn url(&self) -> Result<Url, Error> {
        let mut url = self.client.inner.base_url.clone();
        let (_, route) = self.operation.split_once(' ').unwrap_or_default();
        let mut parameters = self.parameters.iter();
        let mut segments = Vec::new();
        for part in route.split('/').skip(1) {
            let given = if part.starts_with('{') { parameters.next() } else { None };
            // As a segment these would name another route.
            if given.is_some_and(|given| matches!(given.as_str(), "" | "." | "..")) {
                return Err(Error::invalid("a parameter of the path", "must not be empty or dots"));
            }
            segments.push(given.map_or(part, String::as_str));
        }
        url.path_segments_mut()
            .map_err(|()| Error::invalid("the base URL", "cannot have a path"))?
            .pop_if_empty()
            .extend(segments);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(self.accept));
        let organization = self.organization.or(self.client.inner.organization);
        for (name, what, value) in [
            (ORGANIZATION, "the organization", organization.map(|id| id.to_string())),
            (IDEMPOTENCY_KEY, "the Idempotency-Key", self.idempotency_key.clone()),
            (IF_MATCH, "the version", self.if_match.as_ref().map(ETag::to_string)),
            (
                HeaderName::from_static("last-event-id"),
                "the last event",
                self.last_event_id.map(|id| id.to_string()),
            ),
        ] {
            let Some(value) = value else { continue };
            let value = HeaderValue::try_from(value)
                .map_err(|_| Error::invalid(what, "holds what no header can"))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// A body of at most `limit` bytes.
pub(crate) async fn read(
    operation: &'static str,
    response: &mut Response,
    limit: usize,
) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(part) =
        response.chunk().await.map_err(|error| Error::transport(operation, error))?
    {
        if body.len() + part.len() > limit {
            return Err(Error::TooLarge { operation, limit });
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// Seconds, or a date as proxies write it (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
    Some((at - now).to_std().unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn call(base_url: &str, operation: &'static str, parameters: &[&str]) -> Call {
        let client = Client::new(base_url, "k").unwrap();
        Call::new(&client, operation, parameters.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn a_url_has_the_parameters_of_its_route() {
        let url = |base_url, parameters: &[&str]| {
            let call = call(base_url, "GET /v1/a/{b}/c/{d}", parameters);
            let url = call.with("q", Some("x y&z".to_owned())).url();
            url.map(|url| url.to_string())
        };
        let plain = url("http://a.test", &["1", "2"]).unwrap();
        assert_eq!(plain, "http://a.test/v1/a/1/c/2?q=x+y%26z");
        let below = url("https://a.test/postcall/", &["a/b", "ü?"]).unwrap();
        assert_eq!(below, "https://a.test/postcall/v1/a/a%2Fb/c/%C3%BC%3F?q=x+y%26z");
        for dots in ["", ".", ".."] {
            assert!(matches!(url("http://a.test", &["1", dots]), Err(Error::Invalid { .. })));
        }
    }

    #[test]
    fn only_a_post_gets_a_key_and_keeps_its_own() {
        assert_eq!(call("http://a.test", "PATCH /v1/a", &[]).named().idempotency_key, None);
        let post = call("http://a.test", "POST /v1/a", &[]).named();
        assert!(post.may_repeat() && post.idempotency_key.is_some());
        assert_eq!(post.clone().named().idempotency_key, post.idempotency_key);
        assert!(!call("http://a.test", "DELETE /v1/a", &[]).named().may_repeat());
    }

    #[test]
    fn what_no_header_can_hold_is_refused_before_anything_is_sent() {
        let mut call = call("http://a.test", "POST /v1/a", &[]);
        call.idempotency_key = Some("two\nlines".to_owned());
        let error = call.headers().unwrap_err();
        assert_eq!(error.to_string(), "the Idempotency-Key holds what no header can");
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-29T20:00:00Z").unwrap().to_utc();
        let wait = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 29 Nov 2026 20:01:00 GMT"), Some(60));
        assert_eq!(wait("Sun, 29 Nov 2026 19:00:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
