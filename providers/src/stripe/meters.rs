//! What Stripe has counted (`GET /v1/billing/meters/{id}/event_summaries`).

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    PAGE_SIZE, StripeClient,
    answer::{Page, send},
};
use crate::{error::ProviderError, operation::Operation};

const COUNTED: Operation = Operation { provider: "stripe", name: "counted", repeatable: true };

/// Most pages of one list that are read: 10,000 meters, or 10,000 summaries.
const MAX_PAGES: usize = 100;

/// The active meters of an account, read once for any number of questions.
#[derive(Debug)]
pub struct Meters<'a> {
    stripe: &'a StripeClient,
    active: Vec<Meter>,
}

#[derive(Debug, Deserialize)]
struct Meter {
    id: String,
    event_name: String,
}

#[derive(Deserialize)]
struct Summary {
    id: String,
    aggregated_value: f64,
}

trait Listed: DeserializeOwned {
    fn id(&self) -> &str;
}

impl Listed for Meter {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Summary {
    fn id(&self) -> &str {
        &self.id
    }
}

impl StripeClient {
    /// The meters that count now; an archived one is none of them.
    ///
    /// # Errors
    /// When Stripe refuses or does not answer.
    pub async fn meters(&self) -> Result<Meters<'_>, ProviderError> {
        let path = ["v1", "billing", "meters"];
        Ok(Meters { stripe: self, active: self.list(&path, &[("status", "active")]).await? })
    }

    /// All entries of a list, page by page.
    async fn list<T: Listed>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, ProviderError> {
        let mut entries: Vec<T> = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut request = self.get(path).query(query).query(&[("limit", PAGE_SIZE)]);
            if let Some(last) = entries.last() {
                request = request.query(&[("starting_after", last.id())]);
            }
            let answered = send(COUNTED, request).await?;
            let status = answered.answer.status;
            if !status.is_success() {
                return Err(answered.error(COUNTED));
            }
            let page: Option<Page<T>> = answered.answer.json();
            let Page { data, has_more } = page.ok_or_else(|| COUNTED.malformed(status))?;
            let is_last = !has_more || data.is_empty();
            entries.extend(data);
            if is_last {
                return Ok(entries);
            }
        }
        Err(COUNTED.malformed(StatusCode::OK))
    }
}

impl Meters<'_> {
    /// Whether there is an active meter of events of this name.
    pub fn has(&self, event_name: &str) -> bool {
        self.of(event_name).is_some()
    }

    fn of(&self, event_name: &str) -> Option<&Meter> {
        self.active.iter().find(|meter| meter.event_name == event_name)
    }

    /// What Stripe has counted of a customer's events of this name from `from` until `until` (cut to
    /// whole minutes). Nothing where it has no active meter of that name. Stripe counts with a delay.
    ///
    /// # Errors
    /// When Stripe refuses or does not answer, or has counted less than nothing.
    pub async fn counted(
        &self,
        event_name: &str,
        customer: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<u64>, ProviderError> {
        let Some(meter) = self.of(event_name) else { return Ok(None) };
        let path = ["v1", "billing", "meters", &meter.id, "event_summaries"];
        let query = [
            ("customer", customer),
            ("start_time", &whole_minutes(from).to_string()),
            ("end_time", &whole_minutes(until).to_string()),
        ];
        let summaries: Vec<Summary> = self.stripe.list(&path, &query).await?;
        let sum: f64 = summaries.iter().map(|summary| summary.aggregated_value).sum();
        // What others took back by negative usage would look like a report that never arrived.
        if !sum.is_finite() || sum < 0.0 {
            return Err(COUNTED.malformed(StatusCode::OK));
        }
        Ok(Some(sum.round() as u64))
    }
}

/// Seconds since 1970, cut to a whole minute: Stripe takes no others for summaries.
fn whole_minutes(at: DateTime<Utc>) -> i64 {
    let seconds = at.timestamp();
    seconds - seconds.rem_euclid(60)
}
