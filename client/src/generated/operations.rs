//! What can be asked for.
//!
//! Made from `openapi.json` by `cargo run -p client-generator`: change that, not this.

use reqwest::StatusCode;
use uuid::Uuid;

use crate::{
    call::Call,
    client::Client,
    download::Download,
    events::StreamEvent,
    models,
    page::Page,
    query::Text,
    request::{Request, mode},
};

/// Operations on API keys.
impl Client {
    /// List API keys
    ///
    /// Newest first, with what each may do and how much it was used, and never the key itself.
    ///
    /// `GET /v1/api-keys`
    pub fn list_api_keys(
        &self,
        query: models::ListApiKeysQuery,
    ) -> Request<Page<models::ApiKey>, mode::Pages> {
        let call = Call::new(self, "GET /v1/api-keys", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Create an API key
    ///
    /// The key is in the answer, and is never told again. It may do no more than whoever makes it.
    ///
    /// `POST /v1/api-keys`
    pub fn create_api_key(
        &self,
        body: &models::CreateApiKey,
    ) -> Request<models::ApiKeyWithKey, mode::Post> {
        let call = Call::new(self, "POST /v1/api-keys", vec![]);
        Request::new(call.body(body))
    }

    /// Show an API key
    ///
    /// With its requests on each of the last 30 days, in UTC. Counts are written once a second.
    ///
    /// `GET /v1/api-keys/{id}`
    pub fn get_api_key(&self, id: Uuid) -> Request<models::ApiKeyWithUsage, mode::Read> {
        let call = Call::new(self, "GET /v1/api-keys/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Revoke an API key
    ///
    /// It is refused from now on, everywhere, and so is the one that it replaced. Nothing brings it
    /// back.
    ///
    /// `DELETE /v1/api-keys/{id}`
    pub fn revoke_api_key(&self, id: Uuid) -> Request<(), mode::Change> {
        let call = Call::new(self, "DELETE /v1/api-keys/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Change an API key
    ///
    /// What is not given stays as it is; null puts back the default. In force at once, everywhere.
    /// With `If-Match` only where nobody changed the key since it had that `ETag`.
    ///
    /// `PATCH /v1/api-keys/{id}`
    pub fn update_api_key(
        &self,
        id: Uuid,
        body: &models::UpdateApiKey,
    ) -> Request<models::ApiKey, mode::Guarded> {
        let call = Call::new(self, "PATCH /v1/api-keys/{id}", vec![id.text()]);
        Request::new(call.body(body))
    }

    /// Rotate an API key
    ///
    /// The new key is in the answer, and is never told again. Scopes, limits and counts stay. The
    /// key before it works beside it for `overlap_seconds`, an even older one no more.
    ///
    /// `POST /v1/api-keys/{id}/rotate`
    pub fn rotate_api_key(
        &self,
        id: Uuid,
        body: Option<&models::RotateApiKey>,
    ) -> Request<models::ApiKeyWithKey, mode::Post> {
        let call = Call::new(self, "POST /v1/api-keys/{id}/rotate", vec![id.text()]);
        Request::new(call.maybe_body(body))
    }
}

/// Operations on assistants.
impl Client {
    /// List assistants
    ///
    /// Newest first, without those that were deleted.
    ///
    /// `GET /v1/assistants`
    pub fn list_assistants(
        &self,
        query: models::ListAssistantsQuery,
    ) -> Request<Page<models::Assistant>, mode::Pages> {
        let call = Call::new(self, "GET /v1/assistants", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Create an assistant
    ///
    /// From scratch, or from a template: then its configuration is the template's, with the members
    /// that are given in place of the template's own.
    ///
    /// `POST /v1/assistants`
    pub fn create_assistant(
        &self,
        body: &models::CreateAssistant,
    ) -> Request<models::Assistant, mode::Post> {
        let call = Call::new(self, "POST /v1/assistants", vec![]);
        Request::new(call.body(body))
    }

    /// Show an assistant
    ///
    /// With its whole configuration. The ETag is good for If-Match.
    ///
    /// `GET /v1/assistants/{id}`
    pub fn get_assistant(&self, id: Uuid) -> Request<models::Assistant, mode::Read> {
        let call = Call::new(self, "GET /v1/assistants/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Delete an assistant
    ///
    /// Its phone numbers are nobody's then. Calls go on to name it.
    ///
    /// `DELETE /v1/assistants/{id}`
    pub fn delete_assistant(&self, id: Uuid) -> Request<(), mode::Guarded> {
        let call = Call::new(self, "DELETE /v1/assistants/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Change an assistant
    ///
    /// What is not given stays as it is. The configuration is replaced as a whole: read it, change
    /// it, and send it back with its `ETag` in `If-Match`.
    ///
    /// `PATCH /v1/assistants/{id}`
    pub fn update_assistant(
        &self,
        id: Uuid,
        body: &models::UpdateAssistant,
    ) -> Request<models::Assistant, mode::Guarded> {
        let call = Call::new(self, "PATCH /v1/assistants/{id}", vec![id.text()]);
        Request::new(call.body(body))
    }
}

/// Operations on audit log.
impl Client {
    /// List changes
    ///
    /// Every change of the organization by people, newest first: who made it, from where, and what
    /// it was before and after. Secrets and personal data are left out.
    ///
    /// `GET /v1/audit-log`
    pub fn list_audit_log(
        &self,
        query: models::ListAuditLogQuery,
    ) -> Request<Page<models::AuditEntry>, mode::Pages> {
        let call = Call::new(self, "GET /v1/audit-log", vec![]);
        Request::new(call.query(query.pairs()))
    }
}

/// Operations on billing.
impl Client {
    /// List the history of billing
    ///
    /// What happened to periods and reports, newest first: opened, frozen, reported, closed.
    ///
    /// `GET /v1/billing/events`
    pub fn list_billing_events(
        &self,
        query: models::ListBillingEventsQuery,
    ) -> Request<Page<models::BillingEvent>, mode::Pages> {
        let call = Call::new(self, "GET /v1/billing/events", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// List billing periods
    ///
    /// Newest first, each with what it includes, what was used and what Stripe was told.
    ///
    /// `GET /v1/billing/periods`
    pub fn list_billing_periods(
        &self,
        query: models::ListBillingPeriodsQuery,
    ) -> Request<Page<models::BillingPeriod>, mode::Pages> {
        let call = Call::new(self, "GET /v1/billing/periods", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Show what closing now would bill
    ///
    /// What the current period has come to so far; closing it bills the same by the same rules.
    ///
    /// `GET /v1/billing/preview`
    pub fn get_billing_preview(&self) -> Request<models::BillingPreview, mode::Read> {
        let call = Call::new(self, "GET /v1/billing/preview", vec![]);
        Request::new(call)
    }
}

/// Operations on calls.
impl Client {
    /// List calls
    ///
    /// Newest first, of the last 7 days where no time is given.
    ///
    /// `GET /v1/calls`
    pub fn list_calls(
        &self,
        query: models::ListCallsQuery,
    ) -> Request<Page<models::Call>, mode::Pages> {
        let call = Call::new(self, "GET /v1/calls", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Show a call
    ///
    /// With its steps, what was agreed, and where its recording is. The transcript has a route of
    /// its own.
    ///
    /// `GET /v1/calls/{id}`
    pub fn get_call(&self, id: Uuid) -> Request<models::Call, mode::Read> {
        let call = Call::new(self, "GET /v1/calls/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Download a call's recording
    ///
    /// The audio as the provider gave it, streamed from storage. 404 until it is stored.
    ///
    /// `GET /v1/calls/{id}/recording`
    pub fn get_call_recording(&self, id: Uuid) -> Request<Download, mode::Bytes> {
        let call = Call::new(self, "GET /v1/calls/{id}/recording", vec![id.text()]);
        Request::new(call.accept("audio/*"))
    }

    /// List a call's extraction results
    ///
    /// What each extractor found, newest first, in the schema of the extractor; at most 100.
    ///
    /// `GET /v1/calls/{id}/results`
    pub fn list_call_results(&self, id: Uuid) -> Request<models::CallResults, mode::Rows> {
        let call = Call::new(self, "GET /v1/calls/{id}/results", vec![id.text()]);
        Request::new(call)
    }

    /// Show a call's timeline
    ///
    /// Every row about the call at every instant that it tells of, oldest first: what the provider
    /// told, what was made of it, what was sent to whom and what came of it, what was counted, and
    /// what was reported of the periods that count it. Without the scopes `inbox:read`,
    /// `webhooks:read`, `usage:read`, `billing:read` and `audit-log:read` the rows of those kinds
    /// are left out. An entry of a row without a clock of its own comes again later where the call
    /// changes while pages are read.
    ///
    /// `GET /v1/calls/{id}/timeline`
    pub fn list_call_timeline(
        &self,
        id: Uuid,
        query: models::ListCallTimelineQuery,
    ) -> Request<Page<models::TimelineEntry>, mode::Pages> {
        let call = Call::new(self, "GET /v1/calls/{id}/timeline", vec![id.text()]);
        Request::new(call.query(query.pairs()))
    }

    /// Show a call's transcript
    ///
    /// The whole text, and who said what when as far as the provider tells.
    ///
    /// `GET /v1/calls/{id}/transcript`
    pub fn get_call_transcript(&self, id: Uuid) -> Request<models::Transcript, mode::Read> {
        let call = Call::new(self, "GET /v1/calls/{id}/transcript", vec![id.text()]);
        Request::new(call)
    }

    /// Search transcripts
    ///
    /// Full-text search, best match first, of the last 30 days where no time is given. Of more than
    /// 5,000 matches in the range the newest are ranked.
    ///
    /// `GET /v1/search/transcripts`
    pub fn search_transcripts(
        &self,
        query: models::SearchTranscriptsQuery,
    ) -> Request<Page<models::Match>, mode::Pages> {
        let call = Call::new(self, "GET /v1/search/transcripts", vec![]);
        Request::new(call.query(query.pairs()))
    }
}

/// Operations on dashboard.
impl Client {
    /// Show the dashboard
    ///
    /// Settings, today, the last calls and the active assistants in one answer. What is older than
    /// it seems: a call's end shows at once, its beginning within 10 seconds.
    ///
    /// `GET /v1/dashboard`
    pub fn get_dashboard(&self) -> Request<models::Dashboard, mode::Read> {
        let call = Call::new(self, "GET /v1/dashboard", vec![]);
        Request::new(call)
    }
}

/// Operations on events.
impl Client {
    /// List types of events
    ///
    /// All that endpoints can subscribe to, with the JSON Schema and an example of each. Any key
    /// may ask.
    ///
    /// `GET /v1/event-types`
    pub fn list_event_types(&self) -> Request<models::EventTypesList, mode::Rows> {
        let call = Call::new(self, "GET /v1/event-types", vec![]);
        Request::new(call)
    }

    /// Show a type of event
    ///
    /// Its JSON Schema, an example, and what is left of it for endpoints that want it thin.
    ///
    /// `GET /v1/event-types/{type}`
    pub fn get_event_type(&self, r#type: &str) -> Request<models::EventType, mode::Read> {
        let call = Call::new(self, "GET /v1/event-types/{type}", vec![r#type.to_owned()]);
        Request::new(call)
    }

    /// Stream events
    ///
    /// Server-sent events: `id` is the event's id, `event` its type, `data` its JSON. Begins after
    /// the event that `Last-Event-ID` names, or with what happens from now on; the first frame has
    /// no event and says after which one it begins.
    ///
    /// `GET /v1/events`
    pub fn stream_events(&self) -> Request<StreamEvent, mode::Live> {
        let call = Call::new(self, "GET /v1/events", vec![]);
        Request::new(call)
    }
}

/// Operations on inbox.
impl Client {
    /// List stored events
    ///
    /// What providers sent, newest first, of the last 7 days where no time is given; without
    /// bodies.
    ///
    /// `GET /v1/inbox`
    pub fn list_inbox(
        &self,
        query: models::ListInboxQuery,
    ) -> Request<Page<models::InboxEvent>, mode::Pages> {
        let call = Call::new(self, "GET /v1/inbox", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// List gaps
    ///
    /// What webhooks failed to tell: events that only the sweep of the provider's API found. Newest
    /// first, of the last 7 days where no time is given.
    ///
    /// `GET /v1/inbox/gaps`
    pub fn list_inbox_gaps(
        &self,
        query: models::ListInboxGapsQuery,
    ) -> Request<Page<models::Gap>, mode::Pages> {
        let call = Call::new(self, "GET /v1/inbox/gaps", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Replay events by filter
    ///
    /// One batch, oldest first; `next_cursor` leads to the next. Each event is met once, however
    /// often it is processed meanwhile.
    ///
    /// `POST /v1/inbox/replay`
    pub fn replay_inbox(
        &self,
        body: &models::ReplayRequest,
    ) -> Request<models::ReplayBatch, mode::Post> {
        let call = Call::new(self, "POST /v1/inbox/replay", vec![]);
        Request::new(call.body(body))
    }

    /// Show a stored event
    ///
    /// With its headers and its body, as long as that is kept.
    ///
    /// `GET /v1/inbox/{id}`
    pub fn get_inbox_event(
        &self,
        id: Uuid,
        query: models::GetInboxEventQuery,
    ) -> Request<models::InboxEventWithBody, mode::Read> {
        let call = Call::new(self, "GET /v1/inbox/{id}", vec![id.text()]);
        Request::new(call.query(query.pairs()))
    }

    /// Discard an event
    ///
    /// Nothing follows from it; it stays stored, and a replay takes this back. Only parked events
    /// can be discarded: any other is at work, or had its effect.
    ///
    /// `POST /v1/inbox/{id}/discard`
    pub fn discard_inbox_event(&self, id: Uuid) -> Request<models::DiscardedEvent, mode::Post> {
        let call = Call::new(self, "POST /v1/inbox/{id}/discard", vec![id.text()]);
        Request::new(call)
    }

    /// Replay an event
    ///
    /// Has it read once more, as if it had just come. What it said before has no second effect.
    ///
    /// `POST /v1/inbox/{id}/replay`
    pub fn replay_inbox_event(&self, id: Uuid) -> Request<models::ReplayedEvent, mode::Post> {
        let call = Call::new(self, "POST /v1/inbox/{id}/replay", vec![id.text()]);
        Request::new(call)
    }
}

/// Operations on members.
impl Client {
    /// List members
    ///
    /// Newest first, with the role of each and what is known of the user.
    ///
    /// `GET /v1/members`
    pub fn list_members(
        &self,
        query: models::ListMembersQuery,
    ) -> Request<Page<models::Member>, mode::Pages> {
        let call = Call::new(self, "GET /v1/members", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Add a member
    ///
    /// A user that nobody knows yet is made. One that is known keeps the name that others wrote,
    /// and must be named by the same email address.
    ///
    /// `POST /v1/members`
    pub fn add_member(&self, body: &models::AddMember) -> Request<models::Member, mode::Post> {
        let call = Call::new(self, "POST /v1/members", vec![]);
        Request::new(call.body(body))
    }

    /// Remove a member
    ///
    /// The last owner stays. The user stays known, to a later return and to other organizations.
    ///
    /// `DELETE /v1/members/{id}`
    pub fn remove_member(&self, id: Uuid) -> Request<(), mode::Change> {
        let call = Call::new(self, "DELETE /v1/members/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Change a member's role
    ///
    /// The last owner stays one, and only owners make and unmake owners.
    ///
    /// `PATCH /v1/members/{id}`
    pub fn update_member(
        &self,
        id: Uuid,
        body: &models::ChangeMember,
    ) -> Request<models::Member, mode::Change> {
        let call = Call::new(self, "PATCH /v1/members/{id}", vec![id.text()]);
        Request::new(call.body(body))
    }

    /// Show a user
    ///
    /// Only members of the organization can be seen.
    ///
    /// `GET /v1/users/{id}`
    pub fn get_user(&self, id: Uuid) -> Request<models::User, mode::Read> {
        let call = Call::new(self, "GET /v1/users/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Change a user
    ///
    /// Only the organization that made a user known may change email and name, while the user is a
    /// member.
    ///
    /// `PATCH /v1/users/{id}`
    pub fn update_user(
        &self,
        id: Uuid,
        body: &models::UpdateUser,
    ) -> Request<models::User, mode::Change> {
        let call = Call::new(self, "PATCH /v1/users/{id}", vec![id.text()]);
        Request::new(call.body(body))
    }
}

/// Operations on operations.
impl Client {
    /// Is the process alive?
    ///
    /// It answers as long as the process lives, whatever else is down. For restarts.
    ///
    /// `GET /healthz`
    pub fn healthz(&self) -> Request<models::Alive, mode::Read> {
        let call = Call::new(self, "GET /healthz", vec![]);
        Request::new(call.anonymous())
    }

    /// Can the process serve?
    ///
    /// Whether Postgres answers and has this binary's schema, and what Redis does. For load
    /// balancers.
    ///
    /// `GET /readyz`
    pub fn readyz(&self) -> Request<models::Readiness, mode::Read> {
        let call = Call::new(self, "GET /readyz", vec![]);
        Request::new(call.also(StatusCode::SERVICE_UNAVAILABLE).anonymous())
    }
}

/// Operations on organization.
impl Client {
    /// Show the organization
    ///
    /// With its settings. The ETag is good for If-Match.
    ///
    /// `GET /v1/organization`
    pub fn get_organization(&self) -> Request<models::Organization, mode::Read> {
        let call = Call::new(self, "GET /v1/organization", vec![]);
        Request::new(call)
    }

    /// Change the organization
    ///
    /// What is not given stays as it is, also within `settings`; a list is replaced as a whole.
    /// Another time zone decides which day a call belongs to, also of calls before: days are added
    /// up again over night, closed periods stay as they are. Slug and plan are whoever runs the
    /// installation's to change.
    ///
    /// `PATCH /v1/organization`
    pub fn update_organization(
        &self,
        body: &models::UpdateOrganization,
    ) -> Request<models::Organization, mode::Guarded> {
        let call = Call::new(self, "PATCH /v1/organization", vec![]);
        Request::new(call.body(body))
    }
}

/// Operations on phone numbers.
impl Client {
    /// List phone numbers
    ///
    /// Newest first, without those that were deleted.
    ///
    /// `GET /v1/phone-numbers`
    pub fn list_phone_numbers(
        &self,
        query: models::ListPhoneNumbersQuery,
    ) -> Request<Page<models::PhoneNumber>, mode::Pages> {
        let call = Call::new(self, "GET /v1/phone-numbers", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Create a phone number
    ///
    /// A number at a provider belongs to one organization.
    ///
    /// `POST /v1/phone-numbers`
    pub fn create_phone_number(
        &self,
        body: &models::CreatePhoneNumber,
    ) -> Request<models::PhoneNumber, mode::Post> {
        let call = Call::new(self, "POST /v1/phone-numbers", vec![]);
        Request::new(call.body(body))
    }

    /// Show a phone number
    ///
    /// With the assistant that answers it. The ETag is good for If-Match.
    ///
    /// `GET /v1/phone-numbers/{id}`
    pub fn get_phone_number(&self, id: Uuid) -> Request<models::PhoneNumber, mode::Read> {
        let call = Call::new(self, "GET /v1/phone-numbers/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Delete a phone number
    ///
    /// Calls that came by it stay as they are. From now on it may be another organization's.
    ///
    /// `DELETE /v1/phone-numbers/{id}`
    pub fn delete_phone_number(&self, id: Uuid) -> Request<(), mode::Guarded> {
        let call = Call::new(self, "DELETE /v1/phone-numbers/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Change a phone number
    ///
    /// What is not given stays as it is. Number and provider do not change: delete it, and make
    /// another.
    ///
    /// `PATCH /v1/phone-numbers/{id}`
    pub fn update_phone_number(
        &self,
        id: Uuid,
        body: &models::UpdatePhoneNumber,
    ) -> Request<models::PhoneNumber, mode::Guarded> {
        let call = Call::new(self, "PATCH /v1/phone-numbers/{id}", vec![id.text()]);
        Request::new(call.body(body))
    }
}

/// Operations on provider credentials.
impl Client {
    /// List provider credentials
    ///
    /// Which providers have credentials, their settings, and how far their calls were swept. No
    /// secret is ever told.
    ///
    /// `GET /v1/provider-credentials`
    pub fn list_provider_credentials(
        &self,
    ) -> Request<models::ProviderCredentialsList, mode::Rows> {
        let call = Call::new(self, "GET /v1/provider-credentials", vec![]);
        Request::new(call)
    }

    /// Set provider credentials
    ///
    /// What is not given stays as it is; `secret` is needed where there are no credentials yet. A
    /// new secret is the only one accepted, also after a rotation; rotate to have two accepted for
    /// a while. The secret that is the current one already changes nothing of that.
    ///
    /// `PUT /v1/provider-credentials/{provider}`
    pub fn set_provider_credentials(
        &self,
        provider: models::Provider,
        body: &models::SetProviderCredentials,
    ) -> Request<models::ProviderCredentials, mode::Change> {
        let call = Call::new(self, "PUT /v1/provider-credentials/{provider}", vec![provider.text()]);
        Request::new(call.body(body))
    }

    /// Remove provider credentials
    ///
    /// Webhooks of the provider are refused from then on, unless the installation has a secret for
    /// organizations without one.
    ///
    /// `DELETE /v1/provider-credentials/{provider}`
    pub fn delete_provider_credentials(
        &self,
        provider: models::Provider,
    ) -> Request<(), mode::Change> {
        let call = Call::new(self, "DELETE /v1/provider-credentials/{provider}", vec![provider.text()]);
        Request::new(call)
    }

    /// Remove the key of a provider's API
    ///
    /// The provider's calls are listed and its recordings fetched with the secret from then on;
    /// with Vapi, whose secret opens no API, neither is possible any more.
    ///
    /// `DELETE /v1/provider-credentials/{provider}/api-key`
    pub fn drop_provider_api_key(&self, provider: models::Provider) -> Request<(), mode::Change> {
        let call = Call::new(self, "DELETE /v1/provider-credentials/{provider}/api-key", vec![provider.text()]);
        Request::new(call)
    }

    /// End the overlap of a rotation
    ///
    /// The secret before the current one is accepted no more.
    ///
    /// `DELETE /v1/provider-credentials/{provider}/previous`
    pub fn drop_previous_provider_secret(
        &self,
        provider: models::Provider,
    ) -> Request<(), mode::Change> {
        let call = Call::new(self, "DELETE /v1/provider-credentials/{provider}/previous", vec![provider.text()]);
        Request::new(call)
    }

    /// Rotate a provider's secret
    ///
    /// The new secret is the current one from now on; the one before it is accepted for
    /// `overlap_hours` more, an even older one no more.
    ///
    /// `POST /v1/provider-credentials/{provider}/rotate`
    pub fn rotate_provider_secret(
        &self,
        provider: models::Provider,
        body: &models::RotateProviderCredentials,
    ) -> Request<models::ProviderCredentials, mode::Post> {
        let call = Call::new(self, "POST /v1/provider-credentials/{provider}/rotate", vec![provider.text()]);
        Request::new(call.body(body))
    }

    /// Remove the shared key
    ///
    /// Requests that Twilio signs with it are refused from then on.
    ///
    /// `DELETE /v1/provider-credentials/{provider}/shared-key`
    pub fn drop_provider_shared_key(
        &self,
        provider: models::Provider,
    ) -> Request<(), mode::Change> {
        let call = Call::new(self, "DELETE /v1/provider-credentials/{provider}/shared-key", vec![provider.text()]);
        Request::new(call)
    }
}

/// Operations on templates.
impl Client {
    /// List templates
    ///
    /// In the order of their slugs.
    ///
    /// `GET /v1/templates`
    pub fn list_templates(
        &self,
        query: models::ListTemplatesQuery,
    ) -> Request<Page<models::Template>, mode::Pages> {
        let call = Call::new(self, "GET /v1/templates", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Show a template
    ///
    /// With the configuration that an assistant made from it begins with.
    ///
    /// `GET /v1/templates/{slug}`
    pub fn get_template(&self, slug: &str) -> Request<models::Template, mode::Read> {
        let call = Call::new(self, "GET /v1/templates/{slug}", vec![slug.to_owned()]);
        Request::new(call)
    }
}

/// Operations on usage.
impl Client {
    /// Explain a call's minutes
    ///
    /// What was told of its duration, what was counted, in which periods, when its day was added
    /// up, and whether it is billed.
    ///
    /// `GET /v1/calls/{id}/usage`
    pub fn get_call_usage(&self, id: Uuid) -> Request<models::CallUsage, mode::Read> {
        let call = Call::new(self, "GET /v1/calls/{id}/usage", vec![id.text()]);
        Request::new(call)
    }

    /// List usage by day
    ///
    /// A row for each local day, or for each assistant and day, and the sum of all rows.
    ///
    /// `GET /v1/usage`
    pub fn list_usage(
        &self,
        query: models::ListUsageQuery,
    ) -> Request<models::DaysOfUsage, mode::Rows> {
        let call = Call::new(self, "GET /v1/usage", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Show usage of the current period
    ///
    /// Minutes, seconds and cost of the current period against what the plan includes.
    ///
    /// `GET /v1/usage/current`
    pub fn get_current_usage(&self) -> Request<models::CurrentUsage, mode::Read> {
        let call = Call::new(self, "GET /v1/usage/current", vec![]);
        Request::new(call)
    }

    /// Compare the books
    ///
    /// Calls, ledger, daily usage, totals, statements and Stripe, by day and by period. Equal books
    /// have no row.
    ///
    /// `GET /v1/usage/reconcile`
    pub fn reconcile_usage(
        &self,
        query: models::ReconcileUsageQuery,
    ) -> Request<models::Reconciliation, mode::Rows> {
        let call = Call::new(self, "GET /v1/usage/reconcile", vec![]);
        Request::new(call.query(query.pairs()))
    }
}

/// Operations on webhooks.
impl Client {
    /// List webhook endpoints
    ///
    /// Newest first, each with how it does: last status, failures in a row, circuit.
    ///
    /// `GET /v1/webhooks`
    pub fn list_webhooks(
        &self,
        query: models::ListWebhooksQuery,
    ) -> Request<Page<models::Webhook>, mode::Pages> {
        let call = Call::new(self, "GET /v1/webhooks", vec![]);
        Request::new(call.query(query.pairs()))
    }

    /// Create a webhook endpoint
    ///
    /// Its secret is in the answer, and is never told again.
    ///
    /// `POST /v1/webhooks`
    pub fn create_webhook(
        &self,
        body: &models::CreateWebhook,
    ) -> Request<models::WebhookWithSecret, mode::Post> {
        let call = Call::new(self, "POST /v1/webhooks", vec![]);
        Request::new(call.body(body))
    }

    /// Show a webhook endpoint
    ///
    /// With its health: the circuit, since when it fails, why it is disabled.
    ///
    /// `GET /v1/webhooks/{id}`
    pub fn get_webhook(&self, id: Uuid) -> Request<models::Webhook, mode::Read> {
        let call = Call::new(self, "GET /v1/webhooks/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Delete a webhook endpoint
    ///
    /// Nothing is sent to it any more, also not what waits.
    ///
    /// `DELETE /v1/webhooks/{id}`
    pub fn delete_webhook(&self, id: Uuid) -> Request<(), mode::Change> {
        let call = Call::new(self, "DELETE /v1/webhooks/{id}", vec![id.text()]);
        Request::new(call)
    }

    /// Change a webhook endpoint
    ///
    /// What is not given stays as it is; null puts back the default. With `If-Match` only where
    /// nobody changed the endpoint since it had that `ETag`.
    ///
    /// `PATCH /v1/webhooks/{id}`
    pub fn update_webhook(
        &self,
        id: Uuid,
        body: &models::UpdateWebhook,
    ) -> Request<models::Webhook, mode::Guarded> {
        let call = Call::new(self, "PATCH /v1/webhooks/{id}", vec![id.text()]);
        Request::new(call.body(body))
    }

    /// List deliveries to an endpoint
    ///
    /// Newest first: what became of each event that the endpoint was to be sent.
    ///
    /// `GET /v1/webhooks/{id}/deliveries`
    pub fn list_webhook_deliveries(
        &self,
        id: Uuid,
        query: models::ListWebhookDeliveriesQuery,
    ) -> Request<Page<models::WebhookDelivery>, mode::Pages> {
        let call = Call::new(self, "GET /v1/webhooks/{id}/deliveries", vec![id.text()]);
        Request::new(call.query(query.pairs()))
    }

    /// Resend a delivery
    ///
    /// As if it had never been attempted: the same bytes under the same `webhook-id`, by which a
    /// receiver that had them knows them.
    ///
    /// `POST /v1/webhooks/{id}/deliveries/{delivery_id}/resend`
    pub fn resend_webhook_delivery(
        &self,
        id: Uuid,
        delivery_id: Uuid,
    ) -> Request<models::WebhookDelivery, mode::Post> {
        let call = Call::new(self, "POST /v1/webhooks/{id}/deliveries/{delivery_id}/resend", vec![id.text(), delivery_id.text()]);
        Request::new(call)
    }

    /// List attempts at an endpoint
    ///
    /// And the events that were skipped: those of a disabled endpoint, for one. Kept for 90 days.
    ///
    /// `GET /v1/webhooks/{id}/logs`
    pub fn list_webhook_logs(
        &self,
        id: Uuid,
        query: models::ListWebhookLogsQuery,
    ) -> Request<Page<models::WebhookLog>, mode::Pages> {
        let call = Call::new(self, "GET /v1/webhooks/{id}/logs", vec![id.text()]);
        Request::new(call.query(query.pairs()))
    }

    /// Make deliveries again
    ///
    /// In bulk, as many a second as was asked for: what failed, or what was never sent. The events
    /// keep their ids and their bytes. One recovery of an endpoint at a time.
    ///
    /// `POST /v1/webhooks/{id}/recover`
    pub fn recover_webhook(
        &self,
        id: Uuid,
        body: &models::RecoverRequest,
    ) -> Request<models::RecoveryBegun, mode::Post> {
        let call = Call::new(self, "POST /v1/webhooks/{id}/recover", vec![id.text()]);
        Request::new(call.body(body))
    }

    /// List recoveries of an endpoint
    ///
    /// Newest first, each with how far it is.
    ///
    /// `GET /v1/webhooks/{id}/recoveries`
    pub fn list_webhook_recoveries(
        &self,
        id: Uuid,
        query: models::ListWebhookRecoveriesQuery,
    ) -> Request<Page<models::Recovery>, mode::Pages> {
        let call = Call::new(self, "GET /v1/webhooks/{id}/recoveries", vec![id.text()]);
        Request::new(call.query(query.pairs()))
    }

    /// Show a recovery
    ///
    /// How many deliveries it was counted to have, and how many were begun.
    ///
    /// `GET /v1/webhooks/{id}/recoveries/{recovery_id}`
    pub fn get_webhook_recovery(
        &self,
        id: Uuid,
        recovery_id: Uuid,
    ) -> Request<models::Recovery, mode::Read> {
        let call = Call::new(self, "GET /v1/webhooks/{id}/recoveries/{recovery_id}", vec![id.text(), recovery_id.text()]);
        Request::new(call)
    }

    /// List deliveries of a recovery
    ///
    /// What became of each delivery since the recovery, in the order of the events.
    ///
    /// `GET /v1/webhooks/{id}/recoveries/{recovery_id}/items`
    pub fn list_webhook_recovery_items(
        &self,
        id: Uuid,
        recovery_id: Uuid,
        query: models::ListWebhookRecoveryItemsQuery,
    ) -> Request<Page<models::RecoveryItem>, mode::Pages> {
        let call = Call::new(self, "GET /v1/webhooks/{id}/recoveries/{recovery_id}/items", vec![id.text(), recovery_id.text()]);
        Request::new(call.query(query.pairs()))
    }

    /// Pause, resume or abort a recovery
    ///
    /// A paused one goes on where it was, but not while its endpoint is disabled (409); an aborted
    /// one does not. What was begun is sent, unless the endpoint is disabled.
    ///
    /// `POST /v1/webhooks/{id}/recoveries/{recovery_id}/{change}`
    pub fn change_webhook_recovery(
        &self,
        id: Uuid,
        recovery_id: Uuid,
        change: models::RecoveryChange,
    ) -> Request<models::Recovery, mode::Post> {
        let call = Call::new(self, "POST /v1/webhooks/{id}/recoveries/{recovery_id}/{change}", vec![id.text(), recovery_id.text(), change.text()]);
        Request::new(call)
    }

    /// Rotate an endpoint's secret
    ///
    /// The new secret is in the answer, and is never told again. The one before it signs beside it
    /// for `overlap_seconds`: each message then carries both signatures. An even older one signs no
    /// more.
    ///
    /// `POST /v1/webhooks/{id}/rotate-secret`
    pub fn rotate_webhook_secret(
        &self,
        id: Uuid,
        body: Option<&models::RotateSecret>,
    ) -> Request<models::WebhookWithSecret, mode::Post> {
        let call = Call::new(self, "POST /v1/webhooks/{id}/rotate-secret", vec![id.text()]);
        Request::new(call.maybe_body(body))
    }

    /// Test an endpoint
    ///
    /// Sends one event to this endpoint alone, signed and tried like any other. A failed test is
    /// tried again like any other, too.
    ///
    /// `POST /v1/webhooks/{id}/test`
    pub fn test_webhook(
        &self,
        id: Uuid,
        body: Option<&models::TestRequest>,
    ) -> Request<models::WebhookTest, mode::Post> {
        let call = Call::new(self, "POST /v1/webhooks/{id}/test", vec![id.text()]);
        Request::new(call.maybe_body(body))
    }
}
