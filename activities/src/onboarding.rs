//! What a new organization needs before its first call.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

mod customer;
mod letter;

use std::sync::Arc;

use contract::{
    failure::INVALID,
    onboarding::{EndOnboarding, OnboardingStep, Remind, StepDone},
};
use providers::{resend::ResendClient, stripe::StripeClient};
use store::{
    Database, keys,
    mail::Mail,
    onboarding::{self, Guest, Part},
    sealing::Sealer,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    clock::Clock,
    failure::{failure, of_store},
    faults::Faults,
    mail::{self, Postbox, Sent},
};

/// `organization_emails.kind` of the welcome and the reminders.
const EMAIL_KIND: &str = "onboarding";

/// What the onboarding needs.
#[derive(Debug, Clone)]
pub struct OnboardingActivities {
    /// Where organizations are.
    pub db: Database,
    /// Seals the first key and messages.
    pub sealer: Sealer,
    /// Stripe; without a key there is no customer.
    pub stripe: Option<StripeClient>,
    /// Sends emails; none without a key.
    pub resend: Option<ResendClient>,
    /// The time.
    pub clock: Clock,
    /// Where tests strike.
    pub faults: Faults,
}

#[activities]
impl OnboardingActivities {
    /// Makes the customer at Stripe, once.
    #[activity(definition = contract::onboarding::CustomerActivity)]
    pub async fn customer(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: OnboardingStep,
    ) -> Result<StepDone, ActivityError> {
        customer::make(&self, input.organization_id).await
    }

    /// Writes default settings, assistant and first key.
    #[activity(definition = contract::onboarding::FurnishActivity)]
    pub async fn furnish(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: OnboardingStep,
    ) -> Result<StepDone, ActivityError> {
        self.faults.point("furnish.before").await?;
        let key = keys::generate()
            .map_err(|error| failure(INVALID, format!("no random bytes: {error}"), true, None))?;
        let (organization, now) = (input.organization_id, self.clock.now());
        let done = onboarding::furnish(&self.db, &self.sealer, organization, &key, now).await;
        let done = done.map_err(|error| of_store(&error))?;
        self.faults.point("furnish.after").await?;
        Ok(StepDone { done, has_called: false })
    }

    /// Sends the welcome, or a reminder.
    #[activity(definition = contract::onboarding::RemindActivity)]
    pub async fn remind(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: Remind,
    ) -> Result<StepDone, ActivityError> {
        self.faults.point("letter.before").await?;
        let guest = onboarding::guest(&self.db, input.organization_id).await;
        let guest = guest.map_err(|error| of_store(&error))?;
        let has_called = guest.has_called;
        if has_called && input.number > 0 {
            return Ok(StepDone { done: false, has_called });
        }
        let note = self.send_all(input, &guest).await?;
        self.faults.point("letter.settled").await?;
        let (part, now) = (Part::Email(input.number), self.clock.now());
        onboarding::note(&self.db, input.organization_id, part, true, note, now)
            .await
            .map_err(|error| of_store(&error))?;
        self.faults.point("letter.after").await?;
        Ok(StepDone { done: note.is_none(), has_called })
    }

    /// Writes down how it ended.
    #[activity(definition = contract::onboarding::EndActivity)]
    pub async fn end(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: EndOnboarding,
    ) -> Result<StepDone, ActivityError> {
        self.faults.point("onboarded.before").await?;
        let now = self.clock.now();
        let ended = onboarding::end(&self.db, input.organization_id, input.has_called, now).await;
        let ended = ended.map_err(|error| of_store(&error))?;
        self.faults.point("onboarded.after").await?;
        Ok(StepDone { done: ended.now, has_called: ended.has_called })
    }
}

impl OnboardingActivities {
    /// Sends to each recipient, whatever becomes of the others. Gives what is to be said of it where
    /// nobody was reached.
    async fn send_all(
        &self,
        input: Remind,
        guest: &Guest,
    ) -> Result<Option<&'static str>, ActivityError> {
        let message = letter::write(input.number, &guest.name)
            .map_err(|error| failure(INVALID, format!("template: {error}"), false, None))?;
        let postbox = Postbox {
            db: &self.db,
            sealer: &self.sealer,
            resend: self.resend.as_ref(),
            now: self.clock.now(),
            faults: &self.faults,
            points: ["letter.claimed", "letter.posted"],
        };
        let mut note = Some("the organization has no email address");
        let mut failed = None;
        for recipient in &guest.emails {
            let mail = Mail {
                organization_id: input.organization_id,
                kind: EMAIL_KIND,
                about: &input.number.to_string(),
                recipient,
                message: &message,
            };
            match mail::send(postbox, mail).await {
                Ok(Sent::Accepted) => note = None,
                Ok(Sent::NotConfigured) => note = Some("no RESEND_API_KEY"),
                Ok(Sent::Refused) => note = note.and(Some("the email was refused")),
                Ok(Sent::Unknown) => note = note.and(Some("the email may have been sent")),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(note), Err)
    }
}
