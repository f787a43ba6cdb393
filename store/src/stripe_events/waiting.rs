//! Events that came before it was known whose their customer is.

use chrono::{DateTime, Utc};
use sqlx::query;

use super::{
    Place, StripeEvent, apply,
    owner::Owner,
    settle::{Kept, settle},
};
use crate::{StoreError, database::Tx, error::During};

/// Events of a customer that are taken again in one transaction; the customer's next event takes
/// further ones.
pub(super) const AT_ONCE: i64 = 500;

/// Applies what waits for the customer, oldest first; gives how many. What waits for a person, because it
/// is of the other mode, goes on waiting.
pub(super) async fn apply_all(
    tx: &mut Tx,
    owner: &Owner,
    customer: &str,
    now: DateTime<Utc>,
) -> Result<u32, StoreError> {
    let rows = query!(
        r#"select id, type as event_type, created_at, content as "content!" from stripe_events
         where customer = $1 and status = 'parked' and content is not null
             and content->'livemode' is null
         order by created_at, received_at, id limit $2"#,
        customer,
        AT_ONCE,
    )
    .fetch_all(&mut **tx)
    .await
    .during("stripe_events.waiting")?;
    let mut applied = 0;
    for row in rows {
        let kept = match serde_json::from_value::<Kept>(row.content) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(%error, event = row.id, "a parked event of Stripe stays parked");
                continue;
            }
        };
        let event = StripeEvent {
            id: row.id,
            event_type: row.event_type,
            created: row.created_at,
            place: Place::Here,
            content: kept.content,
        };
        let outcome = apply(tx, owner, &event, now).await?;
        settle(tx, &event, Some(owner), &outcome, now).await?;
        applied += 1;
    }
    Ok(applied)
}
