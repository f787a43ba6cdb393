//! The customer at Stripe: made once, whatever becomes of the answer.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{failure::REJECTED, ids::OrganizationId, onboarding::StepDone};
use providers::{
    error::{ErrorKind, ProviderError},
    stripe::{NewCustomer, StripeClient},
};
use store::{
    onboarding::{self, CustomerStep, Part},
    stripe_events,
};
use temporalio_sdk::activities::ActivityError;

use super::OnboardingActivities;
use crate::failure::{failure, of_provider, of_store};

/// Stripe forgets an idempotency key after 24 hours: from then on a repetition makes a second customer.
const KEY_KNOWN: TimeDelta = TimeDelta::hours(23);
/// A refusal (a wrong key, an address that Stripe does not take) lasts until a person has mended it.
const REFUSED_PAUSE: Duration = Duration::from_secs(3600);

pub(super) async fn make(
    room: &OnboardingActivities,
    organization: OrganizationId,
) -> Result<StepDone, ActivityError> {
    room.faults.point("customer.before").await?;
    let now = room.clock.now();
    let Some(stripe) = &room.stripe else {
        note(room, organization, true, "no STRIPE_SECRET_KEY").await?;
        return Ok(StepDone::default());
    };
    let step = onboarding::begin_customer(&room.db, organization, now).await;
    let CustomerStep::Due { name, email, tried_at } = step.map_err(|error| of_store(&error))?
    else {
        // A crash after the linking left this undone.
        retake(room, organization, now).await?;
        return Ok(StepDone::default());
    };
    room.faults.point("customer.claimed").await?;
    let customer = NewCustomer { organization_id: organization, name, email };
    let customer = match ask(stripe, &customer, tried_at, now).await {
        Ok(customer) => customer,
        Err(error) if matches!(error.kind, ErrorKind::Rejected { .. }) => {
            let text = error.to_string();
            note(room, organization, false, &text).await?;
            return Err(failure(REJECTED, text, true, Some(REFUSED_PAUSE)));
        }
        Err(error) => return Err(of_provider(&error)),
    };
    room.faults.point("customer.made").await?;
    let linked = onboarding::link_customer(&room.db, organization, &customer, now).await;
    let done = linked.map_err(|error| of_store(&error))?;
    room.faults.point("customer.linked").await?;
    retake(room, organization, now).await?;
    room.faults.point("customer.after").await?;
    Ok(StepDone { done, has_called: false })
}

/// Applies what Stripe told of the customer while nobody knew whose it is.
async fn retake(
    room: &OnboardingActivities,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<(), ActivityError> {
    let retaken = stripe_events::retake(&room.db, organization, now).await;
    retaken.map(drop).map_err(|error| of_store(&error))
}

/// The first try makes a customer. Each later one looks for it first: the one before may have made it.
async fn ask(
    stripe: &StripeClient,
    customer: &NewCustomer,
    tried_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<String, ProviderError> {
    let Some(tried_at) = tried_at else { return stripe.create_customer(customer).await };
    match stripe.find_customer(customer.organization_id).await {
        Ok(Some(found)) => Ok(found),
        // Search lags by a minute or so, and meanwhile the idempotency key is known.
        Ok(None) => stripe.create_customer(customer).await,
        // Some accounts and keys may not search. While the key is known, repeating has no second
        // effect.
        Err(error) if matches!(error.kind, ErrorKind::Rejected { .. }) => {
            if now - tried_at < KEY_KNOWN {
                stripe.create_customer(customer).await
            } else {
                Err(error)
            }
        }
        Err(error) => Err(error),
    }
}

async fn note(
    room: &OnboardingActivities,
    organization: OrganizationId,
    is_done: bool,
    text: &str,
) -> Result<(), ActivityError> {
    let now = room.clock.now();
    onboarding::note(&room.db, organization, Part::Customer, is_done, Some(text), now)
        .await
        .map_err(|error| of_store(&error))
}
