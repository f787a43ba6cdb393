//! The durable inbox: what a provider said, kept before it is answered.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind, Origin, Provider},
    ids::{CallId, InboxId, OrganizationId},
    merge::CallFacts,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{PgExecutor, query};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// A verified event on its way into the inbox.
///
/// Serialized without its body: the spool keeps that as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewEvent {
    /// Owner, from the URL that the signature was checked for.
    pub organization_id: OrganizationId,
    /// Who sent it.
    pub provider: Provider,
    /// What makes two deliveries the same event.
    pub event_key: String,
    /// The provider's name of the event.
    pub event_kind: String,
    /// The provider's id of the call, where it carries one.
    pub provider_call_id: Option<String>,
    /// The text message that it is about: our own id of it.
    pub notification_id: Option<Uuid>,
    /// Headers worth keeping, without secrets.
    pub headers: Value,
    /// The body as received.
    #[serde(skip)]
    pub body: Bytes,
    /// How it came.
    pub origin: Origin,
    /// When it was received, where that is not now.
    pub received_at: Option<DateTime<Utc>>,
    /// What is to become of it.
    pub fate: Fate,
}

/// What becomes of an event once it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// The dispatcher takes it.
    Dispatch {
        /// What it says of the life of its call, or that it is about a text message.
        life: EventKind,
        /// The status it tells, for the workflow's search attribute.
        call_status: Option<CallStatus>,
    },
    /// Kept, and nothing follows from it.
    Keep,
    /// Signed but unusable: kept for people to look at and replay.
    Park {
        /// Why, free of personal data.
        reason: String,
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

impl NewEvent {
    /// What makes it one event, across organizations.
    pub(crate) fn key(&self) -> (Uuid, &str, &str) {
        (self.organization_id.0, self.provider.as_str(), &self.event_key)
    }

    /// Hash of its body.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.body).into()
    }
}

/// Stores one event. When this returns, it is on disk.
pub async fn append(db: &Database, event: &NewEvent) -> Result<Appended, StoreError> {
    const OPERATION: &str = "inbox.append";
    let mut tx = db.tenant(event.organization_id).await?;
    let appended = insert(&mut *tx, &[(event, event.sha256())]).await?;
    commit(tx, OPERATION).await?;
    Ok(appended[0])
}

/// Stores events of any organizations in one statement, which is a transaction. No two may have the
/// same key. `db` is of role [`crate::Role::Intake`].
pub(crate) async fn append_batch(
    db: &Database,
    events: &[(&NewEvent, [u8; 32])],
) -> Result<Vec<Appended>, StoreError> {
    insert(db.pool(), events).await
}

async fn insert(
    executor: impl PgExecutor<'_>,
    events: &[(&NewEvent, [u8; 32])],
) -> Result<Vec<Appended>, StoreError> {
    const OPERATION: &str = "inbox.insert";
    macro_rules! column {
        (|$event:ident| $value:expr) => {
            &events.iter().map(|($event, _)| $value).collect::<Vec<_>>()
        };
    }
    let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
    let hashes: Vec<&[u8]> = events.iter().map(|(_, sha256)| &sha256[..]).collect();
    let touched = query!(
        "insert into inbox (id, organization_id, provider, event_key, event_kind, provider_call_id,
             call_id, notification_id, life, call_status, headers, body, body_sha256, origin, status,
             parked_reason, received_at, dispatch_after, processed_at)
         select id, organization_id, provider, event_key, event_kind, provider_call_id,
             call_id, notification_id, life, call_status, headers, body, body_sha256, origin, status,
             parked_reason, coalesce(received_at, now()),
             case when status = 'received' then now() end,
             case when status = 'processed' then now() end
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
             $7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::jsonb[], $12::bytea[],
             $13::bytea[], $14::text[], $15::text[], $16::text[], $17::timestamptz[])
             as new (id, organization_id, provider, event_key, event_kind, provider_call_id,
                 call_id, notification_id, life, call_status, headers, body, body_sha256, origin,
                 status, parked_reason, received_at)
         on conflict (organization_id, provider, event_key) do update
             set conflicts = inbox.conflicts + 1
             where inbox.body_sha256 <> excluded.body_sha256
         returning id, organization_id, provider, event_key",
        &ids,
        column!(|event| event.organization_id.0),
        column!(|event| event.provider.as_str()) as &[&str],
        column!(|event| event.event_key.as_str()) as &[&str],
        column!(|event| event.event_kind.as_str()) as &[&str],
        column!(|event| event.provider_call_id.as_deref()) as &[Option<&str>],
        column!(|event| call_id(event)) as &[Option<Uuid>],
        column!(|event| event.notification_id) as &[Option<Uuid>],
        column!(|event| event.fate.life().as_str()) as &[&str],
        column!(|event| event.fate.call_status()) as &[Option<&str>],
        column!(|event| event.headers.clone()),
        column!(|event| &event.body[..]) as &[&[u8]],
        &hashes as &[&[u8]],
        column!(|event| event.origin.as_str()) as &[&str],
        column!(|event| event.fate.status()) as &[&str],
        column!(|event| event.fate.reason()) as &[Option<&str>],
        column!(|event| event.received_at) as &[Option<DateTime<Utc>>],
    )
    .fetch_all(executor)
    .await
    .during(OPERATION)?;
    let touched: HashMap<(Uuid, &str, &str), Uuid> = touched
        .iter()
        .map(|row| ((row.organization_id, row.provider.as_str(), row.event_key.as_str()), row.id))
        .collect();
    let outcome = |(id, (event, _)): (&Uuid, &(&NewEvent, _))| match touched.get(&event.key()) {
        None => Appended::Duplicate,
        Some(stored) if stored == id => Appended::New(InboxId(*id)),
        Some(_) => Appended::Conflict,
    };
    Ok(ids.iter().zip(events).map(outcome).collect())
}

fn call_id(event: &NewEvent) -> Option<Uuid> {
    let call = event.provider_call_id.as_deref()?;
    Some(CallId::derive(event.organization_id, event.provider, call).0)
}

impl Fate {
    const fn life(&self) -> EventKind {
        match self {
            Self::Dispatch { life, .. } => *life,
            Self::Keep | Self::Park { .. } => EventKind::Other,
        }
    }

    fn call_status(&self) -> Option<&'static str> {
        match self {
            Self::Dispatch { call_status, .. } => call_status.map(CallStatus::as_str),
            Self::Keep | Self::Park { .. } => None,
        }
    }

    const fn status(&self) -> &'static str {
        match self {
            Self::Dispatch { .. } => "received",
            Self::Keep => "processed",
            Self::Park { .. } => "parked",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Park { reason } => Some(reason),
            Self::Dispatch { .. } | Self::Keep => None,
        }
    }
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

/// What the events of a call say together.
#[derive(Debug)]
pub struct Folded {
    /// The facts.
    pub facts: CallFacts,
    /// The most telling of the events that could not be read, if any: then what the call's row says
    /// belongs in the fold, with the weight of that event.
    pub hole: Option<EventKind>,
}

/// The usable events of a call, oldest first.
pub(crate) async fn events_of_call(
    tx: &mut Tx,
    call: CallId,
) -> Result<Vec<StoredEvent>, StoreError> {
    const OPERATION: &str = "inbox.events_of_call";
    let rows = query!(
        "select id, life, body, received_at, origin from inbox
         where call_id = $1 and status in ('received', 'processed') and life in ('progress', 'ended', 'report')
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
