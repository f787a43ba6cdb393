//! Events that only test an endpoint.

use std::time::Duration;

use axum::{Json, http::StatusCode};
use chrono::{TimeDelta, Utc};
use contract::{
    events::{TestData, event_type as known_type},
    ids::{DeliveryId, EndpointId, OrganizationId},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    StoreError,
    endpoints::{self, TestSent, Tested},
    reads::{
        Place,
        webhooks::logs::{self, Filter},
    },
};
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{changer, logs::WebhookLog, unknown};
use crate::api::{
    ApiState,
    auth::Caller,
    body::MaybeBody,
    extract::Id,
    idempotency::Once,
    problem::{Kind, Problem},
};

const TEST: &str = "webhook.test";
/// An attempt takes ten seconds at most, and something may be before it.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks into the log.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(test))
}

/// What to send.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestRequest {
    /// An example of this type, marked `"test": true`, whatever the endpoint subscribes to. Default:
    /// `webhook.test`.
    #[schema(example = "call.completed")]
    event_type: Option<String>,
    /// Whether to wait for the first attempt, up to 15 seconds, and tell what came of it. Nobody waits where the
    /// request has an `Idempotency-Key`.
    wait: Option<bool>,
}

/// A test on its way, or at its end.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookTest {
    /// The event: `webhook-id` of its requests.
    event_id: Uuid,
    /// Its delivery.
    #[schema(value_type = Uuid)]
    delivery_id: DeliveryId,
    /// What came of the first attempt; null where nobody waited for it, also for the sake of an
    /// `Idempotency-Key`, or it took too long.
    attempt: Option<WebhookLog>,
}

/// Test an endpoint
///
/// Sends one event to this endpoint alone, signed and tried like any other. A failed test is tried
/// again like any other, too.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", operation_id = "test_webhook",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "The endpoint")), request_body = Option<TestRequest>,
    responses(
    (status = 200, description = "The first attempt was made", body = WebhookTest),
    (status = 202, description = "The event waits to be sent", body = WebhookTest),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn test(
    caller: Caller,
    Once(api): Once,
    Id(id): Id<EndpointId>,
    MaybeBody(asked): MaybeBody<TestRequest>,
) -> Result<(StatusCode, Json<WebhookTest>), Problem> {
    let changer = changer(&caller)?;
    let event_type = asked.event_type.as_deref().unwrap_or(TEST);
    let data = example(event_type, changer.organization, id).ok_or_else(|| {
        let detail = "is no type of event that happens; see GET /v1/event-types".to_owned();
        Problem::body(vec![("event_type", detail)])
    })?;
    let sent = match endpoints::test(&api.db, &changer, id, event_type, &data).await? {
        Tested::Sent(sent) => sent,
        Tested::Unknown => return Err(unknown()),
        Tested::Disabled => {
            let detail = "The endpoint is disabled: enable it first.";
            return Err(Problem::with_detail(Kind::Conflict, detail));
        }
    };
    api.events.tell();
    let attempt = match asked.wait {
        // What is done once is not committed before it is answered, so nobody attempts it meanwhile.
        Some(true) if !api.db.is_once() => attempted(&api, changer.organization, id, sent).await?,
        _ => None,
    };
    let status = if attempt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let TestSent { event_id, delivery_id } = sent;
    let attempt = attempt.map(|log| WebhookLog::of(id, log));
    Ok((status, Json(WebhookTest { event_id, delivery_id, attempt })))
}

/// The first attempt, once it is in the log; none where it is not within [`PATIENCE`].
async fn attempted(
    api: &ApiState,
    organization: OrganizationId,
    endpoint: EndpointId,
    sent: TestSent,
) -> Result<Option<logs::Log>, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    // The database's clock wrote the times of the rows, and may be a little ahead of ours.
    let newest = Place::before(Utc::now() + TimeDelta::days(1));
    let kind = Some(logs::Kind::Attempt);
    let filter = Filter { kind, delivery_id: Some(sent.delivery_id), ..Filter::everything(newest) };
    loop {
        let page = logs::page(&api.db, organization, endpoint, &filter, 1).await?;
        // Deleted meanwhile: nothing will come.
        let Some(page) = page else { return Ok(None) };
        if let Some(attempt) = page.items.into_iter().next() {
            return Ok(Some(attempt));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        sleep(PAUSE).await;
    }
}

/// Data of an event of this type, as of something that never happened; none where no such event happens.
fn example(event_type: &str, organization: OrganizationId, endpoint: EndpointId) -> Option<Value> {
    let mut data = match event_type {
        TEST => json!(TestData::of(endpoint)),
        _ => known_type(event_type)?.example()?["data"].take(),
    };
    data["organization_id"] = json!(organization);
    data["test"] = true.into();
    Some(data)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use contract::events::CATALOGUE;

    use super::*;

    #[test]
    fn every_type_has_an_example_that_says_that_it_is_one() {
        let (organization, endpoint) = (OrganizationId(Uuid::max()), EndpointId(Uuid::max()));
        for known in CATALOGUE.iter().filter(|known| known.is_available()) {
            let data = example(known.name, organization, endpoint).unwrap();
            assert_eq!(data["test"], true, "{}", known.name);
            assert_eq!(data["organization_id"], json!(organization), "{}", known.name);
        }
        assert_eq!(example("call.unknown", organization, endpoint), None);
    }
}
