//! Twilio's words for where a call or a message stands.

use contract::call::CallStatus;

use crate::incoming::MessageState;

/// Maps `CallStatus` of a callback, or `status` of the API, to ours; nothing for a new word, which
/// then moves no call.
///
/// | Twilio | ours | final |
/// |---|---|---|
/// | `queued`, `initiated` | queued | |
/// | `ringing` | ringing | |
/// | `in-progress`, `answered` | in-progress | |
/// | `completed` | completed | yes |
/// | `busy` | busy | yes |
/// | `no-answer` | no-answer | yes |
/// | `canceled` | canceled | yes |
/// | `failed` | failed | yes |
///
/// `initiated` and `answered` are names of events (`StatusCallbackEvent`), the others those of
/// `call_enum_status` in Twilio's OpenAPI document.
pub fn classify_call_status(word: &str) -> Option<CallStatus> {
    Some(match word {
        "queued" | "initiated" => CallStatus::Queued,
        "ringing" => CallStatus::Ringing,
        "in-progress" | "answered" => CallStatus::InProgress,
        "completed" => CallStatus::Completed,
        "busy" => CallStatus::Busy,
        "no-answer" => CallStatus::NoAnswer,
        "canceled" => CallStatus::Canceled,
        "failed" => CallStatus::Failed,
        _ => return None,
    })
}

/// Maps `MessageStatus`; nothing for a new word.
pub(super) fn message_state(word: &str) -> Option<MessageState> {
    match word {
        "accepted"
        | "scheduled"
        | "queued"
        | "sending"
        | "sent"
        | "delivered"
        | "read"
        | "partially_delivered"
        | "receiving"
        | "received" => Some(MessageState::Taken),
        "undelivered" | "failed" | "canceled" => Some(MessageState::Lost),
        _ => None,
    }
}
