//! A parked event that a person has looked at, and that nothing is to follow from.

use chrono::{DateTime, Utc};
use sqlx::query;

use super::Status;
use crate::{Database, StoreError, database::commit, error::During};

const OPERATION: &str = "stripe_events.discard";

/// Puts a parked event away: it is ignored, and why it waited stays with it. Gives where the event stood
/// before; only a parked one changes. What it told is forgotten.
///
/// `db` is of role [`crate::Role::Worker`].
///
/// # Errors
/// When there is no such event, or the database fails.
pub async fn discard(db: &Database, id: &str, now: DateTime<Utc>) -> Result<Status, StoreError> {
    let mut tx = db.billing().await?;
    let row = query!("select status from stripe_events where id = $1 for update", id)
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    let status = Status::read(OPERATION, &row.status)?;
    if status == Status::Parked {
        query!(
            "update stripe_events set status = 'ignored', reason = 'discarded: ' || reason,
                 content = null, processed_at = $2
             where id = $1",
            id,
            now,
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    }
    commit(tx, OPERATION).await?;
    Ok(status)
}
