//! Endpoints changed: what is given replaces, what is not given stays.

use contract::ids::EndpointId;
use secrecy::SecretString;
use sqlx::query;
use uuid::Uuid;

use super::{Changer, DeliveryOrder, Endpoint, change::Change, create::seal_headers};
use crate::{Database, StoreError, assistants::is_live, error::During, sealing::Sealer};

/// What is to change. All of it was checked, but for the assistant; what is none stays as it is.
#[derive(Debug, Default)]
pub struct Changes {
    /// Where events go. Another closes the circuit and forgets failures.
    pub url: Option<String>,
    /// Types and families that it subscribes to.
    pub events: Option<Vec<String>>,
    /// Only calls of this assistant, or of all.
    pub assistant_id: Option<Option<Uuid>>,
    /// The customer's words.
    pub description: Option<String>,
    /// Whether it takes events. True also closes the circuit and forgets failures, and false ends
    /// what is pending.
    pub enabled: Option<bool>,
    /// Most deliveries a second.
    pub rate_limit: Option<Option<i32>>,
    /// What waits for what.
    pub ordering: Option<DeliveryOrder>,
    /// The customer's own headers, all of them; empty for none.
    pub headers: Option<Vec<(String, SecretString)>>,
    /// Ids and links only.
    pub thin: Option<bool>,
    /// Waits between attempts in seconds.
    pub schedule: Option<Option<Vec<i32>>>,
}

/// What came of a change.
#[derive(Debug, Clone)]
pub enum Changed {
    /// The endpoint as it is now.
    Done(Box<Endpoint>),
    /// There is no such endpoint.
    Unknown,
    /// Somebody changed it since: it has another version than was expected.
    Stale,
    /// The organization has no such assistant.
    UnknownAssistant,
}

/// Changes an endpoint, if it still has a version that is `expected`, where some are.
pub async fn update(
    db: &Database,
    sealer: &Sealer,
    changer: &Changer,
    id: EndpointId,
    expected: Option<&[i64]>,
    changes: &Changes,
) -> Result<Changed, StoreError> {
    const OPERATION: &str = "webhooks.update";
    let begun = Change::begin(db, sealer, changer, id, OPERATION).await?;
    let Some(mut change) = begun else { return Ok(Changed::Unknown) };
    if expected.is_some_and(|versions| !versions.contains(&change.before.version)) {
        return Ok(Changed::Stale);
    }
    if let Some(Some(assistant)) = changes.assistant_id
        && !is_live(&mut change.tx, changer.organization, assistant, OPERATION).await?
    {
        return Ok(Changed::UnknownAssistant);
    }
    if changes.enabled == Some(false) {
        change.end_pending().await?;
    }
    let headers = changes.headers.as_deref().unwrap_or_default();
    query!(
        "update webhooks set
             url = coalesce($3, url), events = coalesce($4, events),
             assistant_id = case when $5 then $6 else assistant_id end,
             description = coalesce($7, description),
             rate_limit = case when $8 then $9 else rate_limit end,
             ordering = coalesce($10, ordering),
             headers = case when $11 then $12 else headers end,
             thin = coalesce($13, thin),
             schedule = case when $14 then $15 else schedule end,
             version = version + 1, updated_at = now()
         where id = $1 and organization_id = $2",
        id.0,
        changer.organization.0,
        changes.url.as_deref(),
        changes.events.as_deref(),
        changes.assistant_id.is_some(),
        changes.assistant_id.flatten(),
        changes.description.as_deref(),
        changes.rate_limit.is_some(),
        changes.rate_limit.flatten(),
        changes.ordering.map(DeliveryOrder::as_str),
        changes.headers.is_some(),
        seal_headers(sealer, changer.organization, headers)?,
        changes.thin,
        changes.schedule.is_some(),
        changes.schedule.as_ref().and_then(|schedule| schedule.as_deref()),
    )
    .execute(&mut *change.tx)
    .await
    .during(OPERATION)?;
    if let Some(enabled) = changes.enabled {
        switch(&mut change, enabled, OPERATION).await?;
    }
    if changes.enabled == Some(true)
        || changes.url.as_ref().is_some_and(|url| *url != change.before.url)
    {
        forget_failures(&mut change, OPERATION).await?;
    }
    let after = change.finish().await?;
    Ok(after.map_or(Changed::Unknown, |after| Changed::Done(Box::new(after))))
}

/// Apart from the rest: whether an endpoint takes events is not only for people to say, so what
/// they do not speak of is not written.
async fn switch(
    change: &mut Change<'_>,
    enabled: bool,
    operation: &'static str,
) -> Result<(), StoreError> {
    let id = change.before.id.0;
    let update = if enabled {
        query!(
            "update webhooks set enabled = true, disabled_reason = null, disabled_at = null
             where id = $1",
            id,
        )
    } else {
        // What disabled it before remains the reason.
        query!(
            "update webhooks set enabled = false, disabled_reason = 'by-customer',
                 disabled_at = now()
             where id = $1 and enabled",
            id,
        )
    };
    update.execute(&mut *change.tx).await.map(drop).during(operation)
}

/// Whoever enables it, or says where it is now, has mended it.
async fn forget_failures(
    change: &mut Change<'_>,
    operation: &'static str,
) -> Result<(), StoreError> {
    query!(
        "update webhooks set circuit = 'closed', circuit_probe_at = null, circuit_trips = 0,
             failing_since = null, failing_clock_at = null, failing_warned = 0, retry_count = 0,
             paced_until = null
         where id = $1",
        change.before.id.0,
    )
    .execute(&mut *change.tx)
    .await
    .map(drop)
    .during(operation)
}
