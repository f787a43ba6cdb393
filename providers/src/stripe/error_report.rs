//! What a thin event about usage only hints at (`GET /v2/core/events/{id}`).

use reqwest::StatusCode;
use serde::Deserialize;

use super::{
    StripeClient,
    answer::{is_word, send},
};
use crate::{error::ProviderError, operation::Operation};

const READ: Operation =
    Operation { provider: "stripe", name: "meter_error_report", repeatable: true };

/// Most samples that are taken over; Stripe gives a handful for each code.
const MAX_SAMPLES: usize = 1_000;
/// Longest identifier of a meter event, in bytes.
const MAX_IDENTIFIER_BYTES: usize = 100;

/// Why Stripe could not bill usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterErrorReport {
    /// Errors that Stripe counted.
    pub errors: u32,
    /// Examples, at most 1,000: Stripe's code, and the identifier of the meter event. A code without
    /// an example stands there once, without an identifier.
    pub samples: Vec<(String, Option<String>)>,
}

#[derive(Deserialize)]
struct Event {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    reason: Reason,
}

#[derive(Deserialize)]
struct Reason {
    error_count: Option<u32>,
    #[serde(default)]
    error_types: Vec<ErrorType>,
}

#[derive(Deserialize)]
struct ErrorType {
    code: String,
    error_count: Option<u32>,
    #[serde(default)]
    sample_errors: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    request: Option<Request>,
}

#[derive(Deserialize)]
struct Request {
    identifier: Option<String>,
}

impl StripeClient {
    /// The whole of a thin event about usage that could not be billed. Nothing where Stripe has no
    /// such event.
    ///
    /// # Errors
    /// When Stripe refuses or does not answer, or the event is about something else.
    pub async fn meter_error_report(
        &self,
        event_id: &str,
    ) -> Result<Option<MeterErrorReport>, ProviderError> {
        let answered = send(READ, self.get(&["v2", "core", "events", event_id])).await?;
        let status = answered.answer.status;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(answered.error(READ));
        }
        let event: Option<Event> = answered.answer.json();
        Ok(Some(event.ok_or_else(|| READ.malformed(status))?.data.reason.into()))
    }
}

impl From<Reason> for MeterErrorReport {
    fn from(reason: Reason) -> Self {
        let counted = reason.error_types.iter().filter_map(|of| of.error_count);
        let errors = reason.error_count.unwrap_or_else(|| counted.fold(0, u32::saturating_add));
        let samples = reason.error_types.into_iter().flat_map(samples).take(MAX_SAMPLES).collect();
        Self { errors, samples }
    }
}

fn samples(of: ErrorType) -> Vec<(String, Option<String>)> {
    // An open enumeration: a code that is no identifier could be a text with an address in it.
    let code = if is_word(&of.code) { of.code } else { "unknown".to_owned() };
    if of.sample_errors.is_empty() {
        return vec![(code, None)];
    }
    let identifiers = of.sample_errors.into_iter().map(|sample| {
        let identifier = sample.request.and_then(|request| request.identifier);
        identifier.filter(|identifier| identifier.len() <= MAX_IDENTIFIER_BYTES)
    });
    identifiers.map(|identifier| (code.clone(), identifier)).collect()
}
