//! What aged out: answers of more than a day ago, and counts that nobody is shown any more.

use sqlx::query;

use crate::{Database, StoreError, database::commit, error::During};

/// Some 50 ms of work.
const AT_ONCE: i64 = 1_000;

/// Forgets a bounded number of answers and of days of keys; true where more may be left.
pub async fn forget_aged(db: &Database) -> Result<bool, StoreError> {
    const OPERATION: &str = "idempotency.forget_aged";
    let mut tx = db.access().await?;
    let answers = query!(
        "delete from idempotency_keys where ctid = any(array(
             select ctid from idempotency_keys where created_at < now() - interval '24 hours'
             order by created_at limit $1 for update skip locked))",
        AT_ONCE,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let days = query!(
        "delete from api_key_days where ctid = any(array(
             select ctid from api_key_days where day < current_date - 62
             order by day limit $1 for update skip locked))",
        AT_ONCE,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(answers.rows_affected().max(days.rows_affected()) >= AT_ONCE.unsigned_abs())
}
