//! A workflow's turn at its own delivery.

use contract::{delivery::AttemptDelivery, ids::EndpointId};
use sqlx::query;

use super::{Busy, Claimed, claim::take, disable};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    sealing::Sealer,
};

/// What a workflow that wants to attempt its delivery finds.
#[derive(Debug)]
pub enum Turn {
    /// It may.
    Yours(Box<Claimed>),
    /// It arrived.
    Delivered,
    /// It was given up, or is gone.
    Over,
    /// Its endpoint takes nothing any more.
    Disabled,
    /// It waits in the queue.
    Released,
}

/// Claims a delivery for its workflow, unless that has nothing to do any more or must not now. What is
/// held back by its endpoint's circuit, rate or order, or by too many attempts at `busy` endpoints, is
/// given to the queue.
pub async fn claim_turn(
    db: &Database,
    sealer: &Sealer,
    asked: AttemptDelivery,
    busy: &Busy,
) -> Result<Turn, StoreError> {
    const OPERATION: &str = "deliveries.claim_turn";
    let mut tx = db.tenant(asked.organization_id).await?;
    let turn = turn(&mut tx, sealer, asked, busy).await?;
    commit(tx, OPERATION).await?;
    Ok(turn)
}

async fn turn(
    tx: &mut Tx,
    sealer: &Sealer,
    asked: AttemptDelivery,
    busy: &Busy,
) -> Result<Turn, StoreError> {
    let row = query!(
        r#"select d.state, d.owner, d.webhook_id, w.enabled and w.deleted_at is null as "is_live!",
             w.circuit <> 'closed' or w.rate_limit is not null
                 or coalesce(w.paced_until > now(), false)
                 or (w.ordering = 'call' and d.call_id is not null and exists (
                     select from webhook_deliveries e
                     where e.call_id = d.call_id and e.webhook_id = d.webhook_id
                       and e.state = 'pending' and e.event_id < d.event_id)) as "is_held!"
         from webhook_deliveries d
         cross join lateral (select w.* from webhooks w where w.id = d.webhook_id offset 0) w
         where d.id = $1 for update of d"#,
        asked.delivery_id.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("deliveries.turn")?;
    let Some(row) = row else { return Ok(Turn::Over) };
    let is_busy = busy.holds(EndpointId(row.webhook_id));
    match (row.state.as_str(), row.owner.as_str()) {
        ("delivered", _) => Ok(Turn::Delivered),
        ("disabled", _) => Ok(Turn::Disabled),
        ("pending", _) if !row.is_live => {
            disable(tx, &[asked.delivery_id.0]).await.map(|()| Turn::Disabled)
        }
        ("pending", "queue") => Ok(Turn::Released),
        ("pending", _) if row.is_held || is_busy => {
            release(tx, asked).await.map(|()| Turn::Released)
        }
        ("pending", _) => {
            let claimed = take(tx, sealer, &[asked.delivery_id.0]).await?.pop();
            Ok(claimed.map_or(Turn::Over, |claimed| Turn::Yours(Box::new(claimed))))
        }
        _ => Ok(Turn::Over),
    }
}

/// To the queue. An attempt that was interrupted stays one, for the next claim to tell.
async fn release(tx: &mut Tx, asked: AttemptDelivery) -> Result<(), StoreError> {
    query!(
        "update webhook_deliveries set owner = 'queue', next_attempt_at = now() where id = $1",
        asked.delivery_id.0,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("deliveries.release")
}
