//! Events in the order in which live streams show them.

use contract::ids::{CallId, OrganizationId};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, database::commit, error::During};

/// An event as the live stream carries it.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    /// Its id, which a client sends back as `Last-Event-ID`.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// The call it is about.
    pub call_id: Option<CallId>,
    /// What subscribers get.
    pub payload: Value,
    /// Position in the stream.
    pub position: Position,
}

/// A place in an organization's stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    txid: i64,
    id: Uuid,
}

impl Position {
    /// Before every event.
    const BEGIN: Self = Self { txid: 0, id: Uuid::nil() };

    /// The event after which it is; nil before every event. [`position_after`] finds it again.
    pub const fn id(self) -> Uuid {
        self.id
    }
}

/// The place after `last`, or after the newest event where there is no such event. Nil is the place
/// before every event.
pub async fn position_after(
    db: &Database,
    organization: OrganizationId,
    last: Option<Uuid>,
) -> Result<Position, StoreError> {
    const OPERATION: &str = "events.position_after";
    if last == Some(Uuid::nil()) {
        return Ok(Position::BEGIN);
    }
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"with visible as not materialized (
             select txid, id from events
             where organization_id = $1 and txid < pg_snapshot_xmin(pg_current_snapshot())
           ), known as (select txid, id from visible where id = $2),
           newest as (select txid, id from visible order by txid desc, id desc limit 1)
           select txid::text::bigint as "txid!", id as "id!" from (
             select 0 as choice, txid, id from known
             union all
             select 1 as choice, txid, id from newest
           ) place order by choice limit 1"#,
        organization.0,
        last,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map_or(Position::BEGIN, |row| Position { txid: row.txid, id: row.id }))
}

/// Events after a place, in order, at most `limit`.
///
/// Ids and times are given before the commit, so neither is the order in which rows appear. An
/// event shows once no transaction that began before it can still write, so none is passed over.
pub async fn after(
    db: &Database,
    organization: OrganizationId,
    position: Position,
    limit: i64,
) -> Result<Vec<StreamEvent>, StoreError> {
    const OPERATION: &str = "events.after";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        r#"select id, type as event_type, call_id, payload, txid::text::bigint as "txid!" from events
           where organization_id = $1 and (txid, id) > ($2::text::xid8, $3)
             and txid < pg_snapshot_xmin(pg_current_snapshot())
           order by events.txid, id limit $4"#,
        organization.0,
        position.txid.to_string(),
        position.id,
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows
        .into_iter()
        .map(|row| StreamEvent {
            id: row.id,
            event_type: row.event_type,
            call_id: row.call_id.map(CallId),
            payload: row.payload,
            position: Position { txid: row.txid, id: row.id },
        })
        .collect())
}
