//! Webhooks in: verify the raw bytes, append to the inbox, answer.
//!
//! Deliberately absent: Temporal and Redis. An acknowledgement needs Postgres only.

mod secrets;
mod vapi;

use std::time::Duration;

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, response::IntoResponse};
use secrecy::SecretString;
use store::{Database, sealing::Sealer, signals::Teller};
use tower_http::timeout::TimeoutLayer;

pub use secrets::Secrets;

/// A report of a call of an hour has about 1 MB; nothing honest is ten times that.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// Vapi gives up after 20 s; what takes longer is shed before that.
const TIMEOUT: Duration = Duration::from_secs(12);

/// What the receivers need.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// A pool of its own, so that a busy API cannot hold up an acknowledgement.
    pub db: Database,
    /// Secrets of organizations, remembered for a short time.
    pub secrets: Secrets,
    /// Wakes the dispatcher.
    pub inbox: Teller,
}

impl Receiver {
    /// A receiver over its own pool.
    pub fn new(db: Database, sealer: Sealer, vapi_fallback: Option<SecretString>) -> Self {
        let inbox = Teller::start(&db, store::signals::INBOX);
        Self { secrets: Secrets::new(db.clone(), sealer, vapi_fallback), db, inbox }
    }
}

/// The routes that providers post to.
pub fn router(receiver: Receiver) -> Router {
    Router::new()
        .merge(vapi::router())
        .with_state(receiver)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
}

/// The one answer to every request that does not prove itself: an unknown organization looks like a
/// wrong secret.
fn unauthorized() -> axum::response::Response {
    (StatusCode::UNAUTHORIZED, "the request is not signed by a known secret\n").into_response()
}

/// Not stored, so not acknowledged: the provider may try again.
fn unavailable() -> axum::response::Response {
    let retry = [(axum::http::header::RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, "not stored; try again\n").into_response()
}
