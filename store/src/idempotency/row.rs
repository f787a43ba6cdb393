//! The row of a request that was done.

use contract::ids::OrganizationId;
use sqlx::query;

use super::{Answer, Found, Request};
use crate::{
    StoreError,
    database::Tx,
    error::{During, Problem},
    sealing::{Place, Sealer},
};

fn place(organization: OrganizationId) -> Place {
    Place { table: "idempotency_keys", column: "answer", organization }
}

/// Takes the lock of the key, which ends with the transaction, and looks for its row.
///
/// A lock that is taken is not waited for: whoever has it may take as long as a request takes.
pub(super) async fn look(
    tx: &mut Tx,
    sealer: &Sealer,
    request: &Request,
) -> Result<Option<Found>, StoreError> {
    const OPERATION: &str = "idempotency.look";
    let Request { organization, caller, key, hash } = request;
    let name = format!("idempotency/{organization}/{caller}/{key}");
    let lock =
        query!(r#"select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "is_ours!""#, name,)
            .fetch_one(&mut **tx)
            .await
            .during(OPERATION)?;
    if !lock.is_ours {
        return Ok(Some(Found::UnderWay));
    }
    // A statement of its own: it has to see what the lock's last owner committed.
    let row = query!(
        "select request_hash, answer from idempotency_keys
         where organization_id = $1 and caller = $2 and key = $3
           and created_at > now() - interval '24 hours'",
        organization.0,
        caller,
        key,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    let Some(row) = row else { return Ok(None) };
    if row.request_hash != hash {
        return Ok(Some(Found::OtherRequest));
    }
    let plain = sealer.open(place(*organization), &row.answer)?;
    let answer = serde_json::from_slice(&plain).map_err(|_| {
        StoreError::new(OPERATION, Problem::Sealed("not an answer of this version"))
    })?;
    Ok(Some(Found::Done(answer)))
}

/// Writes the answer, in the place of one that aged out.
pub(super) async fn insert(
    tx: &mut Tx,
    sealer: &Sealer,
    request: &Request,
    answer: &Answer,
) -> Result<(), StoreError> {
    const OPERATION: &str = "idempotency.insert";
    let plain = serde_json::to_vec(answer).map_err(|_| {
        StoreError::new(OPERATION, Problem::Invalid("an answer is no JSON".to_owned()))
    })?;
    query!(
        "insert into idempotency_keys (organization_id, caller, key, request_hash, answer)
         values ($1, $2, $3, $4, $5)
         on conflict (organization_id, caller, key) do update
             set request_hash = excluded.request_hash, answer = excluded.answer, created_at = now()",
        request.organization.0,
        request.caller,
        request.key,
        &request.hash,
        sealer.seal(place(request.organization), &plain)?,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during(OPERATION)
}
