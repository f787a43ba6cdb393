//! Stripe: meter events, customers, webhooks (API version 2026-10-28.endive).

mod answer;
mod customers;
mod error_report;
mod event;
mod meters;
mod signature;
mod usage;

#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    customers::{KnownCustomer, NewCustomer},
    error_report::MeterErrorReport,
    event::{Invoice, Meaning, Mode, StripeEvent, Subscription, UnreadableEvent, read},
    meters::Meters,
    signature::{is_signed, sign},
    usage::{MeterEvent, MeterEventError},
};
use crate::http::{self, SetupError, TOTAL_TIMEOUT};

/// The version of the API that requests ask for.
pub const API_VERSION: &str = "2026-10-28.endive";

/// Most entries of a page of a list, which is also Stripe's limit.
const PAGE_SIZE: &str = "100";

/// One account at Stripe.
#[derive(Debug, Clone)]
pub struct StripeClient {
    client: Client,
    base_url: Url,
    secret_key: SecretString,
}

impl StripeClient {
    /// A client of the API at `base_url`.
    ///
    /// # Errors
    /// When the URL is none, or the HTTP client cannot be made.
    pub fn new(base_url: &str, secret_key: SecretString) -> Result<Self, SetupError> {
        Self::with_timeout(base_url, secret_key, TOTAL_TIMEOUT)
    }

    /// As [`Self::new`], each request limited to `timeout`.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub fn with_timeout(
        base_url: &str,
        secret_key: SecretString,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        let base_url = http::base_url("stripe", base_url)?;
        Ok(Self { client: http::client(timeout)?, base_url, secret_key })
    }

    fn get(&self, path: &[&str]) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A request that changes something. Under one key it does so once in 24 hours.
    fn post(&self, path: &[&str], idempotency_key: &str) -> RequestBuilder {
        self.request(Method::POST, path).header("idempotency-key", idempotency_key)
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.client
            .request(method, http::under(&self.base_url, path))
            .bearer_auth(self.secret_key.expose_secret())
            .header("stripe-version", API_VERSION)
    }
}
