//! Deliveries of events to an endpoint.

use chrono::{DateTime, Utc};
use contract::ids::{DeliveryId, EndpointId, OrganizationId};
use serde::{Deserialize, Serialize};
use sqlx::query_as;
use uuid::Uuid;

use super::has_endpoint;
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    reads::{Page, Place, one_more},
};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its next attempt.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// Given up after its last attempt.
    Failed,
    /// The endpoint was disabled or deleted while it waited.
    Disabled,
}

impl State {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Disabled];

    /// The literal of the database and of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        }
    }
}

/// An event on its way to an endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// Type of the event.
    pub event: String,
    /// The call that it tells of.
    pub call_id: Option<Uuid>,
    /// Where it stands.
    pub state: String,
    /// Attempts since it was made, or was last resent.
    pub attempts: i32,
    /// Attempts before it was resent.
    pub earlier_attempts: i32,
    /// When it is attempted next; none where nothing is left to do.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub settled_at: Option<DateTime<Utc>>,
}

/// Which deliveries.
#[derive(Debug, Clone)]
pub struct Filter<'a> {
    /// That stand here.
    pub state: Option<State>,
    /// Of events of this type.
    pub event: Option<&'a str>,
    /// Made at this instant or later.
    pub from: DateTime<Utc>,
    /// What follows this place.
    pub after: Place,
}

/// A page of the deliveries to an endpoint, newest first; none where there is no such endpoint.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    endpoint: EndpointId,
    filter: &Filter<'_>,
    limit: u16,
) -> Result<Option<Page<Delivery>>, StoreError> {
    const OPERATION: &str = "reads.webhooks.deliveries";
    let mut tx = db.tenant_search(organization).await?;
    if !has_endpoint(&mut tx, organization, endpoint).await.during(OPERATION)? {
        return Ok(None);
    }
    let found = query_as!(
        Delivery,
        r#"select d.id, d.event_id, coalesce(d.event, e.type) as "event!", d.call_id, d.state,
             d.attempts, d.earlier_attempts,
             case when d.state = 'pending' then d.next_attempt_at end as next_attempt_at,
             d.created_at, d.settled_at
         from webhook_deliveries d left join events e on e.id = d.event_id and d.event is null
         where d.webhook_id = $1 and d.organization_id = $2 and d.created_at >= $3
           and d.created_at <= $4 and (d.created_at, d.id) < ($4, $5)
           and ($6::text is null or d.state = $6)
           and ($7::text is null or coalesce(d.event, e.type) = $7)
         order by d.created_at desc, d.id desc limit $8"#,
        endpoint.0,
        organization.0,
        filter.from,
        filter.after.at,
        filter.after.id,
        filter.state.map(State::as_str),
        filter.event,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Some(Page::cut(found, limit)))
}

/// One delivery to an endpoint.
pub(crate) async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    endpoint: EndpointId,
    delivery: DeliveryId,
) -> Result<Option<Delivery>, sqlx::Error> {
    query_as!(
        Delivery,
        r#"select d.id, d.event_id, coalesce(d.event, e.type) as "event!", d.call_id, d.state,
             d.attempts, d.earlier_attempts,
             case when d.state = 'pending' then d.next_attempt_at end as next_attempt_at,
             d.created_at, d.settled_at
         from webhook_deliveries d join events e on e.id = d.event_id
         where d.id = $1 and d.webhook_id = $2 and d.organization_id = $3"#,
        delivery.0,
        endpoint.0,
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
}
