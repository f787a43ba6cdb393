//! A call that is not to be paid for, by the word of a person.

use chrono::{DateTime, Utc};
use contract::{
    calls::CallRef,
    ids::{CallId, OrganizationId},
};
use serde_json::json;
use sqlx::query;

use crate::{
    Database, StoreError,
    audit::{self, Actor, Entry},
    calls,
    counters::Counters,
    database::{Tx, commit},
    error::{During, Problem},
    usage::{self, Use},
};

/// What became of a void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoidOutcome {
    /// Whose call it is.
    pub organization_id: OrganizationId,
    /// Minutes that were taken back now.
    pub minutes: i64,
    /// It was void before.
    pub was_void: bool,
}

/// Makes a call count nothing on any meter, whatever is told of it later; its row keeps what was said.
///
/// What the ledger has of it is taken back in the period that takes usage of that time, which is the
/// open one where the call's own is frozen. Done again it changes nothing. `actor` is for the audit
/// log.
///
/// # Errors
/// [`Problem::NotFound`] where no organization has this call.
pub async fn void(
    db: &Database,
    counters: &Counters,
    call: CallId,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<VoidOutcome, StoreError> {
    const OPERATION: &str = "reconcile.void";
    let call = find(db, call).await?;
    let organization = call.organization_id;
    let mut tx = db.tenant(organization).await?;
    calls::lock(&mut tx, call.call_id).await?;
    let inserted = query!(
        "insert into usage_voids (organization_id, call_id, reason, created_at)
         values ($1, $2, $3, $4) on conflict (organization_id, call_id) do nothing",
        organization.0,
        call.call_id.0,
        reason,
        now,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    if inserted.rows_affected() == 0 {
        commit(tx, OPERATION).await?;
        return Ok(VoidOutcome { organization_id: organization, minutes: 0, was_void: true });
    }
    let minutes = take_back(&mut tx, call, now).await?;
    let target = format!("call:{}", call.call_id);
    let entry = Entry {
        organization_id: organization,
        actor,
        action: "usage.void",
        target: &target,
        before: Some(json!({ "minutes": minutes })),
        after: Some(json!({ "minutes": 0, "reason": reason })),
    };
    audit::record(&mut tx, entry).await?;
    let totals = usage::unprojected_totals_in(&mut tx, organization).await?;
    commit(tx, OPERATION).await?;
    for total in totals {
        if let Err(error) = counters.project(&total).await {
            // The comparison of the books projects what Redis lacks.
            tracing::warn!(error = error.operation_failed(), "a counter could not be projected");
            break;
        }
    }
    Ok(VoidOutcome { organization_id: organization, minutes, was_void: false })
}

/// Books that a call counts nothing. Gives the minutes that it counted before; one that has not ended is
/// counted, as nothing, when it does.
async fn take_back(tx: &mut Tx, call: CallRef, now: DateTime<Utc>) -> Result<i64, StoreError> {
    let counted = query!(
        r#"select c.occurred_at as "occurred_at?",
             coalesce((select sum(l.quantity) from usage_ledger l
                 where l.organization_id = $1 and l.call_id = $2 and l.meter = 'call_minutes'), 0)
                 ::bigint as "minutes!"
         from calls c where c.id = $2 and c.created_at = $3 and c.billed_minutes is not null"#,
        call.organization_id.0,
        call.call_id.0,
        call.created_at,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("reconcile.take_back")?;
    let counted = counted.and_then(|row| Some((row.occurred_at?, row.minutes)));
    let Some((occurred_at, minutes)) = counted else { return Ok(0) };
    let nothing = Use { call, minutes: 0, seconds: 0, cost_micros: 0, occurred_at };
    usage::record(tx, &nothing, (None, None), now).await?;
    Ok(minutes)
}

async fn find(db: &Database, call: CallId) -> Result<CallRef, StoreError> {
    const OPERATION: &str = "reconcile.void";
    let mut tx = db.billing().await?;
    let found = query!("select organization_id, created_at from calls where id = $1", call.0)
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let row = found.ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    Ok(CallRef {
        organization_id: OrganizationId(row.organization_id),
        call_id: call,
        created_at: row.created_at,
    })
}
