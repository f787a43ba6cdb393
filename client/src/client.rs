//! The client itself.

use std::{fmt, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::{builder::ClientBuilder, error::Error, retries::Retries};

/// A client of one installation, with one key. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: Url,
    pub(crate) key: SecretString,
    pub(crate) organization: Option<Uuid>,
    pub(crate) timeout: Duration,
    pub(crate) retries: Retries,
}

impl Client {
    /// A client of the API at `base_url`, as `https://api.example.com`, with an API key or the
    /// access token of a member.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the URL is none, or the key holds what no header can.
    pub fn new(base_url: impl AsRef<str>, key: impl Into<SecretString>) -> Result<Self, Error> {
        Self::builder(base_url, key).build()
    }

    /// The same, with settings of your own.
    pub fn builder(base_url: impl AsRef<str>, key: impl Into<SecretString>) -> ClientBuilder {
        ClientBuilder::new(base_url.as_ref(), key.into())
    }

    /// Where the API is.
    pub fn base_url(&self) -> &str {
        self.inner.base_url.as_str()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { base_url, organization, timeout, retries, .. } = &*self.inner;
        f.debug_struct("Client")
            .field("base_url", &base_url.as_str())
            .field("organization", organization)
            .field("timeout", timeout)
            .field("retries", retries)
            .finish_non_exhaustive()
    }
}
