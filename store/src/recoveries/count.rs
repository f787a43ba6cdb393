//! How many deliveries a recovery would be.

use contract::ids::OrganizationId;
use sqlx::query;
use uuid::Uuid;

use super::{Asked, Kind, Refused, first_id, types};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// How many deliveries it would be; without any effect.
pub async fn count(
    db: &Database,
    organization: OrganizationId,
    asked: &Asked,
) -> Result<Result<u64, Refused>, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let counted = count_in(&mut tx, organization, asked).await?;
    commit(tx, "recoveries.count").await?;
    Ok(counted)
}

pub(super) async fn count_in(
    tx: &mut Tx,
    organization: OrganizationId,
    asked: &Asked,
) -> Result<Result<u64, Refused>, StoreError> {
    let endpoint = query!(
        "select enabled, events, assistant_id from webhooks where id = $1 and deleted_at is null",
        asked.endpoint.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("recoveries.count")?;
    let Some(endpoint) = endpoint else { return Ok(Err(Refused::Unknown)) };
    if !endpoint.enabled {
        return Ok(Err(Refused::Disabled));
    }
    let types = types(&endpoint.events, &asked.events);
    let counted = match asked.kind {
        Kind::Failed => given_up(tx, asked, &types).await?,
        Kind::Missing => missed(tx, organization, asked, &types, endpoint.assistant_id).await?,
    };
    Ok(Ok(u64::try_from(counted).unwrap_or(0)))
}

async fn given_up(tx: &mut Tx, asked: &Asked, types: &[String]) -> Result<i64, StoreError> {
    let row = query!(
        r#"select count(*) as "count!"
         from webhook_deliveries d join events e on e.id = d.event_id
         where d.webhook_id = $1 and d.state in ('failed', 'disabled')
           and d.event_id >= $2 and d.event_id < $3 and d.event = any($4) and not e.is_test"#,
        asked.endpoint.0,
        first_id(asked.from),
        first_id(asked.to),
        types,
    )
    .fetch_one(&mut **tx)
    .await
    .during("recoveries.count_given_up")?;
    Ok(row.count)
}

async fn missed(
    tx: &mut Tx,
    organization: OrganizationId,
    asked: &Asked,
    types: &[String],
    assistant: Option<Uuid>,
) -> Result<i64, StoreError> {
    let row = query!(
        r#"select count(*) as "count!" from events e
         left join webhook_deliveries d on d.event_id = e.id and d.webhook_id = $2
         where e.organization_id = $1 and e.id >= $3 and e.id < $4 and e.type = any($5)
           and not e.is_test and (d.id is null or d.state = 'disabled')
           and ($6::uuid is null or $6 = (
               select c.assistant_id from calls c where c.id = e.call_id limit 1))"#,
        organization.0,
        asked.endpoint.0,
        first_id(asked.from),
        first_id(asked.to),
        types,
        assistant,
    )
    .fetch_one(&mut **tx)
    .await
    .during("recoveries.count_missed")?;
    Ok(row.count)
}
