//! `POST /vapi/{organization_id}`: every server message of Vapi.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::Utc;
use contract::{
    call::{EventKind, Origin, Provider},
    ids::OrganizationId,
};
use providers::{
    incoming::{Incoming, Unreadable},
    vapi::{self, auth::HmacPlan},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{
    credentials::Credentials,
    inbox::{self, Appended, Fate, NewEvent},
};

use super::{Receiver, unauthorized, unavailable};

/// Headers that are kept with the body: none of them is a secret.
const KEPT_HEADERS: &[&str] = &["content-type", "user-agent", "x-call-id", "x-request-id"];

pub(super) fn router() -> Router<Receiver> {
    Router::new().route("/vapi/{organization_id}", post(receive))
}

async fn receive(
    State(receiver): State<Receiver>,
    Path(organization): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let started = std::time::Instant::now();
    let response = match body {
        Ok(body) => accept(&receiver, &organization, &headers, &body).await,
        Err(rejection) => rejection.into_response(),
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("postcall_webhooks_received_total", "provider" => "vapi", "status" => status)
        .increment(1);
    metrics::histogram!("postcall_ack_seconds", "provider" => "vapi")
        .record(started.elapsed().as_secs_f64());
    response
}

async fn accept(
    receiver: &Receiver,
    organization: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    // What is no id is no organization.
    let Ok(organization) = organization.parse() else { return unauthorized() };
    let credentials = match receiver.secrets.get(organization, Provider::Vapi).await {
        Ok(Some(credentials)) => credentials,
        Ok(None) => return unauthorized(),
        Err(error) => {
            tracing::error!(%error, "secrets cannot be read");
            return unavailable();
        }
    };
    if !is_signed(headers, body, &credentials) {
        return unauthorized();
    }
    let read = vapi::read(body, Utc::now());
    match store(receiver, organization, headers, body, &read, credentials.keep_all_events).await {
        Ok(stored) => {
            note(organization, stored);
            answer(body, &read)
        }
        Err(error) => {
            tracing::error!(%error, "an event could not be stored");
            unavailable()
        }
    }
}

fn is_signed(headers: &HeaderMap, body: &[u8], credentials: &Credentials) -> bool {
    let plan: HmacPlan = serde_json::from_value(credentials.settings.clone()).unwrap_or_default();
    vapi::auth::verify(headers, body, &credentials.secrets, &plan, Utc::now()).is_ok()
}

/// Stores what drives a call, what cannot be read, and the rest where the organization wants it.
async fn store(
    receiver: &Receiver,
    organization: OrganizationId,
    headers: &HeaderMap,
    body: &[u8],
    read: &Result<Incoming, Unreadable>,
    keep_all: bool,
) -> Result<Option<Appended>, store::StoreError> {
    let park_key;
    let reason;
    let (event_key, event_kind, provider_call_id, fate) = match read {
        Ok(incoming) => {
            let life = incoming.event.kind;
            let fate = match life {
                EventKind::Other if keep_all => Fate::Keep,
                EventKind::Other => return Ok(None),
                _ => Fate::Dispatch { life, call_status: incoming.event.facts.status },
            };
            let call = incoming.provider_call_id.as_deref();
            (incoming.event_key.as_str(), incoming.message_type.as_str(), call, fate)
        }
        Err(unreadable) => {
            park_key = format!("unreadable/{}", hex::encode(Sha256::digest(body)));
            reason = unreadable.to_string();
            (park_key.as_str(), "unreadable", None, Fate::Park { reason: &reason })
        }
    };
    let event = NewEvent {
        organization_id: organization,
        provider: Provider::Vapi,
        event_key,
        event_kind,
        provider_call_id,
        headers: kept(headers),
        body,
        origin: Origin::Webhook,
        fate,
    };
    let appended = inbox::append(&receiver.db, &event).await?;
    if matches!(fate, Fate::Dispatch { .. }) && matches!(appended, Appended::New(_)) {
        receiver.inbox.tell();
    }
    Ok(Some(appended))
}

fn kept(headers: &HeaderMap) -> serde_json::Value {
    let text = |name: &&str| {
        let value = headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), json!(value.chars().take(200).collect::<String>())))
    };
    serde_json::Value::Object(KEPT_HEADERS.iter().filter_map(text).collect())
}

fn note(organization: OrganizationId, stored: Option<Appended>) {
    let outcome = match stored {
        None => "dropped",
        Some(Appended::New(_)) => "new",
        Some(Appended::Duplicate) => "duplicate",
        Some(Appended::Conflict) => {
            tracing::warn!(%organization, "an event came again with another body; the first stays");
            "conflict"
        }
    };
    metrics::counter!("postcall_inbox_events_total", "provider" => "vapi", "outcome" => outcome)
        .increment(1);
}

/// `tool-calls`, `assistant-request` and their like wait for an answer; the rest for a 2xx.
fn answer(body: &[u8], read: &Result<Incoming, Unreadable>) -> Response {
    let asks = read.as_ref().is_ok_and(|incoming| incoming.event.kind == EventKind::Other);
    let assistant = read
        .as_ref()
        .ok()
        .and_then(|incoming| incoming.event.facts.provider_assistant_id.as_deref());
    match asks.then(|| vapi::reply(body, assistant)).flatten() {
        Some(reply) => Json(reply).into_response(),
        None => (StatusCode::OK, Json(json!({}))).into_response(),
    }
}
