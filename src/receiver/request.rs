//! The way of a webhook, the same for every provider: read, verify, keep, answer.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use contract::{
    call::{EventKind, Origin, Provider},
    ids::OrganizationId,
};
use providers::incoming::{self, Incoming, Unreadable};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{
    credentials::Credentials,
    inbox::{Appended, Fate, NewEvent},
};
use uuid::Uuid;

use super::{Fallbacks, Receiver, keep::Kept, unauthorized, unavailable};
use crate::http_server::PeerAddress;

/// Retell gives up after 10 s, Twilio after 15 and Vapi after 20: what takes longer is shed before.
pub(super) const TIMEOUT: Duration = Duration::from_secs(9);
/// Headers that are kept with the body: none of them is a secret.
const KEPT_HEADERS: &[&str] =
    &["content-type", "i-twilio-idempotency-token", "user-agent", "x-call-id", "x-request-id"];

/// How the webhooks of one provider differ.
pub(super) struct Dialect {
    pub(super) provider: Provider,
    /// Longest body, in bytes.
    pub(super) max_body: usize,
    /// Headers of which a signed request has at least one; without, nothing more is read.
    pub(super) proofs: &'static [&'static str],
    /// Whether a request was made by somebody who knows a secret.
    pub(super) is_signed: fn(&Received, &Credentials, &Fallbacks) -> bool,
    /// What the provider waits for, where that is more than a 2xx.
    pub(super) reply: fn(&Received, &Read) -> Option<serde_json::Value>,
    /// The answer to everything else that is kept.
    pub(super) thanks: fn() -> Response,
}

/// What a body says, or why it says nothing.
pub(super) type Read = Result<Incoming, Unreadable>;

/// A request whose body was read.
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The public URL that was asked for, with its query: what Twilio signs.
    pub(super) url: String,
    /// Our own id of the text message that a callback is about.
    pub(super) notification_id: Option<Uuid>,
}

/// Takes a webhook from its first byte to its answer.
pub(super) async fn receive(
    dialect: &Dialect,
    receiver: &Receiver,
    organization: &str,
    request: Request,
) -> Response {
    let started = Instant::now();
    let accepted = tokio::time::timeout(TIMEOUT, accept(dialect, receiver, organization, request));
    let response = match accepted.await {
        Ok(Ok(response) | Err(response)) => response,
        Err(_) => unavailable(),
    };
    measure(dialect.provider.as_str(), &response, started);
    response
}

/// Counts an answer, and the time since `started` that it took.
pub(super) fn measure(provider: &'static str, response: &Response, started: Instant) {
    let status = response.status().as_u16().to_string();
    metrics::counter!("postcall_webhooks_received_total", "provider" => provider, "status" => status)
        .increment(1);
    metrics::histogram!("postcall_ack_seconds", "provider" => provider)
        .record(started.elapsed().as_secs_f64());
}

async fn accept(
    dialect: &Dialect,
    receiver: &Receiver,
    organization: &str,
    request: Request,
) -> Result<Response, Response> {
    let came_at = Instant::now();
    let (parts, body) = request.into_parts();
    let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
    let forged = || refuse(receiver, address);
    let proves = |proof: &&str| parts.headers.contains_key(*proof);
    if !dialect.proofs.is_empty() && !dialect.proofs.iter().any(proves) {
        return Err(forged());
    }
    // What is no id is no organization.
    let Ok(organization) = organization.parse::<OrganizationId>() else { return Err(forged()) };
    let credentials = receiver.secrets.get(organization, dialect.provider).await;
    let credentials = credentials.map_err(|error| {
        tracing::error!(%error, "a webhook is turned away");
        unavailable()
    })?;
    let held = read_body(receiver, body, dialect.max_body).await?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let received = Received {
        headers: parts.headers,
        body: held.bytes.clone(),
        url: format!("{}{path}", receiver.public_url),
        notification_id: notification_id(parts.uri.query()),
    };
    let fallbacks = receiver.secrets.fallbacks();
    let signed_for = |known: &Option<Arc<Credentials>>| {
        // An unknown organization takes as long as a wrong secret.
        let checked = known.as_deref().unwrap_or(&receiver.nobody);
        (dialect.is_signed)(&received, checked, fallbacks) && known.is_some()
    };
    let mut known = credentials;
    if !signed_for(&known) {
        // It may be signed with a secret that was rotated a moment ago.
        let anew = receiver.secrets.get_anew(organization, dialect.provider, came_at).await;
        // Whoever cannot be checked is not refused for good.
        known = anew.map_err(|_| unavailable())?;
        if !signed_for(&known) {
            return Err(forged());
        }
    }
    let Some(credentials) = known else { return Err(forged()) };
    let read = incoming::read(dialect.provider, Origin::Webhook, &received.body, Utc::now());
    let reply = (dialect.reply)(&received, &read);
    let drives_no_call = read.as_ref().is_ok_and(|read| read.event.kind == EventKind::Other);
    if drives_no_call && !credentials.keep_all_events {
        note(dialect.provider, "dropped");
    } else if drives_no_call && !receiver.limits.may_chatter(organization) {
        note(dialect.provider, "limited");
        // A call that speaks waits for its answer, whatever is stored of the question.
        return Ok(reply.map_or_else(too_many, |reply| Json(reply).into_response()));
    } else {
        keep(dialect.provider, receiver, organization, &received, &read).await?;
    }
    Ok(reply.map_or_else(dialect.thanks, |reply| Json(reply).into_response()))
}

/// Credentials that nobody can sign for.
pub(super) fn nobody() -> Credentials {
    Credentials {
        secrets: vec![Uuid::new_v4().to_string().into()],
        shared_key: None,
        settings: json!({}),
        keep_all_events: false,
    }
}

/// Reads a whole body of at most `max` bytes.
pub(super) async fn read_body(
    receiver: &Receiver,
    body: Body,
    max: usize,
) -> Result<super::budget::HeldBody, Response> {
    receiver.budget.read(body, max).await.map_err(|status| match status {
        StatusCode::SERVICE_UNAVAILABLE => unavailable(),
        status => status.into_response(),
    })
}

/// The answer to a request that proves nothing: the same for all, and slower for who sends many.
pub(super) fn refuse(receiver: &Receiver, address: Option<IpAddr>) -> Response {
    match address {
        Some(address) if !receiver.limits.may_be_refused_politely(address) => too_many(),
        _ => unauthorized(),
    }
}

fn too_many() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "60")], "too many requests\n").into_response()
}

/// Keeps what drives a call, what cannot be read, and the rest where the organization wants it.
async fn keep(
    provider: Provider,
    receiver: &Receiver,
    organization: OrganizationId,
    received: &Received,
    read: &Read,
) -> Result<(), Response> {
    let event = event(organization, provider, received, read);
    match receiver.keeper.keep(event).await {
        Ok(kept) => {
            if kept == Kept::Stored(Appended::Conflict) {
                tracing::warn!(%organization, "an event came again with another body; the first stays");
            }
            note(provider, outcome(kept));
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "an event could not be kept");
            Err(unavailable())
        }
    }
}

fn event(
    organization_id: OrganizationId,
    provider: Provider,
    received: &Received,
    read: &Read,
) -> NewEvent {
    let (event_key, event_kind, provider_call_id, fate) = match read {
        Ok(incoming) => {
            let (life, call_status) = (incoming.event.kind, incoming.event.facts.status);
            let fate = match life {
                EventKind::Other => Fate::Keep,
                _ => Fate::Dispatch { life, call_status },
            };
            let call = incoming.provider_call_id.clone();
            (incoming.event_key.clone(), incoming.message_type.clone(), call, fate)
        }
        Err(unreadable) => {
            let key = format!("unreadable/{}", hex::encode(Sha256::digest(&received.body)));
            let fate = Fate::Park { reason: unreadable.to_string() };
            (key, "unreadable".to_owned(), None, fate)
        }
    };
    NewEvent {
        organization_id,
        provider,
        event_key,
        event_kind,
        provider_call_id,
        notification_id: received.notification_id,
        headers: kept(&received.headers),
        body: received.body.clone(),
        origin: Origin::Webhook,
        received_at: None,
        fate,
    }
}

fn kept(headers: &HeaderMap) -> serde_json::Value {
    let text = |name: &&str| {
        let value = headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), json!(value.chars().take(200).collect::<String>())))
    };
    serde_json::Value::Object(KEPT_HEADERS.iter().filter_map(text).collect())
}

/// `?notification=ID`, which our own text messages ask Twilio to call back with.
fn notification_id(query: Option<&str>) -> Option<Uuid> {
    let mut pairs = url::form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, _)| name == "notification").and_then(|(_, id)| id.parse().ok())
}

const fn outcome(kept: Kept) -> &'static str {
    match kept {
        Kept::Stored(Appended::New(_)) => "new",
        Kept::Stored(Appended::Duplicate) => "duplicate",
        Kept::Stored(Appended::Conflict) => "conflict",
        Kept::Spooled => "spooled",
    }
}

fn note(provider: Provider, outcome: &'static str) {
    metrics::counter!("postcall_inbox_events_total", "provider" => provider.as_str(), "outcome" => outcome)
        .increment(1);
}
