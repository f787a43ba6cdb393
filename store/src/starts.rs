//! Workflows to start and signals to send, written in the transaction that causes them.
//!
//! The worker claims what is due, brings it to Temporal and deletes it. A row that nobody brought
//! there comes up again when its lease ends, so a start may come twice: Temporal takes a workflow id
//! once while it runs, and every one of these workflows may run again.

use std::time::Duration;

use contract::ids::OrganizationId;
use serde_json::Value;
use sqlx::{postgres::types::PgInterval, query};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartKind {
    /// `BillingCycle`.
    BillingCycle,
    /// `UsageAlert`.
    UsageAlert,
    /// `Onboarding`.
    Onboarding,
    /// The signal `first-call` of `Onboarding`.
    FirstCall,
    /// `MeterErrorReport`.
    MeterErrorReport,
    /// `WebhookRecovery`.
    WebhookRecovery,
    /// `EndpointNotice`.
    EndpointNotice,
}

impl StartKind {
    const ALL: [Self; 7] = [
        Self::BillingCycle,
        Self::UsageAlert,
        Self::Onboarding,
        Self::FirstCall,
        Self::MeterErrorReport,
        Self::WebhookRecovery,
        Self::EndpointNotice,
    ];

    /// The literal of the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BillingCycle => "billing-cycle",
            Self::UsageAlert => "usage-alert",
            Self::Onboarding => "onboarding",
            Self::FirstCall => "first-call",
            Self::MeterErrorReport => "meter-error-report",
            Self::WebhookRecovery => "webhook-recovery",
            Self::EndpointNotice => "endpoint-notice",
        }
    }

    fn read(literal: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == literal)
    }
}

/// Asks for a workflow or a signal. False where the same waits to be started already.
pub(crate) async fn request(
    tx: &mut Tx,
    organization: OrganizationId,
    kind: StartKind,
    workflow_id: &str,
    input: Value,
) -> Result<bool, StoreError> {
    let asked = Requested { organization, workflow_id: workflow_id.to_owned(), input };
    Ok(request_all(tx, kind, vec![asked]).await? > 0)
}

/// A start that is asked for.
#[derive(Debug)]
pub(crate) struct Requested {
    pub(crate) organization: OrganizationId,
    pub(crate) workflow_id: String,
    pub(crate) input: Value,
}

/// Asks for many of a kind. Gives how many did not wait to be started already.
pub(crate) async fn request_all(
    tx: &mut Tx,
    kind: StartKind,
    asked: Vec<Requested>,
) -> Result<u64, StoreError> {
    let ids: Vec<Uuid> = asked.iter().map(|_| Uuid::now_v7()).collect();
    let organizations: Vec<Uuid> = asked.iter().map(|start| start.organization.0).collect();
    let (workflows, inputs): (Vec<String>, Vec<Value>) =
        asked.into_iter().map(|start| (start.workflow_id, start.input)).unzip();
    let inserted = query!(
        "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
         select t.id, t.organization_id, $5, t.workflow_id, t.input
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[])
             as t (id, organization_id, workflow_id, input)
         on conflict (kind, workflow_id) do nothing",
        &ids,
        &organizations,
        &workflows,
        &inputs,
        kind.as_str(),
    )
    .execute(&mut **tx)
    .await
    .during("starts.request")?;
    Ok(inserted.rows_affected())
}

/// A claimed start.
#[derive(Debug, Clone)]
pub struct DueStart {
    /// Its row.
    pub id: Uuid,
    /// Whose workflow it is.
    pub organization_id: OrganizationId,
    /// What is started.
    pub kind: StartKind,
    /// Its workflow id, or that of the workflow to signal.
    pub workflow_id: String,
    /// JSON of the workflow's input; null for a signal.
    pub input: Value,
    /// How often it was claimed, this time included.
    pub attempts: u32,
}

/// Claims what is due, the longest due first, at most `limit`, for `lease`.
pub async fn claim(
    db: &Database,
    limit: i64,
    lease: Duration,
) -> Result<Vec<DueStart>, StoreError> {
    const OPERATION: &str = "starts.claim";
    let mut tx = db.queue().await?;
    let mut rows = query!(
        "update workflow_starts s set attempts = s.attempts + 1, due_at = now() + $2::interval
         from (
             select id from workflow_starts where due_at <= now()
             order by due_at limit $1 for update skip locked
         ) due
         where s.id = due.id
         returning s.id, s.organization_id, s.kind, s.workflow_id, s.input, s.attempts,
             s.created_at",
        limit,
        interval(lease),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    rows.sort_by_key(|row| (row.created_at, row.id));
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        // A word of a later release, which runs beside this one: its own worker takes the row.
        let Some(kind) = StartKind::read(&row.kind) else {
            tracing::warn!(start = %row.id, "a start is left to a later release");
            continue;
        };
        due.push(DueStart {
            id: row.id,
            organization_id: OrganizationId(row.organization_id),
            kind,
            workflow_id: row.workflow_id,
            input: row.input,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        });
    }
    Ok(due)
}

/// Temporal has it.
pub async fn done(db: &Database, id: Uuid) -> Result<(), StoreError> {
    const OPERATION: &str = "starts.done";
    let mut tx = db.dispatch().await?;
    query!("delete from workflow_starts where id = $1", id)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    commit(tx, OPERATION).await
}

/// Temporal does not have it: it is due again after `wait`.
pub async fn failed(db: &Database, id: Uuid, wait: Duration) -> Result<(), StoreError> {
    const OPERATION: &str = "starts.failed";
    let mut tx = db.dispatch().await?;
    query!(
        "update workflow_starts set due_at = now() + $2::interval where id = $1",
        id,
        interval(wait),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        for kind in StartKind::ALL {
            assert_eq!(StartKind::read(kind.as_str()), Some(kind));
        }
        assert_eq!(StartKind::read("dance"), None);
    }
}
