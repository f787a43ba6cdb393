//! Second thoughts about stored events: read them again, or never.
//!
//! A replay only makes an event due; the dispatcher does the rest, as with a new one. So it can be
//! repeated at will: what an event said before has no second effect.

use chrono::{DateTime, Utc};
use contract::{
    call::Provider,
    ids::{InboxId, OrganizationId},
};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    audit::{self, Actor},
    database::{Tx, commit},
    error::During,
    reads::{Place, inbox::Status},
};

/// What a replay of one event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// The dispatcher takes it again.
    Due,
    /// The dispatcher had it before it already.
    Waiting,
    /// There is nothing left to read: the body aged out.
    Unreadable,
}

/// Lets the dispatcher take an event again; none where the organization has no such event.
///
/// `actor` goes into the audit log.
pub async fn replay(
    db: &Database,
    organization: OrganizationId,
    actor: &Actor,
    id: InboxId,
) -> Result<Option<Replayed>, StoreError> {
    const OPERATION: &str = "replay.replay";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select status, parked_reason, body is not null as "readable!" from inbox
           where id = $1 and organization_id = $2 for update"#,
        id.0,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let Some(row) = row else { return Ok(None) };
    if Status::read(OPERATION, &row.status)? == Status::Received {
        return Ok(Some(Replayed::Waiting));
    }
    if !row.readable {
        return Ok(Some(Replayed::Unreadable));
    }
    query!(
        "update inbox set status = 'received', parked_reason = null, folded_at = null,
             processed_at = null, dispatch_after = now()
         where id = $1",
        id.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let change = Change {
        action: "inbox.replay",
        before: json!({ "status": row.status, "parked_reason": row.parked_reason }),
        after: json!({ "status": Status::Received }),
    };
    change.record(&mut tx, organization, actor, id).await?;
    commit(tx, OPERATION).await?;
    Ok(Some(Replayed::Due))
}

/// What became of an event that was to be discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discarded {
    /// Nothing follows from it any more.
    Done,
    /// It stands elsewhere: with the dispatcher, in its call's rows, or it is discarded already.
    NotParked(Status),
}

/// Puts a parked event away for good, unless it is replayed; none where the organization has no such
/// event.
///
/// Parked ones only: a received event is the dispatcher's, and the workflow that it may have
/// started would look for it for ever. `actor` goes into the audit log.
pub async fn discard(
    db: &Database,
    organization: OrganizationId,
    actor: &Actor,
    id: InboxId,
) -> Result<Option<Discarded>, StoreError> {
    const OPERATION: &str = "replay.discard";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select status, parked_reason from inbox
         where id = $1 and organization_id = $2 for update",
        id.0,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let Some(row) = row else { return Ok(None) };
    let status = Status::read(OPERATION, &row.status)?;
    if status != Status::Parked {
        return Ok(Some(Discarded::NotParked(status)));
    }
    query!(
        "update inbox set status = 'discarded', parked_reason = null, dispatch_after = null
         where id = $1",
        id.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let change = Change {
        action: "inbox.discard",
        before: json!({ "status": status, "parked_reason": row.parked_reason }),
        after: json!({ "status": Status::Discarded }),
    };
    change.record(&mut tx, organization, actor, id).await?;
    commit(tx, OPERATION).await?;
    Ok(Some(Discarded::Done))
}

/// What the audit log says of one event.
struct Change {
    action: &'static str,
    before: Value,
    after: Value,
}

impl Change {
    async fn record(
        self,
        tx: &mut Tx,
        organization_id: OrganizationId,
        actor: &Actor,
        id: InboxId,
    ) -> Result<(), StoreError> {
        let target = format!("inbox:{id}");
        let entry = audit::Entry {
            organization_id,
            actor,
            action: self.action,
            target: &target,
            before: Some(self.before),
            after: Some(self.after),
        };
        audit::record(tx, entry).await
    }
}

/// Which events to replay. All that is given must hold.
#[derive(Debug, Clone, Serialize)]
pub struct Selection {
    /// These alone.
    pub ids: Option<Vec<Uuid>>,
    /// Of this status.
    pub status: Option<Status>,
    /// Of this provider.
    pub provider: Option<Provider>,
    /// That the provider calls this.
    pub event_kind: Option<String>,
    /// Parked for this reason, in these very words.
    pub parked_reason: Option<String>,
    /// Received at this instant or later.
    pub from: DateTime<Utc>,
    /// Received before this instant, which stays the same from batch to batch: an event that is
    /// processed again meanwhile is not met twice.
    pub to: DateTime<Utc>,
}

/// A batch of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Events that the selection names.
    pub matched: u32,
    /// Of these, events that do not wait already and can still be read.
    pub replayable: u32,
    /// Of these, events that were made due.
    pub replayed: u32,
    /// Where the next batch begins; none where there is nothing left.
    pub next: Option<Place>,
}

/// Replays the next `limit` events of a selection, oldest first: those later than `after`, which
/// in this list, other than in those of the API, is the latest event of the batch before.
///
/// With `dry_run` it counts only. `actor` goes into the audit log.
pub async fn replay_batch(
    db: &Database,
    organization: OrganizationId,
    actor: &Actor,
    selection: &Selection,
    after: Place,
    limit: u16,
    dry_run: bool,
) -> Result<Batch, StoreError> {
    const OPERATION: &str = "replay.replay_batch";
    let mut tx = db.tenant(organization).await?;
    // What is picked is counted as the statement found it, or the page could seem to be the last.
    // It is locked in one order, so that two replays at once cannot block each other.
    let rows = query!(
        r#"with picked as materialized (
             select id, received_at, status, status <> 'received' and body is not null as replayable
             from inbox
             where organization_id = $1 and received_at >= $2 and received_at < $3
               and (received_at, id) > ($4, $5)
               and ($6::uuid[] is null or id = any($6))
               and ($7::text is null or status = $7)
               and ($8::text is null or provider = $8)
               and ($9::text is null or event_kind = $9)
               and ($10::text is null or parked_reason = $10)
             order by received_at, id limit $11
         ), page as (
             select * from picked order by received_at, id limit $11 - 1
         ), locked as materialized (
             select i.id from inbox i join page p on p.id = i.id
             where p.replayable and i.status = p.status and not $12
             order by p.received_at, p.id for update of i
         ), replayed as (
             update inbox i set status = 'received', parked_reason = null, folded_at = null,
                 processed_at = null, dispatch_after = now()
             from locked l where i.id = l.id
             returning i.id
         )
         select p.id, p.received_at, p.replayable as "replayable!",
             p.id in (select id from replayed) as "replayed!"
         from picked p order by p.received_at, p.id"#,
        organization.0,
        selection.from,
        selection.to,
        after.at,
        after.id,
        selection.ids.as_deref(),
        selection.status.map(Status::as_str),
        selection.provider.map(Provider::as_str),
        selection.event_kind,
        selection.parked_reason,
        i64::from(limit) + 1,
        dry_run,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    let page = &rows[..rows.len().min(usize::from(limit))];
    let more = rows.len() > page.len();
    let ids: Vec<Uuid> = page.iter().filter(|row| row.replayed).map(|row| row.id).collect();
    let batch = Batch {
        matched: count(page.len()),
        replayable: count(page.iter().filter(|row| row.replayable).count()),
        replayed: count(ids.len()),
        next: page.last().filter(|_| more).map(|row| Place { at: row.received_at, id: row.id }),
    };
    if !ids.is_empty() {
        note(&mut tx, organization, actor, selection, &ids).await?;
    }
    commit(tx, OPERATION).await?;
    Ok(batch)
}

async fn note(
    tx: &mut Tx,
    organization_id: OrganizationId,
    actor: &Actor,
    selection: &Selection,
    ids: &[Uuid],
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        organization_id,
        actor,
        action: "inbox.replay",
        target: "inbox",
        before: Some(json!({ "selection": selection })),
        after: Some(json!({ "status": Status::Received, "ids": ids })),
    };
    audit::record(tx, entry).await
}

fn count(events: usize) -> u32 {
    u32::try_from(events).unwrap_or(u32::MAX)
}
