//! Text messages and emails about a processed call: each recipient once.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::{sync::Arc, time::Duration};

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
    notifications::{self, Addressee, Claim, Claimed, Message},
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
    /// What Twilio can call back, without a slash at the end; no callbacks without it.
    pub public_url: Option<String>,
    /// Where a test may strike.
    pub faults: Faults,
}

/// After this time Resend has forgotten the idempotency key, so the same email would go out twice.
const EMAIL_KEY_KNOWN: Duration = Duration::from_secs(23 * 3600);

/// What became of one recipient's message.
enum Outcome {
    Sent,
    /// Twilio may have sent it; looked up later.
    InDoubt,
    /// For good, now or at an earlier try.
    Refused(String),
    Failed(ProviderError),
}

impl Outcome {
    fn of_settled(settled: &Claimed) -> Self {
        match settled {
            Claimed::Refused(why) => Self::Refused(why.clone()),
            _ => Self::Sent,
        }
    }
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
        self.send_all(input, Carrier::Sms(twilio)).await
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
        self.send_all(input, Carrier::Email(resend)).await
    }
}

/// Who carries a channel's messages.
#[derive(Clone, Copy)]
enum Carrier<'a> {
    Sms(&'a TwilioClient),
    Email(&'a ResendClient),
}

impl Carrier<'_> {
    const fn channel(self) -> Channel {
        match self {
            Self::Sms(_) => Channel::Sms,
            Self::Email(_) => Channel::Email,
        }
    }

    /// Where a test may strike: after a claim, after its message, after all of them.
    const fn points(self) -> [&'static str; 3] {
        match self {
            Self::Sms(_) => ["sms.claimed", "sms.posted", "sms.after"],
            Self::Email(_) => ["email.claimed", "email.posted", "email.after"],
        }
    }
}

/// What is said of a call, and to whom.
struct Notice {
    channel: Channel,
    message: Message,
    recipients: Vec<String>,
}

impl NotificationActivities {
    /// One message to each recipient: claimed, sent, settled, one after the other.
    async fn send_all(
        &self,
        input: Notify,
        carrier: Carrier<'_>,
    ) -> Result<Notified, ActivityError> {
        let [claimed, posted, after] = carrier.points();
        let notice = self.notice(input.call, carrier.channel()).await?;
        let mut outcomes = Vec::new();
        for recipient in &notice.recipients {
            let claim = match self.claim(input, &notice, recipient).await? {
                Claimed::Open(claim) => claim,
                settled => {
                    outcomes.push(Outcome::of_settled(&settled));
                    continue;
                }
            };
            self.faults.point(claimed).await?;
            let sent = match carrier {
                Carrier::Sms(twilio) => {
                    self.send_sms(twilio, input.call, recipient, &claim).await?
                }
                Carrier::Email(resend) => send_email(resend, input.call, recipient, &claim).await,
            };
            self.faults.point(posted).await?;
            outcomes.push(self.settle(input.call, &claim, sent).await?);
        }
        self.faults.point(after).await?;
        self.conclude(&outcomes)
    }

    async fn notice(&self, call: CallRef, channel: Channel) -> Result<Notice, ActivityError> {
        let notice = notice::get(&self.db, call).await.map_err(|e| of_store(&e))?;
        let message = message::write(call, channel, &notice).map_err(|_| {
            failure(INVALID, "the notice cannot be written".to_owned(), false, None)
        })?;
        let recipients = match channel {
            Channel::Sms => notice.recipients.sms,
            Channel::Email => notice.recipients.email,
        };
        Ok(Notice { channel, message, recipients })
    }

    /// Claims one recipient's message just before it is sent: what waits its turn is not in doubt.
    async fn claim(
        &self,
        input: Notify,
        notice: &Notice,
        recipient: &str,
    ) -> Result<Claimed, ActivityError> {
        let to = Addressee { call: input.call, channel: notice.channel, recipient };
        notifications::claim(&self.db, &self.sealer, to, &notice.message, input.retry_failed)
            .await
            .map_err(|e| of_store(&e))
    }

    /// Sends a text message, or finds out whether an earlier try did.
    ///
    /// Twilio has no idempotency key: a claim that was `sending` or `unknown` before is looked up
    /// in Twilio's list. Only what is not there although it had time to appear is sent again.
    async fn send_sms(
        &self,
        twilio: &TwilioClient,
        call: CallRef,
        recipient: &str,
        claim: &Claim,
    ) -> Result<Result<Option<String>, ProviderError>, ActivityError> {
        let text = claim.message.text.expose_secret();
        let in_doubt =
            matches!(claim.previous, NotificationState::Sending | NotificationState::Unknown);
        if let (true, Some(last_try)) = (in_doubt, claim.last_try) {
            let lost = &claim.lost_provider_ids;
            let found = twilio.find_sms(recipient, text, claim.since, lost).await;
            let found = found.map_err(|error| of_provider(&error))?;
            if let Some(sent) = found {
                return Ok(Ok(Some(sent.sid)));
            }
            if last_try < self.look_up_after {
                return Ok(Ok(None));
            }
            // A new try, and a new time for it to appear; for one worker only.
            let ours = notifications::take_over(&self.db, call, claim).await;
            if !ours.map_err(|e| of_store(&e))? {
                return Ok(Ok(None));
            }
        }
        let callback = self.sms_callback(call, claim);
        let sent = twilio.send_sms(recipient, text, callback.as_deref()).await;
        Ok(sent.map(|sent| Some(sent.sid)))
    }

    /// Where Twilio tells what became of a message: also of one whose answer was lost, because the
    /// claim's own id is part of the URL.
    fn sms_callback(&self, call: CallRef, claim: &Claim) -> Option<String> {
        let base = self.public_url.as_ref()?;
        let (organization, id) = (call.organization_id, claim.id);
        Some(format!("{base}/twilio/{organization}/sms-status?notification={id}"))
    }

    /// Notes what became of a claim. `Ok(None)` is a message still in doubt.
    async fn settle(
        &self,
        call: CallRef,
        claim: &Claim,
        sent: Result<Option<String>, ProviderError>,
    ) -> Result<Outcome, ActivityError> {
        let (state, provider_id, outcome) = match sent {
            Ok(Some(id)) => (NotificationState::Sent, Some(id), Outcome::Sent),
            Ok(None) => (NotificationState::Unknown, None, Outcome::InDoubt),
            Err(error) => {
                let state = match error.kind {
                    ErrorKind::Rejected { .. } => NotificationState::Failed,
                    ErrorKind::Ambiguous { repeatable: false, .. } | ErrorKind::Malformed => {
                        NotificationState::Unknown
                    }
                    // Certainly not sent, or repeatable by its key.
                    _ => NotificationState::Pending,
                };
                (state, None, Outcome::Failed(error))
            }
        };
        let text = match &outcome {
            Outcome::Failed(error) => Some(error.to_string()),
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
    fn conclude(&self, outcomes: &[Outcome]) -> Result<Notified, ActivityError> {
        let sent = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Sent)).count();
        let mut refused = None;
        for outcome in outcomes {
            match outcome {
                Outcome::Sent => {}
                Outcome::InDoubt => {
                    let text = "twilio.send_sms: looked up again soon".to_owned();
                    return Err(failure(UNKNOWN_OUTCOME, text, true, Some(self.look_up_after)));
                }
                Outcome::Refused(why) => refused = Some(why.clone()),
                Outcome::Failed(error) if matches!(error.kind, ErrorKind::Rejected { .. }) => {
                    refused = Some(error.to_string());
                }
                Outcome::Failed(error) => {
                    let in_doubt = error.class() == UNKNOWN_OUTCOME;
                    let wait =
                        if in_doubt { Some(self.look_up_after) } else { error.retry_after() };
                    let class = if in_doubt { UNKNOWN_OUTCOME } else { UNAVAILABLE };
                    return Err(failure(class, error.to_string(), true, wait));
                }
            }
        }
        match refused {
            Some(text) => Err(failure(REJECTED, text, false, None)),
            None => Ok(Notified { sent: u32::try_from(sent).unwrap_or(u32::MAX) }),
        }
    }
}

/// Sends an email, unless an earlier try may have sent it under a key that is forgotten by now.
async fn send_email(
    resend: &ResendClient,
    call: CallRef,
    recipient: &str,
    claim: &Claim,
) -> Result<Option<String>, ProviderError> {
    if claim.last_try.is_some() && claim.age > EMAIL_KEY_KNOWN {
        return Err(ProviderError::rejected("resend", "send", "key-forgotten"));
    }
    let email = EmailMessage {
        to: recipient.to_owned(),
        subject: claim.message.subject.expose_secret().to_owned(),
        html: claim.message.html.expose_secret().to_owned(),
        text: claim.message.text.expose_secret().to_owned(),
    };
    let to = Addressee { call, channel: Channel::Email, recipient };
    resend.send(&email, &to.effect_key()).await.map(Some)
}
