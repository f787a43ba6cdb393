//! Settings of a client.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{header::HeaderValue, redirect};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use crate::{
    client::{Client, Inner},
    error::Error,
    retries::Retries,
};

/// From the request to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The API tries for half a minute to read a page of an export, and says something every 15 seconds
/// where it has no event to tell.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
const USER_AGENT: &str = concat!("postcall-client/", env!("CARGO_PKG_VERSION"));

/// Settings of a [`Client`].
#[must_use = "`build` makes the client"]
pub struct ClientBuilder {
    base_url: String,
    key: SecretString,
    organization: Option<Uuid>,
    user_agent: String,
    timeout: Duration,
    connect_timeout: Duration,
    idle_timeout: Duration,
    retries: Retries,
}

impl ClientBuilder {
    pub(crate) fn new(base_url: &str, key: SecretString) -> Self {
        Self {
            base_url: base_url.to_owned(),
            key,
            organization: None,
            user_agent: USER_AGENT.to_owned(),
            timeout: TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            retries: Retries::default(),
        }
    }

    /// The organization that is meant, with the token of a member of several. A key needs none.
    pub fn organization(self, id: Uuid) -> Self {
        Self { organization: Some(id), ..self }
    }

    /// The header `User-Agent`. Default: name and version of this crate.
    pub fn user_agent(self, user_agent: impl Into<String>) -> Self {
        Self { user_agent: user_agent.into(), ..self }
    }

    /// How long an attempt may take, from the connection to the last byte of the answer. Default:
    /// 30 seconds. Exports, downloads and live events may last longer: see [`Self::idle_timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How long a connection may take to come about, TLS included. Default: 10 seconds.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// How long an answer may be silent. Default: 120 seconds.
    pub fn idle_timeout(self, idle_timeout: Duration) -> Self {
        Self { idle_timeout, ..self }
    }

    /// How often what may succeed later is sent.
    pub fn retries(self, retries: Retries) -> Self {
        Self { retries, ..self }
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the URL is none, or the key or the user agent holds what no header
    /// can.
    pub fn build(self) -> Result<Client, Error> {
        let base_url = base_url(&self.base_url)?;
        let header = format!("Bearer {}", self.key.expose_secret());
        if self.key.expose_secret().is_empty() || HeaderValue::try_from(header).is_err() {
            return Err(Error::invalid("the key", "is empty, or holds what no header can"));
        }
        let http = reqwest::Client::builder()
            .user_agent(self.user_agent)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.idle_timeout)
            // The API sends nobody elsewhere, and a key is for one server.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| Error::invalid("the HTTP client", error.to_string()))?;
        let inner = Inner {
            http,
            base_url,
            key: self.key,
            organization: self.organization,
            timeout: self.timeout,
            retries: self.retries,
        };
        Ok(Client { inner: Arc::new(inner) })
    }
}

fn base_url(text: &str) -> Result<Url, Error> {
    let invalid = |detail: &str| Error::invalid("the base URL", detail);
    let url: Url = text.parse().map_err(|error| invalid(&format!("is none: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("must not hold a user or a password: the key says who asks"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("must end with its path"));
    }
    Ok(url)
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").finish_non_exhaustive()
    }
}
