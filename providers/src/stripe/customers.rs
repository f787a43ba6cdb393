//! Customers: one for each organization, found again by its metadata.

use std::collections::BTreeMap;

use contract::ids::OrganizationId;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    PAGE_SIZE, StripeClient,
    answer::{Page, send},
};
use crate::{error::ProviderError, operation::Operation};

const CREATE: Operation =
    Operation { provider: "stripe", name: "create_customer", repeatable: true };
const READ: Operation = Operation { provider: "stripe", name: "customer", repeatable: true };
const FIND: Operation = Operation { provider: "stripe", name: "find_customer", repeatable: true };

/// A customer to make.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// Goes into the customer's metadata as `organization_id`.
    pub organization_id: OrganizationId,
    /// Name of the organization.
    pub name: String,
    /// Where invoices go.
    pub email: Option<SecretString>,
}

/// A customer that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCustomer {
    /// The organization that its metadata names.
    pub organization_id: Option<String>,
}

#[derive(Deserialize)]
struct Customer {
    id: String,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl StripeClient {
    /// Makes a customer; gives Stripe's id. The idempotency key is made of the organization: within
    /// 24 hours a repetition gives the same customer. Later look first: [`Self::find_customer`].
    ///
    /// # Errors
    /// When Stripe refuses, does not answer, or its answer is lost. `idempotency_error` where name or
    /// email have changed since a request of the last 24 hours.
    pub async fn create_customer(&self, customer: &NewCustomer) -> Result<String, ProviderError> {
        let organization = customer.organization_id.to_string();
        let mut form = vec![
            ("name", customer.name.as_str()),
            ("metadata[organization_id]", organization.as_str()),
        ];
        form.extend(customer.email.iter().map(|email| ("email", email.expose_secret())));
        let key = format!("customer-{organization}");
        let answered = send(CREATE, self.post(&["v1", "customers"], &key).form(&form)).await?;
        let status = answered.answer.status;
        if !status.is_success() {
            return Err(answered.error(CREATE));
        }
        let made: Option<Customer> = answered.answer.json();
        made.map(|customer| customer.id).ok_or_else(|| CREATE.malformed(status))
    }

    /// Whether there is a customer of this id; nothing for one that was deleted.
    ///
    /// # Errors
    /// When Stripe refuses for another reason, or does not answer.
    pub async fn customer(&self, id: &str) -> Result<Option<KnownCustomer>, ProviderError> {
        let answered = send(READ, self.get(&["v1", "customers", id])).await?;
        let status = answered.answer.status;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(answered.error(READ));
        }
        let found: Option<Customer> = answered.answer.json();
        let mut found = found.ok_or_else(|| READ.malformed(status))?;
        let organization_id = found.metadata.remove("organization_id");
        Ok((!found.deleted).then_some(KnownCustomer { organization_id }))
    }

    /// The customer with this organization in its metadata; of several the one that was made first.
    /// Stripe's search lags by a minute or so.
    ///
    /// # Errors
    /// When Stripe refuses or does not answer.
    pub async fn find_customer(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<String>, ProviderError> {
        let query = format!("metadata['organization_id']:'{organization}'");
        let request = self.get(&["v1", "customers", "search"]);
        let request = request.query(&[("query", query.as_str()), ("limit", PAGE_SIZE)]);
        let answered = send(FIND, request).await?;
        let status = answered.answer.status;
        if !status.is_success() {
            return Err(answered.error(FIND));
        }
        let page: Option<Page<Customer>> = answered.answer.json();
        let found = page.ok_or_else(|| FIND.malformed(status))?.data;
        Ok(found.into_iter().min_by_key(|customer| customer.created).map(|customer| customer.id))
    }
}
