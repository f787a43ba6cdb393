//! Call rows: opening them before the end, reading them afterwards.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{CallStatus, Direction, Origin, Provider},
    calls::CallRef,
    ids::{CallId, OrganizationId},
    merge::{CallFacts, DurationFlag},
    steps::{Step, StepRecord, StepStatus},
};
use sqlx::query;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::{During, Problem},
    events::{self, Told},
    inbox::{self, StoredEvent},
    recorded::{self, Fold},
    usage::{self, days::Counted},
};

/// Provider times further back than this are not believed as a call's time of creation.
const OLDEST_BELIEVED: TimeDelta = TimeDelta::days(60);
/// Provider times further ahead than this are not believed: their clock is wrong.
const CLOCK_SKEW: TimeDelta = TimeDelta::days(1);

/// Which call a transaction is about.
#[derive(Debug, Clone, Copy)]
pub struct CallIdentity<'a> {
    /// Owner.
    pub organization_id: OrganizationId,
    /// The call.
    pub call_id: CallId,
    /// Who runs it.
    pub provider: Provider,
    /// The provider's id of it.
    pub provider_call_id: &'a str,
}

/// What opening a call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The row shows the call as its events tell it.
    Written {
        /// Status now.
        status: CallStatus,
        /// Whether this was the first event to write the row.
        first: bool,
    },
    /// The call's workflow has written it: the event is the workflow's.
    Finished,
}

/// Writes the row of a call that is not processed yet, and marks its progress events processed.
///
/// One transaction: row, `call.started` event with its deliveries, inbox.
pub async fn open(
    db: &Database,
    identity: CallIdentity<'_>,
    fold: impl Fold,
) -> Result<Opened, StoreError> {
    const OPERATION: &str = "calls.open";
    let mut tx = db.tenant(identity.organization_id).await?;
    lock(&mut tx, identity.call_id).await?;
    let stored = inbox::events_of_call(&mut tx, identity.call_id).await?;
    let facts = recorded::fold_whole(&mut tx, identity, &stored, fold).await?;
    let key = fix_key(&mut tx, identity, &facts, &stored).await?;
    let finished = query!(
        r#"select billed_minutes is not null as "finished!" from calls
           where id = $1 and created_at = $2"#,
        identity.call_id.0,
        key.created_at,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    if finished.as_ref().is_some_and(|row| row.finished) {
        return Ok(Opened::Finished);
    }
    let status = facts.status.unwrap_or(CallStatus::Queued);
    upsert(&mut tx, identity, &key, &facts, None).await?;
    let started = facts.started_at.is_some() || matches!(status, CallStatus::InProgress);
    // Of a call that is known to be over its final event tells everything, the start too.
    if started && !status.is_final() {
        let told = Told { identity, key, facts: &facts, billed: None };
        events::emit_call_event(&mut tx, told, events::CALL_STARTED).await?;
    }
    // Those that were folded, and no other: one may have been stored since.
    let folded: Vec<_> = stored.iter().map(|event| event.id.0).collect();
    query!(
        "update inbox set status = 'processed', processed_at = now(), dispatch_after = null
         where id = any($1) and status = 'received' and life = 'progress'",
        &folded,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Opened::Written { status, first: finished.is_none() })
}

/// One fold of a call at a time, and each over all events stored before it: taken before the events
/// are read, so that an older fold cannot overwrite a newer one.
pub(crate) async fn lock(tx: &mut Tx, call: CallId) -> Result<(), StoreError> {
    query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", call.to_string())
        .execute(&mut **tx)
        .await
        .map(drop)
        .during("calls.lock")
}

/// The key row of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallKey {
    /// Partition key.
    pub(crate) created_at: DateTime<Utc>,
    /// How the first event came.
    pub(crate) origin: Origin,
}

impl CallKey {
    pub(crate) fn call_ref(self, identity: CallIdentity<'_>) -> CallRef {
        CallRef {
            organization_id: identity.organization_id,
            call_id: identity.call_id,
            created_at: self.created_at,
        }
    }
}

/// Fixes the call's `created_at` once.
pub(crate) async fn fix_key(
    tx: &mut Tx,
    identity: CallIdentity<'_>,
    facts: &CallFacts,
    stored: &[StoredEvent],
) -> Result<CallKey, StoreError> {
    const OPERATION: &str = "calls.fix_key";
    let first = stored.first();
    let received_at = first.map_or_else(Utc::now, |event| event.received_at);
    let origin = first.map_or(Origin::Webhook, |event| event.origin);
    let created_at = facts
        .created_at
        .or(facts.started_at)
        .filter(|at| *at > received_at - OLDEST_BELIEVED && *at < received_at + CLOCK_SKEW)
        .unwrap_or(received_at);
    let row = query!(
        "insert into call_keys (organization_id, provider, provider_call_id, call_id, created_at)
         values ($1, $2, $3, $4, $5)
         on conflict (organization_id, provider, provider_call_id)
             do update set call_id = excluded.call_id
         returning created_at",
        identity.organization_id.0,
        identity.provider.as_str(),
        identity.provider_call_id,
        identity.call_id.0,
        created_at,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(CallKey { created_at: row.created_at, origin })
}

/// What only `calls.finish` writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Billed {
    pub(crate) seconds: u32,
    pub(crate) minutes: u32,
    /// As the ledger says it.
    pub(crate) occurred_at: DateTime<Utc>,
}

/// Writes the row as the fold tells it. An assistant or number that was deleted is still whose call it
/// was, unless another has taken its place.
pub(crate) async fn upsert(
    tx: &mut Tx,
    identity: CallIdentity<'_>,
    key: &CallKey,
    facts: &CallFacts,
    billed: Option<Billed>,
) -> Result<Option<Counted>, StoreError> {
    let status = facts.status.unwrap_or(CallStatus::Queued);
    let row = query!(
        r#"with was as (
             select occurred_at, status from calls
             where id = $1 and created_at = $19 and billed_minutes is not null
         ), written as (
         insert into calls (id, organization_id, provider, provider_call_id, assistant_id,
             phone_number_id, direction, status, from_number, to_number, started_at, ended_at,
             duration_seconds, billed_minutes, ended_reason, cost_usd, origin, metadata, created_at,
             occurred_at, duration_flag)
         values ($1, $2, $3, $4,
             (select id from assistants
              where organization_id = $2 and provider = $3 and provider_assistant_id = $5
              order by deleted_at desc nulls first limit 1),
             (select id from phone_numbers
              where organization_id = $2 and provider = $3 and provider_phone_number_id = $6
              order by deleted_at desc nulls first limit 1),
             $7, $8, left($9, 64), left($10, 64), $11, $12, $13, $14, $15, $16, $17, $18, $19,
             $20, $21)
         on conflict (id, created_at) do update set
             assistant_id = excluded.assistant_id, phone_number_id = excluded.phone_number_id,
             direction = excluded.direction, status = excluded.status,
             from_number = excluded.from_number, to_number = excluded.to_number,
             started_at = excluded.started_at, ended_at = excluded.ended_at,
             duration_seconds = excluded.duration_seconds,
             billed_minutes = excluded.billed_minutes, ended_reason = excluded.ended_reason,
             cost_usd = excluded.cost_usd, metadata = excluded.metadata,
             occurred_at = excluded.occurred_at, duration_flag = excluded.duration_flag,
             updated_at = now()
         )
         select was.occurred_at as "occurred_at?", was.status = 'completed' as "completed?"
         from (values (1)) one left join was on true"#,
        identity.call_id.0,
        identity.organization_id.0,
        identity.provider.as_str(),
        identity.provider_call_id,
        facts.provider_assistant_id,
        facts.provider_phone_number_id,
        facts.direction.map(Direction::as_str),
        status.as_str(),
        facts.from_number,
        facts.to_number,
        facts.started_at,
        facts.ended_at,
        billed.map_or(facts.duration_seconds, |b| Some(b.seconds)).map(to_i32),
        billed.map(|b| to_i32(b.minutes)),
        facts.ended_reason,
        facts.cost_usd,
        key.origin.as_str(),
        facts.metadata,
        key.created_at,
        billed.map(|b| b.occurred_at),
        facts.duration_flag.map(DurationFlag::as_str),
    )
    .fetch_one(&mut **tx)
    .await
    .during("calls.upsert")?;
    let counted = row.occurred_at.zip(row.completed);
    Ok(counted.map(|(occurred_at, completed)| Counted { occurred_at, completed }))
}

/// A call whose run is done.
#[derive(Debug)]
pub struct Closed {
    /// The call's whole step list.
    pub steps: Vec<StepRecord>,
    /// What Redis is to show of the organization.
    pub projection: usage::Projection,
}

/// Merges the steps of a run into the call's list and makes its folded events processed.
pub async fn close(
    db: &Database,
    call: CallRef,
    steps: &[StepRecord],
    now: DateTime<Utc>,
) -> Result<Closed, StoreError> {
    const OPERATION: &str = "calls.close";
    let mut tx = db.tenant(call.organization_id).await?;
    let row = query!(
        "select steps from calls where id = $1 and created_at = $2 for update",
        call.call_id.0,
        call.created_at,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let merged = merge_steps(serde_json::from_value(row.steps).unwrap_or_default(), steps);
    query!(
        "update calls set steps = $3, updated_at = now() where id = $1 and created_at = $2",
        call.call_id.0,
        call.created_at,
        serde_json::to_value(&merged).unwrap_or_default(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    query!(
        "update inbox set status = 'processed', processed_at = now(), dispatch_after = null
         where call_id = $1 and status = 'received' and folded_at is not null",
        call.call_id.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    events::emit_closed(&mut tx, call, &merged).await?;
    let projection = usage::projection_in(&mut tx, call.organization_id, now).await?;
    commit(tx, OPERATION).await?;
    Ok(Closed { steps: merged, projection })
}

/// The newest word on each step, in the order of the steps. A step skipped because an earlier run
/// settled it keeps that run's word.
fn merge_steps(stored: Vec<StepRecord>, newest: &[StepRecord]) -> Vec<StepRecord> {
    let latest = |step: Step| {
        let old = stored.iter().find(|record| record.name == step);
        let new = newest.iter().find(|record| record.name == step);
        match (old, new) {
            (Some(old), Some(new)) if new.status == StepStatus::Skipped => Some(old.clone()),
            (old, new) => new.or(old).cloned(),
        }
    };
    Step::ALL.iter().copied().filter_map(latest).collect()
}

/// How many of an organization's calls are in progress, from the partial index.
pub async fn count_active(db: &Database, organization: OrganizationId) -> Result<i64, StoreError> {
    const OPERATION: &str = "calls.count_active";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select count(*) as "active!" from calls
           where organization_id = $1 and status = 'in-progress'"#,
        organization.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.active)
}

/// Parses a literal that a CHECK of the schema vouches for.
pub(crate) fn word<T: FromStr>(operation: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e| StoreError::new(operation, Problem::Invalid(format!("{e}"))))
}

pub(crate) fn to_i32(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: Step, status: StepStatus) -> StepRecord {
        StepRecord { name, status, error: None }
    }

    #[test]
    fn a_retried_step_replaces_its_record_and_a_skipped_one_does_not() {
        let stored = vec![
            record(Step::Finish, StepStatus::Completed),
            record(Step::Recording, StepStatus::Failed),
            record(Step::Sms, StepStatus::Completed),
        ];
        let newest = [
            record(Step::Recording, StepStatus::Completed),
            record(Step::Sms, StepStatus::Skipped),
        ];
        let merged = merge_steps(stored, &newest);
        assert_eq!(merged.iter().map(|r| r.status).collect::<Vec<_>>(), [StepStatus::Completed; 3]);
    }
}
