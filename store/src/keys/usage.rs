//! Requests of keys, counted in one statement for many.

use chrono::{DateTime, Utc};
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, database::commit, error::During};

/// Requests of a key since they were last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The key.
    pub id: Uuid,
    /// How many.
    pub requests: i64,
    /// Time of the last.
    pub last_at: DateTime<Utc>,
}

/// Adds requests to the keys that still exist; gives each one's count of all requests so far, those
/// of other processes among them.
///
/// Rows are locked in order of their ids, so that processes that count at once do not deadlock.
pub async fn count(db: &Database, used: &[Used]) -> Result<Vec<(Uuid, i64)>, StoreError> {
    const OPERATION: &str = "keys.count";
    let ids: Vec<Uuid> = used.iter().map(|used| used.id).collect();
    let requests: Vec<i64> = used.iter().map(|used| used.requests).collect();
    let last: Vec<DateTime<Utc>> = used.iter().map(|used| used.last_at).collect();
    let mut tx = db.access().await?;
    let rows = query!(
        r#"with used as (
               select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[])
                   as used (id, requests, last_at)
           ), locked as (
               select k.id from api_keys k where k.id = any($1) order by k.id for no key update
           ), counted as (
               update api_keys k set usage_count = k.usage_count + used.requests,
                   last_used_at = greatest(k.last_used_at, used.last_at)
               from used join locked on locked.id = used.id
               where k.id = used.id
               returning k.id, k.organization_id, k.usage_count, used.requests
           ), by_day as (
               insert into api_key_days as day (organization_id, api_key_id, day, requests)
               select organization_id, id, (now() at time zone 'utc')::date, requests from counted
               on conflict (api_key_id, day) do update set requests = day.requests + excluded.requests
           )
           select id as "id!", usage_count as "usage_count!" from counted"#,
        &ids,
        &requests,
        &last,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.usage_count)).collect())
}
