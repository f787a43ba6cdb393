//! `POST /twilio/{organization_id}/status`, `/recording` and `/sms-status`: Twilio's callbacks.

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use contract::call::Provider;
use providers::twilio::auth::{self, Keys};
use store::credentials::Credentials;

use super::{
    Fallbacks, Receiver,
    request::{Dialect, Received, receive},
};

const TWILIO: Dialect = Dialect {
    provider: Provider::Twilio,
    // A callback has about 1 KB.
    max_body: 64 * 1024,
    proofs: &["x-twilio-signature"],
    is_signed,
    // Callbacks tell; Twilio waits for instructions only where it asks for them, in a voice webhook.
    reply: |_, _| None,
    thanks,
};

/// Callbacks of text messages, which the installation's account sends for every organization.
const MESSAGES: Dialect = Dialect { is_signed: is_signed_by_us_or_them, ..TWILIO };

pub(super) fn router() -> Router<Receiver> {
    Router::new()
        .route("/twilio/{organization_id}/status", post(call))
        .route("/twilio/{organization_id}/recording", post(call))
        .route("/twilio/{organization_id}/sms-status", post(message))
}

async fn call(
    State(receiver): State<Receiver>,
    Path(organization): Path<String>,
    request: Request,
) -> Response {
    receive(&TWILIO, &receiver, &organization, request).await
}

async fn message(
    State(receiver): State<Receiver>,
    Path(organization): Path<String>,
    request: Request,
) -> Response {
    receive(&MESSAGES, &receiver, &organization, request).await
}

fn is_signed(received: &Received, credentials: &Credentials, _: &Fallbacks) -> bool {
    let key_id = credentials.settings["shared_key_id"].as_str();
    let keys = Keys {
        auth_tokens: &credentials.secrets,
        shared_key: key_id.zip(credentials.shared_key.as_ref()),
    };
    auth::verify(&received.headers, &received.url, &received.body, &keys).is_ok()
}

fn is_signed_by_us_or_them(
    received: &Received,
    credentials: &Credentials,
    fallbacks: &Fallbacks,
) -> bool {
    let ours = Keys { auth_tokens: fallbacks.twilio.as_slice(), shared_key: None };
    is_signed(received, credentials, fallbacks)
        || auth::verify(&received.headers, &received.url, &received.body, &ours).is_ok()
}

fn thanks() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
