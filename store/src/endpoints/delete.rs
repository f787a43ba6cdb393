//! Endpoints that go. Their row stays for the log of attempts, without what could still be sent with.

use contract::ids::EndpointId;
use sqlx::query;

use super::{Changer, change::Change, create::seal_secret};
use crate::{Database, StoreError, error::During, sealing::Sealer};

/// Deletes an endpoint and ends what is pending for it. False where there is no such endpoint.
pub async fn delete(
    db: &Database,
    sealer: &Sealer,
    changer: &Changer,
    id: EndpointId,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "webhooks.delete";
    let begun = Change::begin(db, sealer, changer, id, OPERATION).await?;
    let Some(mut change) = begun else { return Ok(false) };
    change.end_pending().await?;
    query!(
        "update webhooks set deleted_at = now(), enabled = false, disabled_reason = 'deleted',
             disabled_at = coalesce(disabled_at, now()), secret = $3, previous_secret = null,
             previous_secret_ends_at = null, headers = null, description = '',
             circuit = 'closed', circuit_probe_at = null,
             version = version + 1, updated_at = now()
         where id = $1 and organization_id = $2",
        id.0,
        changer.organization.0,
        // Opens like any other, for whoever still reads the row; and no message is signed with it.
        seal_secret(sealer, changer.organization, &String::new().into())?,
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    query!(
        "update webhook_recoveries set state = 'aborted', ended_at = now()
         where webhook_id = $1 and state in ('running', 'paused')",
        id.0,
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    change.finish().await?;
    Ok(true)
}
