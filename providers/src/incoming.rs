//! What a provider sent, in the words that all rooms share.

use chrono::{DateTime, Utc};
use contract::{
    call::{Origin, Provider},
    merge::CallEvent,
};
use sha2::{Digest, Sha256};

use crate::{calls_api, retell, twilio, vapi};

/// A provider's webhook message, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// The provider's type, with the status where that decides: `end-of-call-report`,
    /// `status-update/ended`. At most [`MAX_MESSAGE_TYPE_CHARS`] characters.
    pub message_type: String,
    /// The provider's id of the call, where the message belongs to one.
    pub provider_call_id: Option<String>,
    /// Equal for repetitions of one message and for nothing else, within (organization, provider).
    /// At most [`MAX_EVENT_KEY_BYTES`] bytes.
    pub event_key: String,
    /// What the message says of the call.
    pub event: CallEvent,
    /// What it says of a text message; then `event.kind` is `Message`.
    pub message: Option<MessageFate>,
}

/// What became of a text message that we sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFate {
    /// The provider's id of the message, as `SM…`.
    pub provider_id: String,
    /// How far it is.
    pub state: MessageState,
    /// The provider's error code, as `30003`.
    pub error_code: Option<String>,
}

/// How far a text message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// The provider has it: accepted, queued, sending, sent, delivered or read.
    Taken,
    /// It will not arrive: undelivered, failed or canceled.
    Lost,
}

/// Longest message type kept; the longest known one has 35 characters.
pub const MAX_MESSAGE_TYPE_CHARS: usize = 100;
/// Longest event key, in bytes: a unique index of Postgres takes no more than 2,700.
pub const MAX_EVENT_KEY_BYTES: usize = 512;
/// Longest believable provider call id, in bytes.
pub const MAX_CALL_ID_BYTES: usize = 200;

/// Why a body cannot be used. The texts hold nothing of the body itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON at all, or not UTF-8.
    #[error("the body is not JSON")]
    NotJson,
    /// A number that no 64-bit float holds, as `1e309`.
    #[error("the body holds a number out of range")]
    NumberOutOfRange,
    /// Nested deeper than any message of a provider.
    #[error("the body is nested deeper than {0} levels")]
    TooDeep(usize),
    /// More objects and lists than any message of a provider.
    #[error("the body holds more than {0} objects and lists")]
    TooMany(usize),
    /// `\u0000`, which Postgres can store in neither text nor jsonb.
    #[error("the body holds a NUL character")]
    Nul,
    /// Half of a UTF-16 pair, which is no character.
    #[error("the body holds a lone surrogate")]
    LoneSurrogate,
    /// A field without which the message means nothing.
    #[error("{path} {problem}")]
    Field {
        /// Where it should be, as in `message.call.id`.
        path: &'static str,
        /// What is wrong, as in `is missing`.
        problem: &'static str,
    },
    /// Neither JSON nor a form that can be decoded.
    #[error("the body is no form")]
    NotForm,
}

/// Reads a stored or arriving body of `provider`.
///
/// The body of a sweep is the call as the provider's API shows it, or our own conclusion that its
/// end is lost; every other one is a webhook's.
/// Pure: the same body and time of receipt always give the same event.
///
/// # Errors
/// When the body is no message that can be stored and understood; it is then parked, never lost.
pub fn read(
    provider: Provider,
    origin: Origin,
    body: &[u8],
    received_at: DateTime<Utc>,
) -> Result<Incoming, Unreadable> {
    if origin == Origin::Sweep
        && let Some(lost) = calls_api::read_lost_call(body)
    {
        return Ok(lost);
    }
    match (provider, origin) {
        (Provider::Vapi, Origin::Sweep) => vapi::read_resource(body, received_at),
        (Provider::Retell, Origin::Sweep) => retell::read_resource(body, received_at),
        (Provider::Twilio, Origin::Sweep) => twilio::read_resource(body, received_at),
        (Provider::Vapi, _) => vapi::read(body, received_at),
        (Provider::Retell, _) => retell::read(body, received_at),
        (Provider::Twilio, _) => twilio::read(body, received_at),
    }
}

/// A field without which the message means nothing.
pub(crate) fn missing(path: &'static str) -> Unreadable {
    Unreadable::Field { path, problem: "is missing or not usable" }
}

pub(crate) fn bounded_type(written: &str) -> String {
    written.chars().take(MAX_MESSAGE_TYPE_CHARS).collect()
}

/// The key itself, or its hash where it is too long for an index.
pub(crate) fn bounded_key(key: String) -> String {
    if key.len() <= MAX_EVENT_KEY_BYTES {
        return key;
    }
    digest(key.as_bytes())
}

/// What stands for a body that has no name of its own.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
