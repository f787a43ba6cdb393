//! How recoveries do.

use chrono::{DateTime, Utc};
use contract::ids::{DeliveryId, EndpointId, OrganizationId, RecoveryId};
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::commit,
    error::During,
    reads::{Page, Place, one_more, webhooks::has_endpoint},
};

/// A recovery.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Its id.
    pub id: RecoveryId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// `failed` or `missing`.
    pub kind: String,
    /// Events told at this time or later.
    pub from: DateTime<Utc>,
    /// And before this.
    pub to: DateTime<Utc>,
    /// Only of these types.
    pub events: Option<Vec<String>>,
    /// Deliveries a second.
    pub rate: i32,
    /// `running`, `paused`, `aborted` or `completed`.
    pub state: String,
    /// Deliveries counted before it began.
    pub total: i64,
    /// Handed to the queue.
    pub begun: i64,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was completed or aborted.
    pub ended_at: Option<DateTime<Utc>>,
}

/// One delivery of a recovery.
#[derive(Debug, Clone)]
pub struct Item {
    /// The event.
    pub event_id: Uuid,
    /// Its type.
    pub event: Option<String>,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// `pending`, `delivered`, `failed` or `disabled`.
    pub state: String,
    /// Attempts made since.
    pub attempts: i32,
}

/// An endpoint's recoveries, newest first; none where the organization has no such endpoint.
pub async fn list(
    db: &Database,
    organization: OrganizationId,
    endpoint: EndpointId,
    after: Place,
    limit: u16,
) -> Result<Option<Page<Recovery>>, StoreError> {
    const OPERATION: &str = "recoveries.list";
    let mut tx = db.tenant(organization).await?;
    if !has_endpoint(&mut tx, organization, endpoint).await.during(OPERATION)? {
        return Ok(None);
    }
    let rows = query_as!(
        Recovery,
        r#"select id, webhook_id as endpoint, kind, events_from as "from", events_to as "to", events,
             rate, state, total, begun, created_by, created_at, ended_at
         from webhook_recoveries where webhook_id = $1 and (created_at, id) < ($2, $3)
         order by created_at desc, id desc limit $4"#,
        endpoint.0,
        after.at,
        after.id,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Some(Page::cut(rows, limit)))
}

/// One of them.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    id: RecoveryId,
) -> Result<Option<Recovery>, StoreError> {
    const OPERATION: &str = "recoveries.get";
    let mut tx = db.tenant(organization).await?;
    let row = query_as!(
        Recovery,
        r#"select id, webhook_id as endpoint, kind, events_from as "from", events_to as "to", events,
             rate, state, total, begun, created_by, created_at, ended_at
         from webhook_recoveries where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row)
}

/// What became of its deliveries, in the order of their events, after one of them.
pub async fn items(
    db: &Database,
    organization: OrganizationId,
    id: RecoveryId,
    after: Uuid,
    limit: u16,
) -> Result<Page<Item>, StoreError> {
    const OPERATION: &str = "recoveries.items";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        "select i.event_id, d.event, i.delivery_id, d.state, d.attempts
         from webhook_recovery_items i join webhook_deliveries d on d.id = i.delivery_id
         where i.recovery_id = $1 and i.event_id > $2 order by i.event_id limit $3",
        id.0,
        after,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let items = rows.into_iter().map(|row| Item {
        event_id: row.event_id,
        event: row.event,
        delivery_id: DeliveryId(row.delivery_id),
        state: row.state,
        attempts: row.attempts,
    });
    Ok(Page::cut(items.collect(), limit))
}
