//! What became of an endpoint's events: its deliveries, and the log of attempts and skips.

pub mod deliveries;
pub mod logs;

use contract::ids::{EndpointId, OrganizationId};
use sqlx::query;

use crate::database::Tx;

/// Whether the organization has such an endpoint, and still has.
pub(crate) async fn has_endpoint(
    tx: &mut Tx,
    organization: OrganizationId,
    endpoint: EndpointId,
) -> Result<bool, sqlx::Error> {
    let known = query!(
        "select id from webhooks
         where id = $1 and organization_id = $2 and deleted_at is null",
        endpoint.0,
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(known.is_some())
}
