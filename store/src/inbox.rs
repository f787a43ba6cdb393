//! The durable inbox: what a provider said, kept before it is answered.

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind, Origin, Provider},
    ids::{CallId, InboxId, OrganizationId},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// A verified event on its way into the inbox.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// Owner, from the URL that the signature was checked for.
    pub organization_id: OrganizationId,
    /// Who sent it.
    pub provider: Provider,
    /// What makes two deliveries the same event.
    pub event_key: &'a str,
    /// The provider's name of the event.
    pub event_kind: &'a str,
    /// The provider's id of the call, where it carries one.
    pub provider_call_id: Option<&'a str>,
    /// Headers worth keeping, without secrets.
    pub headers: Value,
    /// The body as received.
    pub body: &'a [u8],
    /// How it came.
    pub origin: Origin,
    /// What is to become of it.
    pub fate: Fate<'a>,
}

/// What becomes of an event once it is stored.
#[derive(Debug, Clone, Copy)]
pub enum Fate<'a> {
    /// The dispatcher takes it.
    Dispatch {
        /// What it says of the life of its call.
        life: EventKind,
        /// The status it tells, for the workflow's search attribute.
        call_status: Option<CallStatus>,
    },
    /// Kept, and nothing follows from it.
    Keep,
    /// Signed but unusable: kept for people to look at and replay.
    Park {
        /// Why, free of personal data.
        reason: &'a str,
    },
}

/// What the inbox did with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Stored now.
    New(InboxId),
    /// Stored before, with the same body.
    Duplicate,
    /// Stored before with another body: the first wins, and the difference is counted.
    Conflict,
}

/// Stores an event. When this returns, the event is on disk.
pub async fn append(db: &Database, event: &NewEvent<'_>) -> Result<Appended, StoreError> {
    const OPERATION: &str = "inbox.append";
    let id = Uuid::now_v7();
    let sha256: [u8; 32] = Sha256::digest(event.body).into();
    let call_id = event
        .provider_call_id
        .map(|call| CallId::derive(event.organization_id, event.provider, call).0);
    let (status, life, call_status, reason, dispatch) = match event.fate {
        Fate::Dispatch { life, call_status } => ("received", life, call_status, None, true),
        Fate::Keep => ("processed", EventKind::Other, None, None, false),
        Fate::Park { reason } => ("parked", EventKind::Other, None, Some(reason), false),
    };
    let mut tx = db.tenant(event.organization_id).await?;
    let inserted = query!(
        "insert into inbox (id, organization_id, provider, event_key, event_kind, provider_call_id,
             call_id, life, call_status, headers, body, body_sha256, origin, status, parked_reason,
             dispatch_after, processed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
             case when $16 then now() end, case when $14 = 'processed' then now() end)
         on conflict (organization_id, provider, event_key) do nothing",
        id,
        event.organization_id.0,
        event.provider.as_str(),
        event.event_key,
        event.event_kind,
        event.provider_call_id,
        call_id,
        life.as_str(),
        call_status.map(CallStatus::as_str),
        event.headers,
        event.body,
        &sha256,
        event.origin.as_str(),
        status,
        reason,
        dispatch,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    if inserted.rows_affected() == 1 {
        commit(tx, OPERATION).await?;
        return Ok(Appended::New(InboxId(id)));
    }
    let conflicts = query!(
        "update inbox set conflicts = conflicts + 1
         where organization_id = $1 and provider = $2 and event_key = $3 and body_sha256 <> $4",
        event.organization_id.0,
        event.provider.as_str(),
        event.event_key,
        &sha256,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?
    .rows_affected();
    commit(tx, OPERATION).await?;
    Ok(if conflicts == 0 { Appended::Duplicate } else { Appended::Conflict })
}

/// A stored event of a call, as the fold reads it.
#[derive(Debug)]
pub struct StoredEvent {
    /// Its id.
    pub id: InboxId,
    /// What it says of the life of its call.
    pub life: EventKind,
    /// The body as received; absent once it aged out.
    pub body: Option<Vec<u8>>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// How it came.
    pub origin: Origin,
}

/// The usable events of a call, oldest first.
pub(crate) async fn events_of_call(
    tx: &mut Tx,
    call: CallId,
) -> Result<Vec<StoredEvent>, StoreError> {
    const OPERATION: &str = "inbox.events_of_call";
    let rows = query!(
        "select id, life, body, received_at, origin from inbox
         where call_id = $1 and status in ('received', 'processed') and life <> 'other'
         order by received_at, id",
        call.0,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    rows.into_iter()
        .map(|row| {
            Ok(StoredEvent {
                id: InboxId(row.id),
                life: crate::calls::word(OPERATION, &row.life)?,
                body: row.body,
                received_at: row.received_at,
                origin: crate::calls::word(OPERATION, &row.origin)?,
            })
        })
        .collect()
}
