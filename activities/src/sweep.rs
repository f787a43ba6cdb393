//! Completeness by pull: what webhooks should have told is asked for and put into the inbox.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

mod organization;
mod verdict;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{EventKind, Origin, Provider},
    failure::{INVALID, UNAVAILABLE},
    ids::OrganizationId,
    sweep::{
        AbandonedClosed, CallsSwept, CloseAbandoned, ListOrganizations, OrganizationsPage,
        SweepOrganization,
    },
};
use providers::{
    calls_api::lost_call,
    error::ProviderError,
    http::SetupError,
    incoming::{self, Incoming, Unreadable},
};
use serde_json::json;
use store::{
    Database, StoreError,
    inbox::{self, Appended, Fate, NewEvent},
    sealing::Sealer,
    signals::Teller,
    sweeps::{self, OpenCall},
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    failure::{failure, of_provider, of_store},
    heartbeat::beating,
};

/// Organizations of one page: as many as keep its payload under 4 KB.
const ORGANIZATIONS_PER_PAGE: usize = 50;
/// Calls that one `sweep.abandoned` looks at; each may cost a transaction.
const ABANDONED_PER_PAGE: usize = 100;
/// Where the provider was asked within this time, its answer decides which calls are over.
const ASKED_LATELY: TimeDelta = TimeDelta::hours(1);

/// What the sweep needs.
#[derive(Debug, Clone)]
pub struct SweepActivities {
    /// The inbox, and what is known.
    pub db: Database,
    /// Opens the keys of the providers' APIs.
    pub sealer: Sealer,
    /// `VAPI_BASE_URL`.
    pub vapi_base_url: String,
    /// `RETELL_BASE_URL`.
    pub retell_base_url: String,
    /// `TWILIO_BASE_URL`.
    pub twilio_base_url: String,
    /// Wakes the dispatcher.
    pub inbox: Teller,
}

#[activities]
impl SweepActivities {
    /// A page of the organizations that give access to the provider's API.
    #[activity(definition = contract::sweep::OrganizationsActivity)]
    pub async fn organizations(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ListOrganizations,
    ) -> Result<OrganizationsPage, ActivityError> {
        let one_more = i64::try_from(ORGANIZATIONS_PER_PAGE + 1).unwrap_or(i64::MAX);
        let mut organizations =
            sweeps::organizations(&self.db, input.provider, input.after, one_more)
                .await
                .map_err(|error| of_store(&error))?;
        let has_more = organizations.len() > ORGANIZATIONS_PER_PAGE;
        organizations.truncate(ORGANIZATIONS_PER_PAGE);
        Ok(OrganizationsPage { organizations, has_more })
    }

    /// Fetches what one organization's webhooks did not tell. May be repeated: what an attempt
    /// stored before it died is known to the next one.
    #[activity(definition = contract::sweep::OrganizationActivity)]
    pub async fn organization(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SweepOrganization,
    ) -> Result<CallsSwept, ActivityError> {
        beating(&ctx, async {
            match organization::sweep(&self, input, Utc::now()).await {
                Ok(swept) => Ok(swept),
                Err(failed) => {
                    self.note(input, failed.class).await;
                    Err(failed.failure)
                }
            }
        })
        .await
    }

    /// Closes a page of the calls of any organization that nobody tells the end of.
    #[activity(definition = contract::sweep::AbandonedActivity)]
    pub async fn abandoned(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: CloseAbandoned,
    ) -> Result<AbandonedClosed, ActivityError> {
        self.close_abandoned(input, Utc::now()).await.map_err(|error| of_store(&error))
    }
}

impl SweepActivities {
    fn base_url(&self, provider: Provider) -> &str {
        match provider {
            Provider::Vapi => &self.vapi_base_url,
            Provider::Retell => &self.retell_base_url,
            Provider::Twilio => &self.twilio_base_url,
        }
    }

    /// Best effort: the failure itself is in the workflow's history.
    async fn note(&self, input: SweepOrganization, class: &str) {
        let SweepOrganization { organization_id, provider, .. } = input;
        tracing::warn!(organization = %organization_id, %provider, class, "a sweep failed");
        if let Err(error) = sweeps::failed(&self.db, organization_id, provider, class).await {
            tracing::warn!(error = error.operation_failed(), "its failure could not be noted");
        }
    }

    async fn close_abandoned(
        &self,
        input: CloseAbandoned,
        now: DateTime<Utc>,
    ) -> Result<AbandonedClosed, StoreError> {
        let CloseAbandoned { provider, after, timing } = input;
        let before = now - TimeDelta::seconds(timing.abandoned_seconds.into());
        let limit = i64::try_from(ABANDONED_PER_PAGE).unwrap_or(i64::MAX);
        let open = sweeps::unfinished(&self.db, provider, before, after, limit).await?;
        let is_full = open.len() >= ABANDONED_PER_PAGE;
        let next = open.last().map(|call| call.place).filter(|_| is_full);
        let mut owners: BTreeMap<OrganizationId, Vec<OpenCall>> = BTreeMap::new();
        for call in open {
            owners.entry(call.organization_id).or_default().push(call);
        }
        let mut closed = 0;
        for (organization, calls) in owners {
            if sweeps::worked_since(&self.db, organization, provider, now - ASKED_LATELY).await? {
                continue;
            }
            let ids: Vec<_> = calls.iter().map(|call| call.place.call_id).collect();
            let known = sweeps::known(&self.db, organization, &ids).await?;
            for call in calls {
                let told = known.get(&call.place.call_id);
                if told.is_some_and(|known| known.ended || known.report) {
                    continue;
                }
                let id = &call.provider_call_id;
                closed += u32::from(self.close(organization, provider, id, now).await?);
            }
        }
        Ok(AbandonedClosed { closed, next })
    }

    /// Ends a call whose end nobody tells. False where it was done before.
    async fn close(
        &self,
        organization: OrganizationId,
        provider: Provider,
        provider_call_id: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let body = lost_call(provider_call_id);
        let read = incoming::read(provider, Origin::Sweep, &body, now);
        let event = stored_form(organization, provider, provider_call_id, body, &read, now);
        let is_new = self.append(&event).await?;
        if is_new {
            metrics::counter!("postcall_sweep_closed_total", "provider" => provider.as_str())
                .increment(1);
        }
        Ok(is_new)
    }

    /// Stores an event that no webhook told of. False where it was stored before.
    async fn append(&self, event: &NewEvent) -> Result<bool, StoreError> {
        let is_new = matches!(inbox::append(&self.db, event).await?, Appended::New(_));
        if is_new {
            self.inbox.tell();
        }
        Ok(is_new)
    }
}

/// What the sweep stores of a fetched body. One that cannot be read is parked once per call: it
/// stays for people to look at, and for a release that can read it.
fn stored_form(
    organization_id: OrganizationId,
    provider: Provider,
    provider_call_id: &str,
    body: Bytes,
    read: &Result<Incoming, Unreadable>,
    now: DateTime<Utc>,
) -> NewEvent {
    let (event_key, event_kind, call, fate) = match read {
        Ok(incoming) => {
            let life = incoming.event.kind;
            let fate = match life {
                EventKind::Other | EventKind::Message => Fate::Keep,
                _ => Fate::Dispatch { life, call_status: incoming.event.facts.status },
            };
            let call = incoming.provider_call_id.clone();
            (incoming.event_key.clone(), incoming.message_type.clone(), call, fate)
        }
        Err(unreadable) => {
            let key = format!("{provider_call_id}/sweep/unreadable");
            let call = Some(provider_call_id.to_owned());
            (key, "unreadable".to_owned(), call, Fate::Park { reason: unreadable.to_string() })
        }
    };
    NewEvent {
        organization_id,
        provider,
        event_key,
        event_kind,
        provider_call_id: call,
        notification_id: None,
        headers: json!({}),
        body,
        origin: Origin::Sweep,
        received_at: Some(now),
        fate,
    }
}

/// A failed sweep of one organization: its class for `provider_sweeps`, and the failure.
struct Failed {
    class: &'static str,
    failure: ActivityError,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        let class = if error.can_retry() { UNAVAILABLE } else { INVALID };
        Self { class, failure: of_store(&error) }
    }
}

impl From<ProviderError> for Failed {
    fn from(error: ProviderError) -> Self {
        Self { class: error.class(), failure: of_provider(&error) }
    }
}

impl From<SetupError> for Failed {
    fn from(error: SetupError) -> Self {
        Self { class: INVALID, failure: failure(INVALID, error.to_string(), false, None) }
    }
}
