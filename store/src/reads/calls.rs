//! Calls with what belongs on their page.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{CallStatus, Direction, Provider},
    ids::{CallId, OrganizationId},
    steps::StepRecord,
};
use serde::Deserialize;
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::{
    Page, Place,
    call_rows::{Slice, read},
    one_more,
    recordings::Recording,
};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// A call as the API shows it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// Who ran it.
    pub provider: Provider,
    /// The provider's id of it.
    pub provider_call_id: String,
    /// The assistant that talked.
    pub assistant_id: Option<Uuid>,
    /// Who called whom.
    pub direction: Option<Direction>,
    /// Where it stands.
    pub status: CallStatus,
    /// What came of it, by its purpose.
    pub outcome: Option<String>,
    /// The caller's number.
    pub from_number: Option<String>,
    /// The called number.
    pub to_number: Option<String>,
    /// When the talk began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its length in seconds.
    pub duration_seconds: Option<i32>,
    /// Minutes on the ledger; none until the call is processed.
    pub billed_minutes: Option<i32>,
    /// The provider's word for why it ended.
    pub ended_reason: Option<String>,
    /// What the provider charged, in dollars. Six places of `numeric(12,6)` survive an `f64`.
    pub cost_usd: Option<f64>,
    /// The provider's summary.
    pub summary: Option<String>,
    /// What is known of its audio.
    pub recording: Option<Recording>,
    /// What was agreed.
    pub actions: Vec<Action>,
    /// What its workflow did.
    pub steps: Vec<StepRecord>,
    /// What the customer attached.
    pub metadata: Option<Value>,
    /// When it began to exist; its partition.
    pub created_at: DateTime<Utc>,
    /// When the row was last written.
    pub updated_at: DateTime<Utc>,
}

/// Something that was agreed on a call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// What is to be done.
    pub description: String,
    /// Who does it.
    pub owner: Option<String>,
    /// Until when, where an instant was named.
    pub due_at: Option<DateTime<Utc>>,
    /// Until when, as it was said.
    pub due_text: Option<String>,
    /// `open`, `done` or `dismissed`.
    pub status: String,
}

/// Which calls. Always with a range of time, so that partitions are pruned.
#[derive(Debug, Clone)]
pub struct Filter<'a> {
    /// Of this id at the provider.
    pub provider_call_id: Option<&'a str>,
    /// Of this status.
    pub status: Option<CallStatus>,
    /// Of this assistant.
    pub assistant_id: Option<Uuid>,
    /// Created at this instant or later.
    pub from: DateTime<Utc>,
    /// What follows this place.
    pub after: Place,
}

/// A page of calls, newest first.
///
/// A provider's call id is looked up in the unpartitioned keys, which narrow the range to the
/// call's own instant.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    filter: &Filter<'_>,
    limit: u16,
) -> Result<Page<Call>, StoreError> {
    const OPERATION: &str = "reads.calls.page";
    let mut tx = db.tenant(organization).await?;
    let mut slice = Slice {
        ids: None,
        status: filter.status,
        assistant_id: filter.assistant_id,
        from: filter.from,
        after: filter.after,
    };
    if let Some(provider_call_id) = filter.provider_call_id {
        let keys = query!(
            "select call_id, created_at from call_keys
             where organization_id = $1 and provider in ('vapi', 'retell', 'twilio')
               and provider_call_id = $2",
            organization.0,
            provider_call_id,
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let times = || keys.iter().map(|key| key.created_at);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Ok(Page { items: Vec::new(), more: false });
        };
        slice.from = slice.from.max(first);
        slice.after = earlier(slice.after, just_after(last));
        slice.ids = Some(keys.iter().map(|key| key.call_id).collect());
    }
    let rows = read(&mut tx, organization, &slice, one_more(limit)).await?;
    commit(tx, OPERATION).await?;
    Ok(Page::cut(rows, limit))
}

/// One call; none where the organization has no such call.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    id: CallId,
) -> Result<Option<Call>, StoreError> {
    const OPERATION: &str = "reads.calls.get";
    let mut tx = db.tenant(organization).await?;
    let Some(created_at) = created_at(&mut tx, organization, id).await? else { return Ok(None) };
    let slice = Slice {
        ids: Some(vec![id.0]),
        status: None,
        assistant_id: None,
        from: created_at,
        after: just_after(created_at),
    };
    let rows = read(&mut tx, organization, &slice, 1).await?;
    commit(tx, OPERATION).await?;
    Ok(rows.into_iter().next())
}

/// The partition key of a call; none where the organization has no such call.
pub(super) async fn created_at(
    tx: &mut Tx,
    organization: OrganizationId,
    id: CallId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let row = query!(
        "select created_at from call_keys where call_id = $1 and organization_id = $2",
        id.0,
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("reads.calls.created_at")?;
    Ok(row.map(|row| row.created_at))
}

fn just_after(at: DateTime<Utc>) -> Place {
    Place::before(at + TimeDelta::microseconds(1))
}

fn earlier(one: Place, other: Place) -> Place {
    if (one.at, one.id) < (other.at, other.id) { one } else { other }
}
