//! `POST /retell/{organization_id}`: every webhook of Retell.

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::Utc;
use contract::call::{EventKind, Provider};
use providers::retell;
use serde_json::Value;
use store::credentials::Credentials;

use super::{
    Fallbacks, Receiver,
    request::{Dialect, Read, Received, receive},
};

const RETELL: Dialect = Dialect {
    provider: Provider::Retell,
    // The transcript comes three times in a report, word by word with times: 2 MB for an hour.
    max_body: 10 * 1024 * 1024,
    proofs: &["x-retell-signature"],
    is_signed,
    reply,
    thanks,
};

pub(super) fn router() -> Router<Receiver> {
    Router::new().route("/retell/{organization_id}", post(webhook))
}

async fn webhook(
    State(receiver): State<Receiver>,
    Path(organization): Path<String>,
    request: Request,
) -> Response {
    receive(&RETELL, &receiver, &organization, request).await
}

fn is_signed(received: &Received, credentials: &Credentials, _: &Fallbacks) -> bool {
    let Received { headers, body, .. } = received;
    retell::auth::verify(headers, body, &credentials.secrets, Utc::now()).is_ok()
}

/// `call_inbound` waits for an answer; the rest for a 2xx (Retell's examples answer 204).
fn reply(received: &Received, read: &Read) -> Option<Value> {
    read.as_ref().ok().filter(|read| read.event.kind == EventKind::Other)?;
    retell::reply(&received.body)
}

fn thanks() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
