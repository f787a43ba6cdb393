//! Whether an event is one of an organization's.

use contract::ids::OrganizationId;
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, database::commit, error::During};

/// Whether the organization has the event that a client of the live stream says it saw last.
pub async fn exists(
    db: &Database,
    organization: OrganizationId,
    id: Uuid,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "reads.events.exists";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select exists (select from events where id = $1 and organization_id = $2) as "known!""#,
        id,
        organization.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.known)
}
