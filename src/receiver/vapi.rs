//! `POST /vapi/{organization_id}`: every server message of Vapi.

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::Utc;
use contract::call::{EventKind, Provider};
use providers::vapi::{self, auth::HmacPlan};
use serde_json::{Value, json};
use store::credentials::Credentials;

use super::{
    Fallbacks, Receiver,
    request::{Dialect, Read, Received, receive},
};

const VAPI: Dialect = Dialect {
    provider: Provider::Vapi,
    // A report of a call of an hour has about 1 MB; nothing honest is ten times that.
    max_body: 10 * 1024 * 1024,
    // The header of a signature is the organization's to choose, so its absence says nothing.
    proofs: &[],
    is_signed,
    reply,
    thanks,
};

pub(super) fn router() -> Router<Receiver> {
    Router::new().route("/vapi/{organization_id}", post(webhook))
}

async fn webhook(
    State(receiver): State<Receiver>,
    Path(organization): Path<String>,
    request: Request,
) -> Response {
    receive(&VAPI, &receiver, &organization, request).await
}

fn is_signed(received: &Received, credentials: &Credentials, _: &Fallbacks) -> bool {
    let plan: HmacPlan = serde_json::from_value(credentials.settings.clone()).unwrap_or_default();
    let Received { headers, body, .. } = received;
    vapi::auth::verify(headers, body, &credentials.secrets, &plan, Utc::now()).is_ok()
}

/// `tool-calls`, `assistant-request` and their like wait for an answer; the rest for a 2xx.
fn reply(received: &Received, read: &Read) -> Option<Value> {
    let incoming = read.as_ref().ok().filter(|read| read.event.kind == EventKind::Other)?;
    vapi::reply(&received.body, incoming.event.facts.provider_assistant_id.as_deref())
}

fn thanks() -> Response {
    Json(json!({})).into_response()
}
