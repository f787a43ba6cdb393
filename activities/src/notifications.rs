//! Text messages and emails about a processed call: each recipient once.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use contract::{
    calls::CallRef,
    failure::{INVALID, REJECTED, UNAVAILABLE, UNKNOWN_OUTCOME},
    notifications::{Channel, NotificationState, Notified, Notify},
};
use providers::{
    error::{ErrorKind, ProviderError},
    resend::{EmailMessage, ResendClient},
    twilio::TwilioClient,
};
use secrecy::ExposeSecret;
use store::{
    Database, notice,
    notifications::{self, Addressee, Claim},
    sealing::Sealer,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    failure::{failure, of_provider, of_store},
    faults::Faults,
    message,
};

/// What the notification steps need.
#[derive(Debug, Clone)]
pub struct NotificationActivities {
    /// Where claims lie.
    pub db: Database,
    /// Seals recipients and texts.
    pub sealer: Sealer,
    /// Sends text messages, when configured.
    pub twilio: Option<TwilioClient>,
    /// Sends emails, when configured.
    pub resend: Option<ResendClient>,
    /// How long Twilio may take to list a message whose answer was lost.
    pub look_up_after: Duration,
    /// Where a test may strike.
    pub faults: Faults,
}

/// What became of one recipient's message.
enum Sent {
    Yes,
    /// Twilio may have sent it; looked up later.
    Unknown,
    Failed(ProviderError),
}

#[activities]
impl NotificationActivities {
    /// One text message to each recipient, once per call.
    #[activity(definition = contract::notifications::Sms)]
    pub async fn sms(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: Notify,
    ) -> Result<Notified, ActivityError> {
        self.faults.point("sms.before").await?;
        let Some(twilio) = &self.twilio else {
            let text = "no TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER";
            return Err(failure(INVALID, text.to_owned(), false, None));
        };
        let mut outcomes = Vec::new();
        for claim in self.claims(input, Channel::Sms).await? {
            self.faults.point("sms.claimed").await?;
            let sent = self.send_sms(twilio, input.call, &claim).await?;
            self.faults.point("sms.posted").await?;
            outcomes.push(self.settle(input.call, &claim.claim, sent).await?);
        }
        self.faults.point("sms.after").await?;
        self.conclude(&outcomes)
    }

    /// One email to each recipient, once per call.
    #[activity(definition = contract::notifications::Email)]
    pub async fn email(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: Notify,
    ) -> Result<Notified, ActivityError> {
        self.faults.point("email.before").await?;
        let Some(resend) = &self.resend else {
            return Err(failure(INVALID, "no RESEND_API_KEY".to_owned(), false, None));
        };
        let mut outcomes = Vec::new();
        for claim in self.claims(input, Channel::Email).await? {
            self.faults.point("email.claimed").await?;
            let email = EmailMessage {
                to: claim.recipient.clone(),
                subject: claim.claim.message.subject.expose_secret().to_owned(),
                html: claim.claim.message.html.expose_secret().to_owned(),
                text: claim.claim.message.text.expose_secret().to_owned(),
            };
            let sent = resend.send(&email, &claim.effect_key).await;
            self.faults.point("email.posted").await?;
            outcomes.push(self.settle(input.call, &claim.claim, sent.map(Some)).await?);
        }
        self.faults.point("email.after").await?;
        self.conclude(&outcomes)
    }
}

/// A claim with whom it is for.
struct Claimed {
    claim: Claim,
    recipient: String,
    effect_key: String,
}

impl NotificationActivities {
    /// Claims every recipient of a channel whose message is not settled.
    async fn claims(&self, input: Notify, channel: Channel) -> Result<Vec<Claimed>, ActivityError> {
        let call = input.call;
        let notice = notice::get(&self.db, call).await.map_err(|e| of_store(&e))?;
        let recipients = match channel {
            Channel::Sms => &notice.recipients.sms,
            Channel::Email => &notice.recipients.email,
        };
        let message = message::write(call, channel, &notice).map_err(|_| {
            failure(INVALID, "the notice cannot be written".to_owned(), false, None)
        })?;
        let mut claims = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            let to = Addressee { call, channel, recipient };
            let effect_key = to.effect_key();
            let claim =
                notifications::claim(&self.db, &self.sealer, to, &message, input.retry_failed)
                    .await
                    .map_err(|e| of_store(&e))?;
            claims.extend(claim.map(|claim| Claimed {
                claim,
                recipient: recipient.clone(),
                effect_key,
            }));
        }
        Ok(claims)
    }

    /// Sends a text message, or finds out whether an earlier try did.
    ///
    /// Twilio has no idempotency key: a claim that was `sending` or `unknown` before is looked up
    /// in Twilio's list. Only what is not there although it had time to appear is sent again.
    async fn send_sms(
        &self,
        twilio: &TwilioClient,
        call: CallRef,
        claimed: &Claimed,
    ) -> Result<Result<Option<String>, ProviderError>, ActivityError> {
        let claim = &claimed.claim;
        let text = claim.message.text.expose_secret();
        let in_doubt =
            matches!(claim.previous, NotificationState::Sending | NotificationState::Unknown);
        if let (true, Some(last_try)) = (in_doubt, claim.last_try) {
            let found = twilio.find_sms(&claimed.recipient, text, claim.since).await;
            let found = found.map_err(|error| of_provider(&error))?;
            if let Some(sent) = found {
                return Ok(Ok(Some(sent.sid)));
            }
            if !self.had_time_to_appear(last_try) {
                return Ok(Ok(None));
            }
            // A new try, and a new time for it to appear.
            let sending = NotificationState::Sending;
            notifications::settle(&self.db, call, claim.id, sending, None, None)
                .await
                .map_err(|e| of_store(&e))?;
        }
        let sent = twilio.send_sms(&claimed.recipient, text, None).await;
        Ok(sent.map(|sent| Some(sent.sid)))
    }

    fn had_time_to_appear(&self, since: DateTime<Utc>) -> bool {
        (Utc::now() - since).to_std().is_ok_and(|age| age >= self.look_up_after)
    }

    /// Notes what became of a claim. `Ok(None)` is a message still in doubt.
    async fn settle(
        &self,
        call: CallRef,
        claim: &Claim,
        sent: Result<Option<String>, ProviderError>,
    ) -> Result<Sent, ActivityError> {
        let (state, provider_id, outcome) = match sent {
            Ok(Some(id)) => (NotificationState::Sent, Some(id), Sent::Yes),
            Ok(None) => (NotificationState::Unknown, None, Sent::Unknown),
            Err(error) => {
                let state = match error.kind {
                    ErrorKind::Rejected { .. } => NotificationState::Failed,
                    ErrorKind::Ambiguous { repeatable: false, .. } | ErrorKind::Malformed => {
                        NotificationState::Unknown
                    }
                    // Certainly not sent, or repeatable by its key.
                    _ => NotificationState::Pending,
                };
                (state, None, Sent::Failed(error))
            }
        };
        let text = match &outcome {
            Sent::Failed(error) => Some(error.to_string()),
            _ => None,
        };
        let (id, error) = (provider_id.as_deref(), text.as_deref());
        notifications::settle(&self.db, call, claim.id, state, id, error)
            .await
            .map_err(|e| of_store(&e))?;
        Ok(outcome)
    }

    /// The step is done when every recipient has the message. What may pass decides before what
    /// will not, so that the step is tried again while that helps anybody.
    fn conclude(&self, outcomes: &[Sent]) -> Result<Notified, ActivityError> {
        let sent = outcomes.iter().filter(|outcome| matches!(outcome, Sent::Yes)).count();
        let mut rejected = None;
        for outcome in outcomes {
            match outcome {
                Sent::Yes => {}
                Sent::Unknown => {
                    let text = "twilio.send_sms: looked up again soon".to_owned();
                    return Err(failure(UNKNOWN_OUTCOME, text, true, Some(self.look_up_after)));
                }
                Sent::Failed(error) if matches!(error.kind, ErrorKind::Rejected { .. }) => {
                    rejected = Some(error.to_string());
                }
                Sent::Failed(error) => {
                    let ambiguous = error.class() == UNKNOWN_OUTCOME;
                    let wait =
                        if ambiguous { Some(self.look_up_after) } else { error.retry_after() };
                    let class = if ambiguous { UNKNOWN_OUTCOME } else { UNAVAILABLE };
                    return Err(failure(class, error.to_string(), true, wait));
                }
            }
        }
        match rejected {
            Some(text) => Err(failure(REJECTED, text, false, None)),
            None => Ok(Notified { sent: u32::try_from(sent).unwrap_or(u32::MAX) }),
        }
    }
}
