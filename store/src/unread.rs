//! Events that are read by the worker: text messages' fates, and what is replayed.

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind, Origin},
    ids::CallId,
};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    calls::word,
    database::commit,
    dispatch::UnreadEvent,
    error::{During, Problem},
};

/// What is stored of an event.
#[derive(Debug)]
pub struct Stored {
    /// The body as received; absent once it aged out.
    pub body: Option<Vec<u8>>,
    /// How it came.
    pub origin: Origin,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// The text message that it is about.
    pub notification_id: Option<Uuid>,
}

/// What reading an event anew made of it.
#[derive(Debug)]
pub struct Identified<'a> {
    /// What makes two deliveries the same event.
    pub event_key: &'a str,
    /// The provider's name of the event.
    pub event_kind: &'a str,
    /// The provider's id of the call.
    pub provider_call_id: &'a str,
    /// What it says of the life of its call.
    pub life: EventKind,
    /// The status it tells.
    pub call_status: Option<CallStatus>,
}

/// Reads a claimed event.
pub async fn get(db: &Database, event: UnreadEvent) -> Result<Stored, StoreError> {
    const OPERATION: &str = "unread.get";
    let mut tx = db.tenant(event.organization_id).await?;
    let row = query!(
        "select body, origin, received_at, notification_id from inbox where id = $1",
        event.inbox_id.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Stored {
        body: row.body,
        origin: word(OPERATION, &row.origin)?,
        received_at: row.received_at,
        notification_id: row.notification_id,
    })
}

/// Makes an event one of a call, due at once. Where that event is stored already, this one is
/// discarded as its repetition.
pub async fn identify(
    db: &Database,
    event: UnreadEvent,
    read: &Identified<'_>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "unread.identify";
    let call = CallId::derive(event.organization_id, event.provider, read.provider_call_id);
    let mut tx = db.tenant(event.organization_id).await?;
    let identified = query!(
        "update inbox set event_key = $2, event_kind = $3, provider_call_id = $4, call_id = $5,
             life = $6, call_status = $7, dispatch_after = now()
         where id = $1 and status = 'received'",
        event.inbox_id.0,
        read.event_key,
        read.event_kind,
        read.provider_call_id,
        call.0,
        read.life.as_str(),
        read.call_status.map(CallStatus::as_str),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION);
    match identified {
        Ok(_) => commit(tx, OPERATION).await,
        Err(error) if is_repetition(&error) => {
            drop(tx);
            settle(db, event, "discarded").await
        }
        Err(error) => Err(error),
    }
}

/// Notes that an event has been read and nothing more follows from it.
pub async fn processed(db: &Database, event: UnreadEvent) -> Result<(), StoreError> {
    settle(db, event, "processed").await
}

async fn settle(db: &Database, event: UnreadEvent, status: &'static str) -> Result<(), StoreError> {
    const OPERATION: &str = "unread.settle";
    let mut tx = db.tenant(event.organization_id).await?;
    query!(
        "update inbox set status = $2, processed_at = now(), dispatch_after = null
         where id = $1 and status = 'received'",
        event.inbox_id.0,
        status,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

fn is_repetition(error: &StoreError) -> bool {
    let Problem::Database(error) = error.problem() else { return false };
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
