//! The Rust client, of every kind of operation.

use std::fmt::Debug;

use futures::TryStreamExt;
use postcall_client::{
    Client, Page, ProblemKind, Request, Row, mode,
    models::{
        BodyForm, CreateApiKey, CreateAssistant, CreateWebhook, GetInboxEventQuery,
        ListApiKeysQuery, ListAssistantsQuery, ListAuditLogQuery, ListBillingEventsQuery,
        ListBillingPeriodsQuery, ListCallTimelineQuery, ListCallsQuery, ListInboxGapsQuery,
        ListInboxQuery, ListMembersQuery, ListPhoneNumbersQuery, ListTemplatesQuery,
        ListUsageQuery, ListWebhookDeliveriesQuery, ListWebhookLogsQuery,
        ListWebhookRecoveriesQuery, ListWebhooksQuery, Provider, RotateSecret,
        SearchTranscriptsQuery, TestRequest, UpdateApiKey, UpdateAssistant, UpdateWebhook,
    },
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use crate::harness::World;

/// Of a list whose rows change while they are read.
const READINGS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_understands_every_kind_of_answer() {
    let world = World::start().await;
    world.call_of_today().await;
    let client = Client::new(&world.api_url, world.demo.api_key.as_str()).unwrap();
    an_assistant_is_made_read_changed_listed_and_deleted(&client).await;
    every_kind_of_answer_is_understood(&client).await;
    every_list_has_the_same_rows_in_every_form(&client).await;
    all_about_a_call_is_understood(&client).await;
    a_key_is_made_used_rotated_and_revoked(&client).await;
    an_endpoint_is_made_tested_changed_and_deleted(&client).await;
}

async fn an_assistant_is_made_read_changed_listed_and_deleted(client: &Client) {
    let new = CreateAssistant::new(Provider::Vapi).name("Client test");
    let new = new.configuration(json!({ "language": "en" }));
    let key = Uuid::new_v4().to_string();
    let made = client.create_assistant(&new).idempotency_key(&key).answer().await.unwrap();
    let again = client.create_assistant(&new).idempotency_key(&key).answer().await.unwrap();
    assert_eq!((made.status, made.is_replayed, again.is_replayed), (201, false, true));
    assert_eq!(made.value, again.value);
    let other = CreateAssistant::new(Provider::Retell).name("Another");
    let error = client.create_assistant(&other).idempotency_key(&key).await.unwrap_err();
    assert_eq!(error.kind(), Some(&ProblemKind::IdempotencyConflict));

    let id = made.value.id;
    let read = client.get_assistant(id).answer().await.unwrap();
    assert_eq!(read.value, made.value);
    let etag = read.etag.unwrap();
    let change = UpdateAssistant::new().name("Client test 2").provider_assistant_id(&key);
    let now = client.update_assistant(id, &change).if_match(&etag).await.unwrap();
    assert_eq!(now.name, "Client test 2");
    let error = client.update_assistant(id, &change).if_match(&etag).await.unwrap_err();
    assert_eq!((error.status(), error.kind()), (Some(412), Some(&ProblemKind::PreconditionFailed)));
    let change = UpdateAssistant::new().clear_provider_assistant_id();
    let now = client.update_assistant(id, &change).if_match(now.version).await.unwrap();
    assert_eq!(now.provider_assistant_id, None);

    let one = client.create_assistant(&new).await.unwrap();
    let listed: Vec<_> = client
        .list_assistants(ListAssistantsQuery::new().limit(1))
        .items()
        .try_collect()
        .await
        .unwrap();
    assert!([id, one.id].iter().all(|id| listed.iter().any(|listed| listed.id == *id)));
    client.delete_assistant(one.id).await.unwrap();
    client.delete_assistant(id).if_match(now.version).await.unwrap();
    let error = client.get_assistant(id).await.unwrap_err();
    assert_eq!((error.status(), error.kind()), (Some(404), Some(&ProblemKind::NotFound)));
}

async fn every_kind_of_answer_is_understood(client: &Client) {
    assert_eq!(client.healthz().await.unwrap().status, "ok");
    client.readyz().await.unwrap();
    let organization = client.get_organization().await.unwrap();
    let dashboard = client.get_dashboard().await.unwrap();
    assert_eq!(dashboard.organization.id, organization.id);
    client.get_current_usage().await.unwrap();
    client.get_billing_preview().await.unwrap();
    assert!(!client.list_event_types().await.unwrap().data.is_empty());
    let list = client.list_templates(ListTemplatesQuery::new().limit(1));
    let templates: Vec<_> = list.items().try_collect().await.unwrap();
    for template in templates.iter().take(1) {
        assert_eq!(client.get_template(&template.slug).await.unwrap(), *template);
    }
    for call in client.list_calls(ListCallsQuery::new().limit(5)).await.unwrap().data {
        assert_eq!(client.get_call(call.id).await.unwrap().id, call.id);
        client.get_call_usage(call.id).await.unwrap();
        client.list_call_results(call.id).await.unwrap();
    }
    let error = client.get_call(Uuid::nil()).await.unwrap_err();
    assert!(error.problem().is_some_and(|problem| problem.instance.is_some()), "{error}");
}

async fn every_list_has_the_same_rows_in_every_form(client: &Client) {
    same(client.list_api_keys(ListApiKeysQuery::new())).await;
    same(client.list_assistants(ListAssistantsQuery::new())).await;
    same(client.list_audit_log(ListAuditLogQuery::new())).await;
    same(client.list_billing_events(ListBillingEventsQuery::new())).await;
    same(client.list_billing_periods(ListBillingPeriodsQuery::new())).await;
    same(client.list_calls(ListCallsQuery::new())).await;
    same(client.list_inbox(ListInboxQuery::new())).await;
    same(client.list_inbox_gaps(ListInboxGapsQuery::new())).await;
    same(client.list_members(ListMembersQuery::new())).await;
    same(client.list_phone_numbers(ListPhoneNumbersQuery::new())).await;
    same(client.list_templates(ListTemplatesQuery::new())).await;
    same(client.list_webhooks(ListWebhooksQuery::new())).await;
    same(client.search_transcripts(SearchTranscriptsQuery::new("table"))).await;
    let days = client.list_usage(ListUsageQuery::new());
    let rows: Vec<_> = days.clone().export().rows().try_collect().await.unwrap();
    let rows: Vec<_> = rows.into_iter().map(|row| row.value).collect();
    assert_eq!(days.await.unwrap().data, rows);
}

/// Pages of one, and the export as JSON lines; of the table, its head.
///
/// Read again where they differ: a row may change in between, as a key does with each use.
async fn same<T>(list: Request<Page<T>, mode::Pages>)
where
    T: Row + DeserializeOwned + Debug + PartialEq + Send + 'static,
{
    for reading in 1..=READINGS {
        let paged: Vec<T> = list.clone().items().try_collect().await.unwrap();
        let rows: Vec<_> = list.clone().export().rows().try_collect().await.unwrap();
        let exported: Vec<T> = rows.into_iter().map(|row| row.value).collect();
        if exported == paged {
            break;
        }
        assert!(reading < READINGS, "{list:?}: {exported:?}, and by pages {paged:?}");
    }
    let mut table = list.csv().await.unwrap().into_stream();
    let head = table.try_next().await.unwrap().unwrap();
    assert!(head.starts_with(T::COLUMNS[0].as_bytes()), "{head:?}");
}

async fn all_about_a_call_is_understood(client: &Client) {
    let mut calls = client.list_calls(ListCallsQuery::new().limit(5)).items();
    let call = calls.try_next().await.unwrap().unwrap();
    same(client.list_call_timeline(call.id, ListCallTimelineQuery::new())).await;
    client.get_call_transcript(call.id).await.unwrap();
    if call.recording.is_some_and(|recording| recording.status == "stored") {
        let audio = client.get_call_recording(call.id).await.unwrap();
        assert!(audio.content_type().is_some());
        let length = audio.content_length().unwrap();
        let bytes = audio.bytes(64 * 1024 * 1024).await.unwrap();
        assert_eq!(u64::try_from(bytes.len()).unwrap(), length);
    }
    let mut inbox = client.list_inbox(ListInboxQuery::new().call_id(call.id)).items();
    let event = inbox.try_next().await.unwrap().unwrap();
    for form in [BodyForm::Readable, BodyForm::Base64] {
        let query = GetInboxEventQuery::new().body(form);
        assert_eq!(client.get_inbox_event(event.id, query).await.unwrap().id, event.id);
    }
    let mut events = client.stream_events().after(Uuid::nil()).stream();
    let event = events.try_next().await.unwrap().unwrap();
    let known = client.get_event_type(&event.event_type).await.unwrap();
    assert_eq!(known.r#type, event.event_type);
}

async fn a_key_is_made_used_rotated_and_revoked(client: &Client) {
    let new = CreateApiKey::new("Client test", ["assistants:read"]).usage_quota(1_000_000);
    let made = client.create_api_key(&new).await.unwrap();
    let other = Client::new(client.base_url(), made.key.clone()).unwrap();
    other.list_assistants(ListAssistantsQuery::new()).await.unwrap();
    let error = other.create_assistant(&CreateAssistant::new(Provider::Vapi)).await.unwrap_err();
    assert_eq!(error.kind(), Some(&ProblemKind::Forbidden));
    let change = UpdateApiKey::new().clear_usage_quota();
    let now = client.update_api_key(made.id, &change).if_match(made.version).await.unwrap();
    assert_eq!(now.usage_quota, None);
    let rotated = client.rotate_api_key(made.id, None).await.unwrap();
    assert_ne!(rotated.key.expose_secret(), made.key.expose_secret());
    client.revoke_api_key(made.id).await.unwrap();
    let error = other.list_assistants(ListAssistantsQuery::new()).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
}

async fn an_endpoint_is_made_tested_changed_and_deleted(client: &Client) {
    let new = CreateWebhook::new("https://example.com/hooks", ["call.*"])
        .headers([("authorization", "Bearer token")])
        .schedule([5, 60]);
    let made = client.create_webhook(&new).await.unwrap();
    assert!(made.secret.expose_secret().starts_with("whsec_"));
    assert_eq!(made.header_names, ["authorization"]);
    let tested =
        client.test_webhook(made.id, Some(&TestRequest::new().wait(false))).answer().await.unwrap();
    assert_eq!(tested.status, 202);
    let rotate = RotateSecret::new().overlap_seconds(0);
    let rotated = client.rotate_webhook_secret(made.id, Some(&rotate)).await.unwrap();
    assert_ne!(rotated.secret.expose_secret(), made.secret.expose_secret());
    let change = UpdateWebhook::new().enabled(false).clear_headers().clear_schedule();
    let now = client.update_webhook(made.id, &change).await.unwrap();
    assert!(!now.enabled && now.header_names.is_empty() && now.schedule.is_none());
    same(client.list_webhook_deliveries(made.id, ListWebhookDeliveriesQuery::new())).await;
    same(client.list_webhook_logs(made.id, ListWebhookLogsQuery::new())).await;
    same(client.list_webhook_recoveries(made.id, ListWebhookRecoveriesQuery::new())).await;
    client.delete_webhook(made.id).await.unwrap();
}
