//! What every event of a call carries.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{EventData, Timestamp, size::beginning};
use crate::{
    call::{CallStatus, Direction, Provider},
    ids::{CallId, OrganizationId},
};

/// Characters of the summary.
const SUMMARY_CHARS: usize = 4000;
/// Bytes of JSON of the summary: with all else the body stays under [`super::MOST_BYTES`].
const SUMMARY_BYTES: usize = 16_000;
/// Bytes of JSON of the provider's reason. The longest known one has 90.
const REASON_BYTES: usize = 500;
/// Bytes of JSON of a number, which may be a SIP address.
const NUMBER_BYTES: usize = 300;

/// A call as it is known when the event is written. Links instead of transcript and audio.
///
/// Its `Debug` is deliberately missing: it holds numbers and what was said.
#[derive(Clone, Serialize, JsonSchema)]
pub struct CallData {
    /// The call.
    pub id: CallId,
    /// Whose call it is.
    pub organization_id: OrganizationId,
    /// Who ran it.
    pub provider: Provider,
    /// The provider's id of it.
    pub provider_call_id: String,
    /// Who started it; null where the provider did not say.
    pub direction: Option<Direction>,
    /// Where it stands. The last five are final.
    pub status: Option<CallStatus>,
    /// Calling number as the provider writes it, E.164 where it is a phone.
    pub from_number: Option<String>,
    /// Called number, likewise.
    pub to_number: Option<String>,
    /// When it was answered; null if it never was.
    pub started_at: Option<Timestamp>,
    /// When it was over; null before.
    pub ended_at: Option<Timestamp>,
    /// Whole seconds, rounded up.
    pub duration_seconds: Option<u32>,
    /// Begun minutes that count against the plan; null until they are counted.
    pub billed_minutes: Option<u32>,
    /// The provider's own word for why it ended.
    pub ended_reason: Option<String>,
    /// The provider's summary, cut where it is very long.
    pub summary: Option<String>,
    /// Whether there is a transcript to get.
    pub has_transcript: bool,
    /// When the provider made the call.
    pub created_at: Timestamp,
    /// Where more is, from the root of the API.
    pub links: CallLinks,
}

/// Paths of the API, from its root.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CallLinks {
    /// The call.
    pub call: String,
    /// Its transcript.
    pub transcript: String,
}

impl CallLinks {
    /// Those of a call.
    pub fn of(id: CallId) -> Self {
        Self { call: format!("/v1/calls/{id}"), transcript: format!("/v1/calls/{id}/transcript") }
    }
}

impl CallData {
    /// The same, with long texts cut so that the body of the event stays under
    /// [`super::MOST_BYTES`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.summary, SUMMARY_CHARS, SUMMARY_BYTES);
        cut(&mut self.ended_reason, REASON_BYTES, REASON_BYTES);
        cut(&mut self.from_number, NUMBER_BYTES, NUMBER_BYTES);
        cut(&mut self.to_number, NUMBER_BYTES, NUMBER_BYTES);
        self
    }
}

fn cut(text: &mut Option<String>, chars: usize, bytes: usize) {
    if let Some(text) = text {
        let length = beginning(text, chars, bytes).len();
        text.truncate(length);
    }
}

impl EventData for CallData {
    fn example(event_type: &str) -> Self {
        let id = CallId(Uuid::from_u128(0x4d3a_6f0e_8a1c_5b7d_9e42_7c1f_5a90_33b8));
        let unanswered = event_type == "call.failed";
        let over = event_type != "call.started";
        let talked = over && !unanswered;
        let status = match (over, unanswered) {
            (false, _) => CallStatus::InProgress,
            (true, true) => CallStatus::NoAnswer,
            (true, false) => CallStatus::Completed,
        };
        let reason = if unanswered { "customer-did-not-answer" } else { "customer-ended-call" };
        let summary = "Ana booked a table for four on Friday at seven.";
        Self {
            id,
            organization_id: OrganizationId::example(),
            provider: Provider::Vapi,
            provider_call_id: "019aa141-7c00-7000-8000-3f2d1c5b9a77".to_owned(),
            direction: Some(if unanswered { Direction::Outbound } else { Direction::Inbound }),
            status: Some(status),
            from_number: Some("+14155550123".to_owned()),
            to_number: Some("+14155550100".to_owned()),
            started_at: (!unanswered).then(|| Timestamp::example(4)),
            ended_at: over.then(|| Timestamp::example(if talked { 132 } else { 30 })),
            duration_seconds: over.then_some(if talked { 128 } else { 0 }),
            billed_minutes: over.then_some(if talked { 3 } else { 0 }),
            ended_reason: over.then(|| reason.to_owned()),
            summary: talked.then(|| summary.to_owned()),
            has_transcript: talked,
            created_at: Timestamp::example(0),
            links: CallLinks::of(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::events::{MOST_BYTES, envelope};

    #[test]
    fn an_event_stays_small_whatever_a_provider_says() {
        // The longest id of a call that is read has 200 bytes.
        for (character, id) in [("a", 200), ("€", 66), ("😀", 50), ("\"", 200), ("\u{1}", 200)]
        {
            let long = || Some(character.repeat(1_000_000));
            let call = CallData {
                provider_call_id: character.repeat(id),
                from_number: long(),
                to_number: long(),
                ended_reason: long(),
                summary: long(),
                ..CallData::example("call.completed")
            };
            let data = serde_json::to_value(call.bounded()).unwrap_or_default();
            let body = envelope("call.completed", Timestamp::example(0), data).to_string();
            assert!((4_000..MOST_BYTES).contains(&body.len()), "{character:?}: {}", body.len());
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let summary = body["data"]["summary"].as_str().unwrap_or_default();
            assert!(summary.chars().count() <= SUMMARY_CHARS && summary.starts_with(character));
        }
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let call = CallData::example("call.completed");
        let same = call.clone().bounded();
        assert_eq!((call.summary, call.ended_reason), (same.summary, same.ended_reason));
        assert_eq!((call.from_number, call.to_number), (same.from_number, same.to_number));
    }
}
