//! Emails about an organization: each claimed, posted under its key and settled.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::failure::{UNAVAILABLE, UNKNOWN_OUTCOME};
use providers::{
    error::{ErrorKind, ProviderError},
    resend::{EmailMessage, ResendClient},
};
use secrecy::ExposeSecret;
use store::{
    Database,
    mail::{self, Claimed, Mail, Outcome},
    sealing::Sealer,
};
use temporalio_sdk::activities::ActivityError;

use crate::{
    failure::{failure, of_store_until_done},
    faults::Faults,
};

/// Refusals that concern the installation's account at Resend and not the email: they last until a
/// person has mended it (resend-openapi 1.5.0).
const OF_THE_ACCOUNT: [&str; 5] = [
    "missing_api_key",
    "restricted_api_key",
    "invalid_api_key",
    "suspended_api_key",
    "invalid_permission",
];
/// Between two tries while the account is refused.
const ACCOUNT_PAUSE: Duration = Duration::from_secs(15 * 60);

/// What sending needs.
#[derive(Clone, Copy)]
pub(crate) struct Postbox<'a> {
    /// Where claims lie.
    pub(crate) db: &'a Database,
    /// Seals recipients and texts.
    pub(crate) sealer: &'a Sealer,
    /// Who carries it; nobody where no key is configured.
    pub(crate) resend: Option<&'a ResendClient>,
    /// Now.
    pub(crate) now: DateTime<Utc>,
    /// Where a test may strike.
    pub(crate) faults: &'a Faults,
    /// Where it may: after the claim, and after the request.
    pub(crate) points: [&'static str; 2],
}

/// What became of an email. Each is final but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was sent, now or before.
    Accepted,
    /// It was refused for good.
    Refused,
    /// It may have been sent, and its key is forgotten.
    Unknown,
    /// No `RESEND_API_KEY`: nothing was claimed, so a later configuration sends it.
    NotConfigured,
}

/// Sends an email once, whatever happens on the way and however often it is called.
///
/// # Errors
/// Only such as go away: the email is not sent yet, or in doubt, and calling again helps.
pub(crate) async fn send(postbox: Postbox<'_>, mail: Mail<'_>) -> Result<Sent, ActivityError> {
    let Postbox { db, sealer, now, faults, points: [claimed, posted], .. } = postbox;
    let Some(resend) = postbox.resend else { return Ok(Sent::NotConfigured) };
    let claim = mail::claim(db, sealer, &mail, now).await.map_err(|e| of_store_until_done(&e))?;
    let claim = match claim {
        Claimed::Open(claim) => claim,
        Claimed::Sent => return Ok(Sent::Accepted),
        Claimed::Refused => return Ok(Sent::Refused),
        Claimed::Unknown => return Ok(Sent::Unknown),
    };
    faults.point(claimed).await?;
    let email = EmailMessage {
        to: mail.recipient.trim().to_owned(),
        subject: claim.message.subject.expose_secret().to_owned(),
        html: claim.message.html.expose_secret().to_owned(),
        text: claim.message.text.expose_secret().to_owned(),
    };
    let answer = resend.send(&email, &mail.effect_key()).await;
    faults.point(posted).await?;
    let text = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let (outcome, result) = match &answer {
        Ok(id) => (Outcome::Sent(id), Ok(Sent::Accepted)),
        Err(error) => judge(error, &text),
    };
    mail::settle(db, &claim, outcome, now).await.map_err(|e| of_store_until_done(&e))?;
    result
}

/// What an error says of the email, and whether another try helps.
fn judge<'a>(error: &ProviderError, text: &'a str) -> (Outcome<'a>, Result<Sent, ActivityError>) {
    let again = |class, wait| Err(failure(class, text.to_owned(), true, wait));
    match &error.kind {
        ErrorKind::Rejected { code } if OF_THE_ACCOUNT.contains(&code.as_str()) => {
            (Outcome::NotSent(text), again(UNAVAILABLE, Some(ACCOUNT_PAUSE)))
        }
        ErrorKind::Rejected { .. } => (Outcome::Refused(text), Ok(Sent::Refused)),
        ErrorKind::Unavailable { .. } => {
            (Outcome::NotSent(text), again(UNAVAILABLE, error.retry_after()))
        }
        _ => (Outcome::InDoubt(text), again(UNKNOWN_OUTCOME, None)),
    }
}
