//! What a fake makes of a request.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    asked::Asked,
    audio::Wav,
    effects::{Effect, Kind},
};

/// One faked provider.
pub(super) trait Fake: Send + Sync {
    /// What a request asks for and what identifies it. Has no effect.
    fn identify(&self, asked: &Asked) -> Identity;

    /// Does what is asked, or refuses it in the provider's own words.
    fn perform(&self, asked: &Asked, now: DateTime<Utc>) -> Reply;

    /// The body of the provider's error with this status, for scripts and for unknown routes.
    fn failure(&self, status: u16) -> Value;

    /// Remembers an effect of an earlier run that was accepted at `at` (the fakes' clock).
    fn restore(&self, _effect: &Effect, _at: DateTime<Utc>) {}

    /// Keeps an answer under the idempotency key of its request, in the place of another one. Only
    /// providers that store answers do.
    fn keep(&self, _asked: &Asked, _reply: &Reply, _now: DateTime<Utc>) {}

    /// Keeps a call that was not placed here, in the place of an earlier state of it, and gives it as
    /// it is kept. Only asked of providers that have calls.
    fn plant(&self, _id: &str, call: Value, _now: DateTime<Utc>) -> Value {
        call
    }

    /// A refusal with the provider's error body for the status.
    fn refuse(&self, status: u16) -> Reply {
        Reply::refused(status, self.failure(status))
    }
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Identity {
    pub(super) kind: Kind,
    /// The first is the effect's key; scripts and filters match any of them.
    pub(super) keys: Vec<String>,
}

impl Identity {
    pub(super) fn new<K: Into<String>>(kind: Kind, keys: impl IntoIterator<Item = K>) -> Self {
        Self { kind, keys: keys.into_iter().map(Into::into).collect() }
    }

    /// A request that no route of the fake takes.
    pub(super) fn unknown(asked: &Asked) -> Self {
        Self::new(Kind::Unknown, [asked.path.as_str()])
    }
}

/// An answer, before a script has its say.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Content,
    /// Whether an effect took place.
    pub(super) accepted: bool,
    /// What was made, as the log keeps it and `Fake::restore` gets it back.
    pub(super) result: Option<Value>,
}

/// A body.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Empty,
    Json(Value),
    Audio(Wav),
}

impl Reply {
    /// An effect took place and made `result`, which is also the answer.
    pub(super) fn made(status: u16, result: Value) -> Self {
        let body = Content::Json(result.clone());
        Self { status, headers: Vec::new(), body, accepted: true, result: Some(result) }
    }

    /// An effect took place and made nothing that has to be remembered.
    pub(super) fn done(status: u16, body: Content) -> Self {
        Self { status, headers: Vec::new(), body, accepted: true, result: None }
    }

    /// An answer without an effect: something was looked up, or had taken place before.
    pub(super) fn known(body: Value) -> Self {
        Self::refused(200, body)
    }

    /// An answer without an effect.
    pub(super) fn refused(status: u16, body: Value) -> Self {
        let body = Content::Json(body);
        Self { status, headers: Vec::new(), body, accepted: false, result: None }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The standard phrase of a status, for error bodies.
pub(super) fn phrase(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}
