//! From the inbox to the workflows: which events are due, and what became of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind, Provider},
    ids::{CallId, InboxId, OrganizationId},
};
use sqlx::{postgres::types::PgInterval, query};

use crate::{Database, StoreError, calls::word, database::commit, error::During};

/// A claimed event: references only, never the body.
#[derive(Debug, Clone)]
pub struct DueEvent {
    /// The stored event.
    pub inbox_id: InboxId,
    /// Owner.
    pub organization_id: OrganizationId,
    /// Who sent it.
    pub provider: Provider,
    /// The provider's id of the call.
    pub provider_call_id: String,
    /// The call.
    pub call_id: CallId,
    /// What it says of the life of its call.
    pub life: EventKind,
    /// The status it tells.
    pub call_status: Option<CallStatus>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// Whether the call's workflow has folded it.
    pub folded: bool,
}

/// A claimed event that is not of a call as it stands: a text message's fate, or one that is replayed
/// and read anew.
#[derive(Debug, Clone, Copy)]
pub struct UnreadEvent {
    /// The stored event.
    pub inbox_id: InboxId,
    /// Owner.
    pub organization_id: OrganizationId,
    /// Who sent it.
    pub provider: Provider,
}

/// What a claim brought.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Events of calls, oldest first.
    pub of_calls: Vec<DueEvent>,
    /// The others.
    pub unread: Vec<UnreadEvent>,
}

/// A claimed row, before its words are read.
struct Row<'a> {
    inbox_id: InboxId,
    organization_id: OrganizationId,
    provider: &'a str,
    provider_call_id: Option<String>,
    call_id: Option<CallId>,
    life: &'a str,
    call_status: Option<&'a str>,
    received_at: DateTime<Utc>,
    folded: bool,
}

impl Claimed {
    fn add(&mut self, row: Row<'_>) -> Result<(), StoreError> {
        const OPERATION: &str = "dispatch.claim";
        let (inbox_id, organization_id) = (row.inbox_id, row.organization_id);
        let provider = word(OPERATION, row.provider)?;
        let life: EventKind = word(OPERATION, row.life)?;
        match (row.call_id, row.provider_call_id) {
            (Some(call_id), Some(provider_call_id)) if life.is_of_call() => {
                self.of_calls.push(DueEvent {
                    inbox_id,
                    organization_id,
                    provider,
                    provider_call_id,
                    call_id,
                    life,
                    call_status: row.call_status.map(|s| word(OPERATION, s)).transpose()?,
                    received_at: row.received_at,
                    folded: row.folded,
                });
            }
            _ => self.unread.push(UnreadEvent { inbox_id, organization_id, provider }),
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.of_calls.len() + self.unread.len()
    }

    /// Whether nothing was due.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Claims due events, oldest first, for `lease`.
///
/// An event that is not processed when the lease ends comes up again: this is the sweeper too, so
/// that a dead worker or the loss of all of Temporal's data loses nothing. Each further claim of
/// the same event doubles the lease, up to 16 times.
pub async fn claim(db: &Database, limit: i64, lease: Duration) -> Result<Claimed, StoreError> {
    const OPERATION: &str = "dispatch.claim";
    let lease = interval(lease);
    let mut tx = db.queue().await?;
    let mut rows = query!(
        r#"update inbox i set dispatches = i.dispatches + 1,
             dispatch_after = now() + $2::interval * power(2, least(i.dispatches, 4))
         from (
             select id from inbox where dispatch_after <= now()
             order by dispatch_after limit $1 for update skip locked
         ) due
         where i.id = due.id
         returning i.id, i.organization_id, i.provider, i.provider_call_id,
             i.call_id, i.life, i.call_status, i.received_at,
             i.folded_at is not null as "folded!""#,
        limit,
        lease,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    rows.sort_by_key(|row| (row.received_at, row.id));
    let mut claimed = Claimed::default();
    for row in rows {
        let event = Row {
            inbox_id: InboxId(row.id),
            organization_id: OrganizationId(row.organization_id),
            provider: &row.provider,
            provider_call_id: row.provider_call_id,
            call_id: row.call_id.map(CallId),
            life: &row.life,
            call_status: row.call_status.as_deref(),
            received_at: row.received_at,
            folded: row.folded,
        };
        // A word of a later release, which runs beside this one: its own worker takes the row.
        if let Err(error) = claimed.add(event) {
            tracing::warn!(inbox_id = %row.id, %error, "an event is left to a later release");
        }
    }
    Ok(claimed)
}

/// Puts claimed events back until `wait` from now.
pub async fn postpone(db: &Database, events: &[InboxId], wait: Duration) -> Result<(), StoreError> {
    const OPERATION: &str = "dispatch.postpone";
    let ids: Vec<_> = events.iter().map(|id| id.0).collect();
    let mut tx = db.dispatch().await?;
    query!(
        "update inbox set dispatch_after = now() + $2::interval
         where id = any($1) and dispatch_after is not null",
        &ids,
        interval(wait),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

/// Parks an event that can never be processed.
pub async fn park(db: &Database, event: InboxId, reason: &str) -> Result<(), StoreError> {
    const OPERATION: &str = "dispatch.park";
    let mut tx = db.dispatch().await?;
    query!(
        "update inbox set status = 'parked', parked_reason = $2, dispatch_after = null
         where id = $1 and status = 'received'",
        event.0,
        reason,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
