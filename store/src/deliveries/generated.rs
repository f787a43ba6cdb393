//! Events for a benchmark, and the organizations that it makes for itself.

use contract::ids::OrganizationId;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{Connection, PgConnection, query};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{commit, connect_options},
    error::During,
    events::{self, CALL_COMPLETED},
};

/// Writes events and their deliveries as any event about an organization is written, in a transaction of
/// their own.
pub async fn emit(
    db: &Database,
    organization: OrganizationId,
    events: Vec<Value>,
) -> Result<(), StoreError> {
    const OPERATION: &str = "deliveries.generated.emit";
    let mut tx = db.tenant(organization).await?;
    for data in events {
        let effect_key = format!("bench/{}", Uuid::now_v7());
        events::emit_organization(&mut tx, organization, CALL_COMPLETED, &effect_key, data).await?;
    }
    commit(tx, OPERATION).await
}

/// Removes organizations with their events, endpoints, deliveries and logs. Needs a connection that row
/// level security does not bind.
pub async fn remove(
    admin_url: &SecretString,
    organizations: &[OrganizationId],
) -> Result<(), StoreError> {
    const OPERATION: &str = "deliveries.generated.remove";
    let options = connect_options(admin_url)?.options([("statement_timeout", "5min")]);
    let mut connection = PgConnection::connect_with(&options).await.during(OPERATION)?;
    let ids: Vec<Uuid> = organizations.iter().map(|organization| organization.0).collect();
    let mut tx = connection.begin().await.during(OPERATION)?;
    // Attempts that are under way end before or are not written down.
    let held =
        "select id from webhook_deliveries where organization_id = any($1) order by id for update";
    sqlx::query(held).bind(&ids).execute(&mut *tx).await.during(OPERATION)?;
    let held = "select id from webhooks where organization_id = any($1) order by id for update";
    sqlx::query(held).bind(&ids).execute(&mut *tx).await.during(OPERATION)?;
    query!("delete from webhook_logs where organization_id = any($1)", &ids)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    query!("delete from webhook_deliveries where organization_id = any($1)", &ids)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    query!("delete from events where organization_id = any($1)", &ids)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    query!("delete from webhooks where organization_id = any($1)", &ids)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    query!("delete from api_keys where organization_id = any($1)", &ids)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    query!("delete from organizations where id = any($1)", &ids)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    tx.commit().await.during(OPERATION)
}
