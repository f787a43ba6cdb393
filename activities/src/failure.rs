//! How errors of the rooms below become failures that Temporal understands.

use std::time::Duration;

use contract::failure::{INVALID, UNAVAILABLE};
use providers::error::ProviderError;
use store::{StoreError, error::Problem};
use temporalio_sdk::{ApplicationFailure, activities::ActivityError};

/// A failure with a type, a text for people, and whether trying again can help.
pub(crate) fn failure(
    class: &str,
    text: String,
    can_retry: bool,
    wait: Option<Duration>,
) -> ActivityError {
    ActivityError::application(
        ApplicationFailure::builder(text)
            .type_name(class.to_owned())
            .non_retryable(!can_retry)
            .maybe_next_retry_delay(wait)
            .build(),
    )
}

/// A failed operation of the store. The text names the operation only: Postgres' own message may
/// quote a value of the row.
pub(crate) fn of_store(error: &StoreError) -> ActivityError {
    tracing::warn!(error = error.operation_failed(), "a step's store operation failed");
    let class = if error.can_retry() { UNAVAILABLE } else { INVALID };
    failure(class, error.operation_failed(), error.can_retry(), None)
}

/// The same for a step that is tried until it works, whatever the error.
pub(crate) fn of_store_until_done(error: &StoreError) -> ActivityError {
    tracing::warn!(error = error.operation_failed(), "a step's store operation failed");
    // What breaks a rule of ours was asked for by hand; everything else is waited for.
    if matches!(error.problem(), Problem::Invalid(_)) {
        return failure(INVALID, error.to_string(), false, None);
    }
    failure(UNAVAILABLE, error.operation_failed(), true, None)
}

/// A failed request to a provider.
pub(crate) fn of_provider(error: &ProviderError) -> ActivityError {
    failure(error.class(), error.to_string(), error.can_retry(), error.retry_after())
}
