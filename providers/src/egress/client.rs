//! HTTP/1.1 through the guard, on connections that are kept for a while.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response,
    body::Incoming,
    header::{ACCEPT, HeaderValue, USER_AGENT},
};
use hyper_util::{
    client::legacy::{self, connect::capture_connection},
    rt::{TokioExecutor, TokioTimer},
};
use url::Url;

use super::{
    Code, Egress, Failure, Refused,
    connect::Connector,
    stream::{Count, Counted, Since},
};
use crate::http::{self, SetupError};

/// Largest head of an answer, in bytes, and largest piece of a body read at once.
pub(crate) const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Connections kept for one host.
const MAX_IDLE_PER_HOST: usize = 4;
/// How long an unused connection is kept; many servers close it after 60 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections kept for all hosts together, about: beyond it, whoever asks [`Client::is_crowded`]
/// lets his be closed. Without it, a million endpoints would hold as many sockets for 30 s.
const MAX_IDLE: usize = 512;

/// Sends to allowed addresses only. A request goes out once: only one that was not begun, because
/// the kept connection had been closed, is begun again on another.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    egress: Egress,
    http: legacy::Client<Connector, Full<Bytes>>,
    open: Count,
    busy: Count,
}

impl Client {
    pub(super) fn new(egress: Egress, max_answer_bytes: Option<usize>) -> Result<Self, SetupError> {
        let open = Count::default();
        let connector = Connector::new(egress.clone(), max_answer_bytes, open.clone());
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector.map_err(SetupError::Tls)?);
        Ok(Self { egress, http, open, busy: Count::default() })
    }

    /// See [`Egress::check_url`].
    pub(crate) fn check_url(&self, url: &Url) -> Result<(), Refused> {
        self.egress.check_url(url)
    }

    /// Whether so many connections lie unused that this exchange should close its own
    /// (`connection: close`).
    pub(crate) fn is_crowded(&self) -> bool {
        self.unused() > MAX_IDLE
    }

    /// Connections on which nothing goes on, about.
    pub(super) fn unused(&self) -> usize {
        self.open.get().saturating_sub(self.busy.get())
    }

    /// As many unused connections as make it crowded, for as long as they are held.
    #[cfg(test)]
    pub(crate) fn crowd(&self) -> Vec<Counted> {
        (0..=MAX_IDLE).map(|_| self.open.one()).collect()
    }

    /// Held while an exchange goes on, so that its connection does not count as unused.
    pub(crate) fn busy(&self) -> Counted {
        self.busy.one()
    }

    /// Sends a request; gives back the head of its answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let uri = self.egress.target(url).map_err(|why| Failure::new(Code::Blocked, why))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let connection = capture_connection(&mut request);
        let response = self.http.request(request).await.map_err(Failure::of)?;
        let since = response.extensions().get::<Since>();
        if since.is_some_and(|since| since.0.elapsed() >= self.egress.max_age)
            && let Some(connection) = &*connection.connection_metadata()
        {
            connection.poison();
        }
        Ok(response)
    }

    /// Gets what lies at a URL.
    pub(crate) async fn get(&self, url: &Url) -> Result<reqwest::Response, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(http::USER_AGENT));
        let response = self.send(Method::GET, url, headers, Bytes::new()).await?;
        Ok(response.map(reqwest::Body::wrap).into())
    }
}
