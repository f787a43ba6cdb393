//! Emails about an organization rather than a call, claimed before they are sent.
//!
//! `pending` before the first try and after one that certainly sent nothing; `sending` from a claim
//! on. A row that is `sending` and has an error is in doubt: a try of it may have been the one that
//! arrived. It is repeated under its key for as long as the carrier knows the key, then `unknown`.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{ids::OrganizationId, notifications::NotificationState};
use sha2::{Digest, Sha256};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    calls::word,
    database::{Tx, commit},
    error::During,
    notifications::{self, Message},
    sealing::{Place, Sealer},
};

/// Resend forgets an idempotency key after 24 hours: from then on a repetition is a second email.
pub const KEY_KNOWN: TimeDelta = TimeDelta::hours(23);

/// What a row says of a try whose end nobody saw.
const END_NOT_SEEN: &str = "the end of an earlier try was not seen";

/// One email to one recipient. Its `Debug` is deliberately missing: it is personal data.
#[derive(Clone, Copy)]
pub struct Mail<'a> {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// What it is for, as `usage-alert`; at most 40 characters.
    pub kind: &'static str,
    /// What it tells of: the id of an alert, the number of a reminder; at most 80 characters.
    pub about: &'a str,
    /// Email address.
    pub recipient: &'a str,
    /// What it says. The first claim's is the one that is sent.
    pub message: &'a Message,
}

impl Mail<'_> {
    /// What the effect is for: the same at every try, under 256 characters.
    pub fn effect_key(&self) -> String {
        let Self { organization_id, kind, about, .. } = self;
        format!("{organization_id}-{kind}-{about}-{}", hex::encode(self.recipient_hash()))
    }

    fn recipient_hash(&self) -> [u8; 32] {
        Sha256::digest(self.recipient.trim().to_lowercase()).into()
    }

    fn place(&self, column: &'static str) -> Place {
        Place { table: "organization_emails", column, organization: self.organization_id }
    }
}

/// What claiming found.
#[derive(Debug)]
pub enum Claimed {
    /// The email is the caller's to send, under its key.
    Open(Claim),
    /// It was sent.
    Sent,
    /// It was refused for good.
    Refused,
    /// It may have been sent, and may not be sent again.
    Unknown,
}

/// An email, claimed.
#[derive(Debug)]
pub struct Claim {
    /// What it says, as first claimed.
    pub message: Message,
    id: Uuid,
    organization_id: OrganizationId,
    claimed_at: DateTime<Utc>,
}

/// What became of a try. Texts are free of personal data.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It was taken; the carrier's id of it.
    Sent(&'a str),
    /// It was refused for good.
    Refused(&'a str),
    /// This try certainly sent nothing.
    NotSent(&'a str),
    /// Nobody knows.
    InDoubt(&'a str),
}

/// Claims an email: state `sending`, committed. One that is `sending` already is handed out again,
/// for its key makes a repetition harmless.
pub async fn claim(
    db: &Database,
    sealer: &Sealer,
    mail: &Mail<'_>,
    now: DateTime<Utc>,
) -> Result<Claimed, StoreError> {
    const OPERATION: &str = "mail.claim";
    let hash = mail.recipient_hash();
    let mut tx = db.tenant(mail.organization_id).await?;
    query!(
        "insert into organization_emails (id, organization_id, kind, about, recipient,
             recipient_hash, content, state, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'pending', $8)
         on conflict (organization_id, kind, about, recipient_hash) do nothing",
        Uuid::now_v7(),
        mail.organization_id.0,
        mail.kind,
        mail.about,
        sealer.seal(mail.place("recipient"), mail.recipient.trim().as_bytes())?,
        &hash,
        sealer.seal(mail.place("content"), &notifications::encode(mail.message)?)?,
        now,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let row = query!(
        "select id, state, content, claimed_at from organization_emails
         where organization_id = $1 and kind = $2 and about = $3 and recipient_hash = $4
         for update",
        mail.organization_id.0,
        mail.kind,
        mail.about,
        &hash,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let since = row.claimed_at.unwrap_or(now);
    match word(OPERATION, &row.state)? {
        NotificationState::Sent => return Ok(Claimed::Sent),
        NotificationState::Failed => return Ok(Claimed::Refused),
        NotificationState::Unknown => return Ok(Claimed::Unknown),
        NotificationState::Sending if now - since > KEY_KNOWN => {
            give_up(&mut tx, row.id, now).await?;
            commit(tx, OPERATION).await?;
            return Ok(Claimed::Unknown);
        }
        NotificationState::Pending | NotificationState::Sending => {}
    }
    begin(&mut tx, row.id, since).await?;
    commit(tx, OPERATION).await?;
    let message = notifications::decode(&sealer.open(mail.place("content"), &row.content)?)?;
    let organization_id = mail.organization_id;
    Ok(Claimed::Open(Claim { id: row.id, organization_id, message, claimed_at: since }))
}

/// One that was `sending` is in doubt from now on, whatever the try says that is about to be made.
async fn begin(tx: &mut Tx, id: Uuid, since: DateTime<Utc>) -> Result<(), StoreError> {
    query!(
        "update organization_emails set state = 'sending', claimed_at = $2,
             error = case when state = 'sending' then coalesce(error, $3) end
         where id = $1",
        id,
        since,
        END_NOT_SEEN,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("mail.begin")
}

async fn give_up(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    query!(
        "update organization_emails set state = 'unknown', settled_at = $2,
             error = coalesce(error, $3)
         where id = $1",
        id,
        now,
        END_NOT_SEEN,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("mail.give_up")
}

/// Notes what became of a claim. What was settled before stays.
pub async fn settle(
    db: &Database,
    claim: &Claim,
    outcome: Outcome<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "mail.settle";
    let mut tx = db.tenant(claim.organization_id).await?;
    let (state, provider_id, error) = match outcome {
        Outcome::Sent(id) => (NotificationState::Sent, Some(id), None),
        Outcome::Refused(error) => (NotificationState::Failed, None, Some(error)),
        Outcome::NotSent(error) => (NotificationState::Pending, None, Some(error)),
        Outcome::InDoubt(error) => (NotificationState::Sending, None, Some(error)),
    };
    // One in doubt stays so: that this try sent nothing says nothing of the others.
    query!(
        "update organization_emails set provider_id = $3,
             state = case when $2 = 'pending' and state = 'sending' and error is not null
                 then 'sending' else $2 end,
             claimed_at = case when $2 = 'pending' and error is null then null
                 else coalesce(claimed_at, $5) end,
             error = $4,
             settled_at = case when $2 in ('sent', 'failed') then $6::timestamptz end
         where id = $1 and state in ('pending', 'sending')",
        claim.id,
        state.as_str(),
        provider_id,
        error,
        claim.claimed_at,
        now,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}
