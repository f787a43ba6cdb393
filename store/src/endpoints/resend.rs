//! One delivery once more, from its first attempt.

use chrono::Utc;
use contract::ids::{DeliveryId, EndpointId};
use serde_json::json;
use sqlx::query;

use super::{Changer, change::target};
use crate::{
    Database, StoreError, database::commit, deliveries::begin_anew, error::During,
    reads::webhooks::deliveries as reads,
};

/// What came of it.
#[derive(Debug, Clone)]
pub enum Resent {
    /// It waits to be sent.
    Due(Box<reads::Delivery>),
    /// The endpoint has no such delivery, or there is no such endpoint.
    Unknown,
    /// The endpoint takes no events.
    Disabled,
    /// It waits already.
    Pending,
}

/// Makes a settled delivery due again, as if it had never been attempted. The same bytes under the
/// same id go out: a receiver that had it knows it. Tell [`crate::signals::EVENTS`].
pub async fn resend(
    db: &Database,
    changer: &Changer,
    endpoint: EndpointId,
    delivery: DeliveryId,
) -> Result<Resent, StoreError> {
    const OPERATION: &str = "webhooks.resend";
    let organization = changer.organization;
    let mut tx = changer.begin(db, OPERATION).await?;
    let row = query!(
        "select d.state, d.attempts, w.enabled
         from webhook_deliveries d join webhooks w on w.id = d.webhook_id
         where d.id = $1 and d.webhook_id = $2 and d.organization_id = $3
           and w.deleted_at is null
         for update of d",
        delivery.0,
        endpoint.0,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let row = match row {
        None => return Ok(Resent::Unknown),
        Some(row) if !row.enabled => return Ok(Resent::Disabled),
        Some(row) if row.state == "pending" => return Ok(Resent::Pending),
        Some(row) => row,
    };
    begin_anew(&mut tx, &[delivery.0], Utc::now()).await?;
    let entry = json!({ "delivery_id": delivery, "state": row.state, "attempts": row.attempts });
    changer.record(&mut tx, OPERATION, &target(endpoint), Some(entry), None).await?;
    let due = reads::find(&mut tx, organization, endpoint, delivery).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(due.map_or(Resent::Unknown, |due| Resent::Due(Box::new(due))))
}
