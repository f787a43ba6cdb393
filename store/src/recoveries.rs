//! Recoveries: deliveries that failed, or events that an endpoint missed, in bulk.
//!
//! A recovery is a row: what is asked for, how far it is, whether it is paused. Its workflow hands a page
//! of deliveries at a time to the queue; what becomes of each stands in the deliveries themselves.

mod count;
mod page;
mod read;

use chrono::{DateTime, Utc};
use contract::{
    events::{EVENT_TYPES, family},
    ids::{EndpointId, OrganizationId, RecoveryId},
    names::recovery_workflow_id,
    recovery::RecoverWebhooks,
};
use serde_json::json;
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    audit::{self, Actor},
    database::{Tx, commit},
    error::{During, Problem},
    starts::{self, StartKind},
};

pub use count::count;
use count::count_in;
pub use page::page;
pub use read::{Item, Recovery, get, items, list};

/// What is recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Deliveries that were given up, or ended with their endpoint.
    Failed,
    /// Events that the endpoint subscribes to now and did not get because it was disabled, or not there.
    Missing,
}

impl Kind {
    /// The literal of the database and of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What is recovered.
    pub kind: Kind,
    /// Events told at this time or later.
    pub from: DateTime<Utc>,
    /// And before this.
    pub to: DateTime<Utc>,
    /// Only of these types; of all where empty.
    pub events: Vec<String>,
    /// Deliveries a second, 1 to 1000.
    pub rate: i32,
}

/// Why nothing was begun, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such endpoint, or no such recovery.
    Unknown,
    /// The endpoint takes nothing now.
    Disabled,
    /// Another recovery of the endpoint is running or paused.
    Busy,
    /// It has ended.
    Ended,
}

/// A change of a recovery under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing more is begun, for now.
    Pause,
    /// It goes on.
    Resume,
    /// Nothing more is begun, ever.
    Abort,
}

impl Change {
    /// The literal of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }

    const fn state(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "running",
            Self::Abort => "aborted",
        }
    }
}

/// Types that the endpoint subscribes to, of those asked for.
fn types(subscribed: &[String], asked: &[String]) -> Vec<String> {
    let wants = |known: &str| {
        subscribed.iter().any(|one| one == "*" || one == known || *one == family(known))
    };
    let known = EVENT_TYPES.iter().filter(|known| **known != "webhook.test");
    let known = known.filter(|known| wants(known));
    known
        .filter(|known| asked.is_empty() || asked.iter().any(|one| one == *known))
        .map(|known| (*known).to_owned())
        .collect()
}

/// The smallest id of an event of that time: ids are in the order of their milliseconds.
fn first_id(at: DateTime<Utc>) -> Uuid {
    let ms = u128::try_from(at.timestamp_millis().max(0)).unwrap_or(0);
    Uuid::from_u128(ms << 80)
}

/// Counts, writes it down and asks for its workflow, in one transaction. Gives its id and the count.
pub async fn begin(
    db: &Database,
    organization: OrganizationId,
    asked: &Asked,
    actor: &Actor,
) -> Result<Result<(RecoveryId, u64), Refused>, StoreError> {
    const OPERATION: &str = "recoveries.begin";
    let mut tx = db.tenant(organization).await?;
    let total = match count_in(&mut tx, organization, asked).await? {
        Ok(total) => total,
        Err(refused) => return Ok(Err(refused)),
    };
    // One at a time: two would begin the same deliveries. And counting takes its time.
    let endpoint = query!(
        "select enabled from webhooks where id = $1 and deleted_at is null for no key update",
        asked.endpoint.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    match endpoint {
        None => return Ok(Err(Refused::Unknown)),
        Some(endpoint) if !endpoint.enabled => return Ok(Err(Refused::Disabled)),
        Some(_) => {}
    }
    let busy = query!(
        "select id from webhook_recoveries where webhook_id = $1 and state in ('running', 'paused')",
        asked.endpoint.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    if busy.is_some() {
        return Ok(Err(Refused::Busy));
    }
    let id = RecoveryId(Uuid::now_v7());
    query!(
        "insert into webhook_recoveries (id, organization_id, webhook_id, kind, events_from,
             events_to, events, rate, total, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        id.0,
        organization.0,
        asked.endpoint.0,
        asked.kind.as_str(),
        asked.from,
        asked.to,
        Some(asked.events.as_slice()).filter(|events| !events.is_empty()),
        asked.rate,
        i64::try_from(total).unwrap_or(i64::MAX),
        actor.name(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    note(
        &mut tx,
        organization,
        actor,
        id,
        "begin",
        json!({
            "webhook_id": asked.endpoint, "kind": asked.kind.as_str(), "from": asked.from,
            "to": asked.to, "events": asked.events, "rate": asked.rate, "total": total,
        }),
    )
    .await?;
    start(&mut tx, organization, id).await?;
    commit(tx, OPERATION).await?;
    Ok(Ok((id, total)))
}

/// Pauses, resumes or ends a recovery. Doing what is done already changes nothing.
pub async fn change(
    db: &Database,
    organization: OrganizationId,
    id: RecoveryId,
    change: Change,
    actor: &Actor,
) -> Result<Result<(), Refused>, StoreError> {
    const OPERATION: &str = "recoveries.change";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select r.state, w.enabled and w.deleted_at is null as "is_live!"
         from webhook_recoveries r join webhooks w on w.id = r.webhook_id
         where r.id = $1 for update of r"#,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let Some(row) = row else { return Ok(Err(Refused::Unknown)) };
    if row.state == change.state() {
        return Ok(Ok(()));
    }
    if matches!(row.state.as_str(), "aborted" | "completed") {
        return Ok(Err(Refused::Ended));
    }
    if change == Change::Resume && !row.is_live {
        // Its next page would pause it again.
        return Ok(Err(Refused::Disabled));
    }
    query!(
        "update webhook_recoveries set state = $2, moved_at = now(),
             ended_at = case when $2 = 'aborted' then now() end where id = $1",
        id.0,
        change.state(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    note(&mut tx, organization, actor, id, change.as_str(), json!({ "was": row.state })).await?;
    if change == Change::Resume {
        start(&mut tx, organization, id).await?;
    }
    commit(tx, OPERATION).await?;
    Ok(Ok(()))
}

/// Asks for the workflows of recoveries that should go on and do not: lost with Temporal's data, or never
/// started. One that runs already is as good.
pub async fn restart_stalled(db: &Database) -> Result<(), StoreError> {
    const OPERATION: &str = "recoveries.restart_stalled";
    let mut tx = db.dispatch().await?;
    let stalled = query!(
        "update webhook_recoveries set moved_at = now()
         where state = 'running' and moved_at < now() - interval '2 minutes'
         returning organization_id, id",
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    for row in stalled {
        start(&mut tx, OrganizationId(row.organization_id), RecoveryId(row.id)).await?;
    }
    commit(tx, OPERATION).await
}

async fn start(
    tx: &mut Tx,
    organization_id: OrganizationId,
    recovery_id: RecoveryId,
) -> Result<(), StoreError> {
    let input = serde_json::to_value(RecoverWebhooks { organization_id, recovery_id }).map_err(
        |error| StoreError::new("recoveries.start", Problem::Invalid(error.to_string())),
    )?;
    let workflow = recovery_workflow_id(recovery_id);
    starts::request(tx, organization_id, StartKind::WebhookRecovery, &workflow, input)
        .await
        .map(drop)
}

async fn note(
    tx: &mut Tx,
    organization_id: OrganizationId,
    actor: &Actor,
    id: RecoveryId,
    what: &str,
    after: serde_json::Value,
) -> Result<(), StoreError> {
    let (action, target) = (format!("webhooks.recovery.{what}"), format!("recovery:{id}"));
    let entry = audit::Entry {
        organization_id,
        actor,
        action: &action,
        target: &target,
        before: None,
        after: Some(after),
    };
    audit::record(tx, entry).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_that_are_subscribed_to_and_asked_for_are_recovered() {
        let list = |of: &[&str]| of.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let all = types(&list(&["*"]), &[]);
        assert_eq!(all.len(), EVENT_TYPES.len() - 1, "tests are not recovered");
        let some = types(&list(&["call.failed", "billing.*"]), &[]);
        assert_eq!(some, ["call.failed", "billing.period_closed", "billing.report_failed"]);
        let asked = list(&["call.failed", "call.completed"]);
        assert_eq!(types(&list(&["call.failed", "billing.*"]), &asked), ["call.failed"]);
    }

    #[test]
    fn ids_of_events_are_in_the_order_of_their_time() {
        let before = Utc::now();
        let id = Uuid::now_v7();
        let after = Utc::now() + chrono::TimeDelta::milliseconds(1);
        assert!(first_id(before) <= id && id < first_id(after));
    }
}
