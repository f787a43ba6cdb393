//! A parked event, taken once more because a person says so.

use chrono::{DateTime, Utc};
use sqlx::query;

use super::{Outcome, Place, Status, StripeEvent, follow, owner, settle::Kept};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::{During, Problem},
};

const OPERATION: &str = "stripe_events.retry";

/// What became of a parked event that was taken once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It waits no longer: this is where it stands.
    Settled(Status),
    /// It waits as before, and why.
    Parked(String),
    /// It was not parked: this is where it stood and stands.
    NotParked(Status),
    /// Nothing was kept of what it tells: only Stripe can say it again.
    NothingKept,
    /// It is of a mode that our key does not open, or nobody knows what our key opens.
    OtherMode {
        /// Whether money moves there.
        is_live: bool,
    },
}

/// Takes a parked event once more, and with it what else waits for its customer. `is_live` says which
/// mode our key opens, if that is known; only an event that was parked for its mode asks for it.
///
/// `db` is of role [`crate::Role::Worker`].
///
/// # Errors
/// When there is no such event, what is kept of it is a later release's, or the database fails.
pub async fn retry(
    db: &Database,
    id: &str,
    is_live: Option<bool>,
    now: DateTime<Utc>,
) -> Result<Retried, StoreError> {
    let mut tx = db.billing().await?;
    let retried = retry_in(&mut tx, id, is_live, now).await?;
    commit(tx, OPERATION).await?;
    Ok(retried)
}

async fn retry_in(
    tx: &mut Tx,
    id: &str,
    is_live: Option<bool>,
    now: DateTime<Utc>,
) -> Result<Retried, StoreError> {
    // The customer's lock comes before that of a row, as with whoever applies what waits for a customer.
    let seen = query!("select customer from stripe_events where id = $1", id)
        .fetch_one(&mut **tx)
        .await
        .during(OPERATION)?;
    if let Some(customer) = &seen.customer {
        owner::lock(tx, customer).await?;
    }
    let row = query!(
        "select type as event_type, created_at, status, content from stripe_events
         where id = $1 for update",
        id,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    let status = Status::read(OPERATION, &row.status)?;
    if status != Status::Parked {
        return Ok(Retried::NotParked(status));
    }
    let Some(kept) = row.content else { return Ok(Retried::NothingKept) };
    let Kept { content, livemode } = serde_json::from_value(kept)
        .map_err(|error| StoreError::new(OPERATION, Problem::Invalid(error.to_string())))?;
    if let Some(of) = livemode
        && is_live != Some(of)
    {
        return Ok(Retried::OtherMode { is_live: of });
    }
    let event = StripeEvent {
        id: id.to_owned(),
        event_type: row.event_type,
        created: row.created_at,
        place: Place::Here,
        content,
    };
    Ok(match follow(tx, &event, now).await? {
        Outcome::Processed => Retried::Settled(Status::Processed),
        Outcome::Ignored | Outcome::Strange(_) => Retried::Settled(Status::Ignored),
        Outcome::Parked(reason) => Retried::Parked(reason),
    })
}
