//! Housekeeping of the schema.

use contract::maintenance::PartitionsEnsured;
use sqlx::query;

use crate::{Database, StoreError, database::commit, error::During};

/// Makes the monthly partitions from the current month on, `months_ahead` further ones.
pub async fn ensure_partitions(
    db: &Database,
    months_ahead: u32,
) -> Result<PartitionsEnsured, StoreError> {
    const OPERATION: &str = "maintenance.ensure_partitions";
    let months = i32::try_from(months_ahead.clamp(1, 24)).unwrap_or(24) + 1;
    let mut tx = db.dispatch().await?;
    let created = query!(r#"select ensure_partitions(now()::date, $1) as "created!""#, months)
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?
        .created;
    let rows = query!(r#"select rows_in_default_partitions() as "rows!""#)
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?
        .rows;
    commit(tx, OPERATION).await?;
    Ok(PartitionsEnsured {
        created: u32::try_from(created).unwrap_or(0),
        rows_in_default: u64::try_from(rows).unwrap_or(0),
    })
}

/// Attempts removed in one transaction: some 50 ms, and few locks.
const LOGS_AT_ONCE: i64 = 5000;

/// Removes some of the attempts at deliveries that are older than `keep_days`; how many.
pub async fn trim_logs(db: &Database, keep_days: u32) -> Result<u64, StoreError> {
    const OPERATION: &str = "maintenance.trim_logs";
    let days = i32::try_from(keep_days.clamp(1, 3650)).unwrap_or(3650);
    let mut tx = db.dispatch().await?;
    let removed = query!(
        "delete from webhook_logs where id = any(array(
             select id from webhook_logs
             -- The number is what the index says.
             where created_at < now() - make_interval(days => $1) and attempt_number >= 0
             order by created_at limit $2))",
        days,
        LOGS_AT_ONCE,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(removed.rows_affected())
}
