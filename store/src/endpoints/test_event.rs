//! Events that only test an endpoint.

use chrono::Utc;
use contract::ids::{DeliveryId, EndpointId};
use serde_json::{Value, json};
use sqlx::query;
use uuid::Uuid;

use super::{Changer, change::target};
use crate::{Database, StoreError, database::commit, error::During, events::timestamp};

/// A test on its way.
#[derive(Debug, Clone, Copy)]
pub struct TestSent {
    /// The event.
    pub event_id: Uuid,
    /// Its one delivery.
    pub delivery_id: DeliveryId,
}

/// What came of a test.
#[derive(Debug, Clone, Copy)]
pub enum Tested {
    /// It waits to be sent.
    Sent(TestSent),
    /// There is no such endpoint.
    Unknown,
    /// The endpoint takes no events.
    Disabled,
}

/// Writes an event and its one delivery, to this endpoint whatever it subscribes to. Due at once:
/// tell [`crate::signals::EVENTS`].
pub async fn test(
    db: &Database,
    changer: &Changer,
    endpoint: EndpointId,
    event_type: &str,
    data: &Value,
) -> Result<Tested, StoreError> {
    const OPERATION: &str = "webhooks.test";
    let organization = changer.organization.0;
    let mut tx = changer.begin(db, OPERATION).await?;
    let known = query!(
        "select enabled from webhooks
         where id = $1 and organization_id = $2 and deleted_at is null",
        endpoint.0,
        organization,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    match known {
        None => return Ok(Tested::Unknown),
        Some(known) if !known.enabled => return Ok(Tested::Disabled),
        Some(_) => {}
    }
    let sent = TestSent { event_id: Uuid::now_v7(), delivery_id: DeliveryId(Uuid::now_v7()) };
    let now = Utc::now();
    let payload = json!({ "type": event_type, "timestamp": timestamp(now), "data": data });
    query!(
        "insert into events (id, organization_id, type, payload, created_at, is_test)
         values ($1, $2, $3, $4, $5, true)",
        sent.event_id,
        organization,
        event_type,
        payload,
        now,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    query!(
        "insert into webhook_deliveries (id, organization_id, event_id, webhook_id, event, body,
             owner, next_attempt_at)
         values ($1, $2, $3, $4, $5, $6, 'queue', now())",
        sent.delivery_id.0,
        organization,
        sent.event_id,
        endpoint.0,
        event_type,
        payload.to_string(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    // Who tests an endpoint whose circuit is open does not want to wait for the probe.
    query!(
        "update webhooks set circuit_probe_at = now()
         where id = $1 and circuit = 'open' and circuit_probe_at > now()",
        endpoint.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let after = json!({ "event": event_type, "delivery_id": sent.delivery_id });
    changer.record(&mut tx, OPERATION, &target(endpoint), None, Some(after)).await?;
    commit(tx, OPERATION).await?;
    Ok(Tested::Sent(sent))
}
