//! Claims on messages to people: committed before the provider is asked, settled after.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::{
    calls::CallRef,
    ids::OrganizationId,
    notifications::{Channel, NotificationState},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    calls::word,
    database::{Tx, commit},
    error::{During, Problem},
    sealing::{Place, Sealer},
};

/// The notice that a call was processed.
pub const CALL_PROCESSED: &str = "call_processed";

/// What a message says. Frozen at its first claim: every attempt sends the same.
#[derive(Debug, Clone)]
pub struct Message {
    /// Subject of an email; empty for a text message.
    pub subject: SecretString,
    /// Plain text.
    pub text: SecretString,
    /// HTML of an email; empty for a text message.
    pub html: SecretString,
}

/// What claiming found.
#[derive(Debug)]
pub enum Claimed {
    /// The message is the caller's to send, or to look up.
    Open(Claim),
    /// It was sent.
    Sent,
    /// It was refused for good; the text says by class why.
    Refused(String),
}

/// One message to one recipient, claimed.
#[derive(Debug)]
pub struct Claim {
    /// Id of the claim.
    pub id: Uuid,
    /// The message as first claimed.
    pub message: Message,
    /// Where it stood before this claim.
    pub previous: NotificationState,
    /// When the message was first due: no try is older.
    pub since: DateTime<Utc>,
    /// How long ago the try before this one was claimed, by the database's clock.
    pub last_try: Option<Duration>,
    /// How long ago the first try was claimed, by the database's clock.
    pub age: Duration,
    /// The provider's ids of earlier sendings that did not arrive.
    pub lost_provider_ids: Vec<String>,
    claimed_at: Option<DateTime<Utc>>,
}

/// Whom a message goes to and why.
#[derive(Debug, Clone, Copy)]
pub struct Addressee<'a> {
    /// The call it tells of.
    pub call: CallRef,
    /// How it travels.
    pub channel: Channel,
    /// Phone number in E.164 or email address.
    pub recipient: &'a str,
}

impl Addressee<'_> {
    /// What the effect is for; the same at every try.
    pub fn effect_key(&self) -> String {
        format!("{}-{CALL_PROCESSED}-{}", self.call.call_id, hex::encode(self.recipient_hash()))
    }

    fn recipient_hash(&self) -> [u8; 32] {
        Sha256::digest(self.recipient.trim().to_lowercase()).into()
    }

    fn place(&self, column: &'static str) -> Place {
        Place { table: "notifications", column, organization: self.call.organization_id }
    }
}

/// Claims the message to one recipient: state `sending`, committed.
///
/// Nothing where it is settled. A claim that is `sending` or `unknown` already is handed out as it
/// is; the caller looks up what became of it before anything is sent.
pub async fn claim(
    db: &Database,
    sealer: &Sealer,
    to: Addressee<'_>,
    message: &Message,
    retry_failed: bool,
) -> Result<Claimed, StoreError> {
    const OPERATION: &str = "notifications.claim";
    let hash = to.recipient_hash();
    let mut tx = db.tenant(to.call.organization_id).await?;
    query!(
        "insert into notifications (id, organization_id, call_id, call_created_at, kind, channel,
             recipient, recipient_hash, content, state)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending')
         on conflict (call_id, kind, channel, recipient_hash) do nothing",
        Uuid::now_v7(),
        to.call.organization_id.0,
        to.call.call_id.0,
        to.call.created_at,
        CALL_PROCESSED,
        to.channel.as_str(),
        sealer.seal(to.place("recipient"), to.recipient.as_bytes())?,
        &hash,
        sealer.seal(to.place("content"), &encode(message)?)?,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let row = query!(
        r#"select id, state, content, claimed_at, created_at, error, lost_provider_ids,
             extract(epoch from now() - claimed_at)::float8 as last_try,
             extract(epoch from now() - created_at)::float8 as "age!"
         from notifications
         where call_id = $1 and kind = $2 and channel = $3 and recipient_hash = $4 for update"#,
        to.call.call_id.0,
        CALL_PROCESSED,
        to.channel.as_str(),
        &hash,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let previous: NotificationState = word(OPERATION, &row.state)?;
    match previous {
        NotificationState::Sent => return Ok(Claimed::Sent),
        NotificationState::Failed if !retry_failed => {
            return Ok(Claimed::Refused(row.error.unwrap_or_default()));
        }
        _ => {}
    }
    if matches!(previous, NotificationState::Pending | NotificationState::Failed) {
        begin(&mut tx, row.id).await?;
    }
    commit(tx, OPERATION).await?;
    let message = decode(&sealer.open(to.place("content"), &row.content)?)?;
    let seconds = |seconds: f64| Duration::from_secs_f64(seconds.max(0.0));
    Ok(Claimed::Open(Claim {
        id: row.id,
        message,
        previous,
        since: row.created_at,
        last_try: row.last_try.map(seconds),
        age: seconds(row.age),
        lost_provider_ids: row.lost_provider_ids,
        claimed_at: row.claimed_at,
    }))
}

/// What the provider called an earlier sending is kept apart: that one did not arrive.
async fn begin(tx: &mut Tx, claim: Uuid) -> Result<(), StoreError> {
    query!(
        "update notifications set state = 'sending', claimed_at = now(), error = null,
             settled_at = null, provider_id = null,
             lost_provider_ids = array_remove(lost_provider_ids || provider_id, null)
         where id = $1",
        claim,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("notifications.begin")
}

/// Takes over a message in doubt for one more try. False where somebody else did in the meantime.
pub async fn take_over(db: &Database, call: CallRef, claim: &Claim) -> Result<bool, StoreError> {
    const OPERATION: &str = "notifications.take_over";
    let mut tx = db.tenant(call.organization_id).await?;
    let taken = query!(
        "update notifications set state = 'sending', claimed_at = now(), error = null
         where id = $1 and claimed_at is not distinct from $2 and state in ('sending', 'unknown')",
        claim.id,
        claim.claimed_at,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?
    .rows_affected();
    commit(tx, OPERATION).await?;
    Ok(taken == 1)
}

/// Notes what became of a claim. `error` is free of personal data.
pub async fn settle(
    db: &Database,
    call: CallRef,
    claim: Uuid,
    state: NotificationState,
    provider_id: Option<&str>,
    error: Option<&str>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "notifications.settle";
    let mut tx = db.tenant(call.organization_id).await?;
    query!(
        "update notifications set state = $2, provider_id = coalesce($3, provider_id), error = $4,
             settled_at = case when $2 in ('sent', 'failed') then now() end
         where id = $1 and state not in ('sent', 'failed')",
        claim,
        state.as_str(),
        provider_id,
        error,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

/// What the provider says later of a message that it was given.
#[derive(Debug, Clone, Copy)]
pub struct Callback<'a> {
    /// The provider's id of the message.
    pub provider_id: &'a str,
    /// Whether it will not arrive; else the provider has it, or it has arrived.
    pub is_lost: bool,
    /// The provider's error code.
    pub error_code: Option<&'a str>,
}

/// Settles a text message by its status callback, above all one in doubt.
///
/// Callbacks come in any order and more than once: a loss is final, and the rest only says that the
/// provider has the message. One about another message of the provider's changes nothing.
pub async fn called_back(
    db: &Database,
    organization: OrganizationId,
    notification: Uuid,
    callback: Callback<'_>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "notifications.called_back";
    let error = format!("twilio.callback: {}", callback.error_code.unwrap_or("not delivered"));
    let mut tx = db.tenant(organization).await?;
    query!(
        "update notifications set provider_id = $2, settled_at = now(),
             state = case when $3 then 'failed' else 'sent' end,
             error = case when $3 then $4 end
         where id = $1 and channel = 'sms' and coalesce(provider_id, $2) = $2
             and not $2 = any(lost_provider_ids)
             and (state in ('pending', 'sending', 'unknown') or (state = 'sent' and $3))",
        notification,
        callback.provider_id,
        callback.is_lost,
        error,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

pub(crate) fn encode(message: &Message) -> Result<Vec<u8>, StoreError> {
    let parts = [&message.subject, &message.text, &message.html].map(|part| part.expose_secret());
    serde_json::to_vec(&parts).map_err(|e| invalid(&e))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Message, StoreError> {
    let [subject, text, html]: [String; 3] =
        serde_json::from_slice(bytes).map_err(|e| invalid(&e))?;
    Ok(Message { subject: subject.into(), text: text.into(), html: html.into() })
}

fn invalid(error: &serde_json::Error) -> StoreError {
    StoreError::new("notifications.content", Problem::Invalid(error.to_string()))
}
