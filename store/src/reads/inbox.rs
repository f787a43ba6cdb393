//! Stored events as people look at them, and what webhooks failed to tell.

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind, Origin, Provider},
    ids::{CallId, InboxId, OrganizationId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::{Page, Place, one_more};
use crate::{
    Database, StoreError,
    calls::word,
    database::commit,
    error::{During, Problem},
};

/// Where a stored event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The dispatcher has it before it, or a workflow is at work on it.
    Received,
    /// What it says is in the rows; nothing is left to do.
    Processed,
    /// Nobody could use it: kept for people to look at.
    Parked,
    /// Somebody decided that nothing follows from it.
    Discarded,
}

impl Status {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Received, Self::Processed, Self::Parked, Self::Discarded];

    /// The literal of the database and of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processed => "processed",
            Self::Parked => "parked",
            Self::Discarded => "discarded",
        }
    }

    pub(crate) fn read(operation: &'static str, text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| {
            let rule = format!("{text:?} is no status of the inbox");
            StoreError::new(operation, Problem::Invalid(rule))
        })
    }
}

/// A stored event without its body.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its id.
    pub id: InboxId,
    /// Who sent it. A text, for the inbox also keeps events of others than those who run calls.
    pub provider: String,
    /// What makes two deliveries the same event.
    pub event_key: String,
    /// The provider's name of the event.
    pub event_kind: String,
    /// The provider's id of the call.
    pub provider_call_id: Option<String>,
    /// The call.
    pub call_id: Option<CallId>,
    /// What it says of the life of its call.
    pub life: EventKind,
    /// How it came.
    pub origin: Origin,
    /// Where it stands.
    pub status: Status,
    /// Why nobody could use it.
    pub parked_reason: Option<String>,
    /// Deliveries under the same key with another body.
    pub conflicts: i32,
    /// Size of the body in bytes; none once it aged out.
    pub body_bytes: Option<i32>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub processed_at: Option<DateTime<Utc>>,
}

/// Which events. Always with a range of time.
#[derive(Debug, Clone)]
pub struct Filter<'a> {
    /// Of this status.
    pub status: Option<Status>,
    /// Of this provider.
    pub provider: Option<Provider>,
    /// That the provider calls this.
    pub event_kind: Option<&'a str>,
    /// That came this way.
    pub origin: Option<Origin>,
    /// Of the call with this id at its provider.
    pub provider_call_id: Option<&'a str>,
    /// Of this call.
    pub call_id: Option<CallId>,
    /// Received at this instant or later.
    pub from: DateTime<Utc>,
    /// What follows this place.
    pub after: Place,
}

impl Filter<'_> {
    /// The calls that it names: a provider's id is looked up by the ids that are derived from it,
    /// which the index knows.
    fn calls(&self, organization: OrganizationId) -> Option<Vec<Uuid>> {
        let named = self.provider_call_id.map(|id| {
            let derive = |provider: &Provider| CallId::derive(organization, *provider, id).0;
            Provider::ALL.iter().map(derive).collect::<Vec<_>>()
        });
        match (self.call_id, named) {
            (None, named) => named,
            (Some(call), None) => Some(vec![call.0]),
            (Some(call), Some(named)) => {
                Some(named.into_iter().filter(|one| *one == call.0).collect())
            }
        }
    }
}

/// A page of an organization's events, newest first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    filter: &Filter<'_>,
    limit: u16,
) -> Result<Page<Summary>, StoreError> {
    const OPERATION: &str = "reads.inbox.page";
    let calls = filter.calls(organization);
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        "select id, provider, event_key, event_kind, provider_call_id, call_id, life, origin,
             status, parked_reason, conflicts, octet_length(body) as body_bytes, received_at,
             processed_at
         from inbox
         where organization_id = $1 and received_at >= $2 and received_at <= $3
           and (received_at, id) < ($3, $4)
           and ($5::text is null or status = $5)
           and ($6::text is null or provider = $6)
           and ($7::text is null or event_kind = $7)
           and ($8::text is null or origin = $8)
           and ($9::uuid[] is null or call_id = any($9))
         order by received_at desc, id desc limit $10",
        organization.0,
        filter.from,
        filter.after.at,
        filter.after.id,
        filter.status.map(Status::as_str),
        filter.provider.map(Provider::as_str),
        filter.event_kind,
        filter.origin.map(Origin::as_str),
        calls.as_deref(),
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let events = rows.into_iter().map(|row| {
        Ok(Summary {
            id: InboxId(row.id),
            provider: row.provider,
            event_key: row.event_key,
            event_kind: row.event_kind,
            provider_call_id: row.provider_call_id,
            call_id: row.call_id.map(CallId),
            life: word(OPERATION, &row.life)?,
            origin: word(OPERATION, &row.origin)?,
            status: Status::read(OPERATION, &row.status)?,
            parked_reason: row.parked_reason,
            conflicts: row.conflicts,
            body_bytes: row.body_bytes,
            received_at: row.received_at,
            processed_at: row.processed_at,
        })
    });
    Ok(Page::cut(events.collect::<Result<_, StoreError>>()?, limit))
}

/// A stored event with everything that is known of it.
#[derive(Debug, Clone)]
pub struct Event {
    /// What the list shows of it.
    pub summary: Summary,
    /// The status of the call that it tells.
    pub call_status: Option<CallStatus>,
    /// The text message that it is about.
    pub notification_id: Option<Uuid>,
    /// Headers that were kept, without secrets.
    pub headers: Value,
    /// The body as received; none once it aged out.
    pub body: Option<Vec<u8>>,
    /// SHA-256 of the body.
    pub body_sha256: Vec<u8>,
    /// How often the dispatcher took it.
    pub dispatches: i32,
    /// When the dispatcher takes it (again); none where nothing is left to do.
    pub dispatch_after: Option<DateTime<Utc>>,
    /// When its call's rows had what it says.
    pub folded_at: Option<DateTime<Utc>>,
}

/// One event; none where the organization has no such event.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    id: InboxId,
) -> Result<Option<Event>, StoreError> {
    const OPERATION: &str = "reads.inbox.get";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select id, provider, event_key, event_kind, provider_call_id, call_id, notification_id,
             life, call_status, headers, body, body_sha256, octet_length(body) as body_bytes,
             origin, status, parked_reason, conflicts, dispatches, dispatch_after, received_at,
             folded_at, processed_at
         from inbox where id = $1 and organization_id = $2",
        id.0,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let Some(row) = row else { return Ok(None) };
    let summary = Summary {
        id: InboxId(row.id),
        provider: row.provider,
        event_key: row.event_key,
        event_kind: row.event_kind,
        provider_call_id: row.provider_call_id,
        call_id: row.call_id.map(CallId),
        life: word(OPERATION, &row.life)?,
        origin: word(OPERATION, &row.origin)?,
        status: Status::read(OPERATION, &row.status)?,
        parked_reason: row.parked_reason,
        conflicts: row.conflicts,
        body_bytes: row.body_bytes,
        received_at: row.received_at,
        processed_at: row.processed_at,
    };
    Ok(Some(Event {
        summary,
        call_status: row.call_status.map(|text| word(OPERATION, &text)).transpose()?,
        notification_id: row.notification_id,
        headers: row.headers,
        body: row.body,
        body_sha256: row.body_sha256,
        dispatches: row.dispatches,
        dispatch_after: row.dispatch_after,
        folded_at: row.folded_at,
    }))
}

/// An event that the provider's API told and no webhook.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The stored event.
    pub id: InboxId,
    /// The call.
    pub call_id: Option<CallId>,
    /// Whose webhook did not come.
    pub provider: String,
    /// The provider's id of the call.
    pub provider_call_id: Option<String>,
    /// What was found.
    pub event_kind: String,
    /// When it was found.
    pub found_at: DateTime<Utc>,
    /// Kinds of the call's events that webhooks had told before, each once, by name.
    pub known_before: Vec<String>,
    /// Whether a webhook of the call came afterwards.
    pub webhook_came_later: bool,
}

/// Which gaps.
#[derive(Debug, Clone, Copy)]
pub struct GapFilter {
    /// Of this provider.
    pub provider: Option<Provider>,
    /// Found at this instant or later.
    pub from: DateTime<Utc>,
    /// What follows this place.
    pub after: Place,
}

/// A page of what only the sweep told, newest first.
///
/// The page is cut before its calls' other events are looked up.
pub async fn gaps(
    db: &Database,
    organization: OrganizationId,
    filter: GapFilter,
    limit: u16,
) -> Result<Page<Gap>, StoreError> {
    const OPERATION: &str = "reads.inbox.gaps";
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        r#"select s.id, s.call_id, s.provider, s.provider_call_id, s.event_kind, s.received_at,
             coalesce((select array_agg(distinct w.event_kind) from inbox w
                 where w.call_id = s.call_id and w.organization_id = $1 and w.origin <> 'sweep'
                   and w.received_at < s.received_at), '{}') as "known_before!",
             exists (select from inbox w
                 where w.call_id = s.call_id and w.organization_id = $1 and w.origin <> 'sweep'
                   and w.received_at >= s.received_at) as "came_later!"
         from (select id, call_id, provider, provider_call_id, event_kind, received_at
               from inbox
               where organization_id = $1 and origin = 'sweep'
                 and received_at >= $2 and received_at <= $3 and (received_at, id) < ($3, $4)
                 and ($5::text is null or provider = $5)
               order by received_at desc, id desc limit $6) s
         order by s.received_at desc, s.id desc"#,
        organization.0,
        filter.from,
        filter.after.at,
        filter.after.id,
        filter.provider.map(Provider::as_str),
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let gaps = rows.into_iter().map(|row| Gap {
        id: InboxId(row.id),
        call_id: row.call_id.map(CallId),
        provider: row.provider,
        provider_call_id: row.provider_call_id,
        event_kind: row.event_kind,
        found_at: row.received_at,
        known_before: row.known_before,
        webhook_came_later: row.came_later,
    });
    Ok(Page::cut(gaps.collect(), limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(provider_call_id: Option<&str>, call_id: Option<CallId>) -> Filter<'_> {
        Filter {
            status: None,
            provider: None,
            event_kind: None,
            origin: None,
            provider_call_id,
            call_id,
            from: DateTime::UNIX_EPOCH,
            after: Place::before(DateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_providers_id_stands_for_the_calls_it_may_be() {
        let organization = OrganizationId(Uuid::from_u128(1));
        let call = CallId::derive(organization, Provider::Retell, "call_1");
        assert_eq!(filter(None, None).calls(organization), None);
        let named = filter(Some("call_1"), None).calls(organization).unwrap_or_default();
        assert_eq!(named.len(), Provider::ALL.len());
        assert!(named.contains(&call.0));
        let both = |id| filter(Some(id), Some(call)).calls(organization);
        assert_eq!(both("call_1"), Some(vec![call.0]));
        // Two names for different calls: no call, rather than either.
        assert_eq!(both("call_2"), Some(Vec::new()));
    }

    #[test]
    fn statuses_are_the_literals_of_the_schema() {
        for status in Status::ALL {
            assert_eq!(Status::read("test", status.as_str()).ok(), Some(status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        assert!(Status::read("test", "done").is_err());
    }
}
