//! The fold of a call's events into its final record.
//!
//! Each fact of an event carries a rank (how much its event knows), the provider's time and the
//! fact's own text; the greatest wins. A maximum over a total order is commutative, associative and
//! idempotent, so every order, subset and duplication of the same events ends in the same record.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    call::{CallStatus, Direction, EventKind},
    words::words,
};

/// Longest duration that is believed, in seconds: no provider lets a call run for a day.
pub const MAX_DURATION_SECONDS: u32 = 24 * 60 * 60;

words! {
    /// What was wrong with the duration of a call.
    DurationFlag, "duration flag" {
        /// It was longer than [`MAX_DURATION_SECONDS`], and was cut to that.
        Capped = "capped",
        /// It was less than nothing, or the call ended before it began; without better times it is 0.
        Negative = "negative",
    }
}

/// What one stored event says of its call, in words common to all providers.
///
/// Never crosses Temporal: it carries personal data. Made anew from the stored body at each fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// What the event says of the life of the call.
    pub kind: EventKind,
    /// The provider's time of the event, else the time of receipt.
    pub at: DateTime<Utc>,
    /// Everything else the event tells.
    #[serde(flatten)]
    pub facts: CallFacts,
}

/// Facts about a call, each absent where the event does not tell it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallFacts {
    /// Where the call stands.
    pub status: Option<CallStatus>,
    /// Who started it.
    pub direction: Option<Direction>,
    /// Calling number as the provider writes it, E.164 where it is a phone.
    pub from_number: Option<String>,
    /// Called number, likewise.
    pub to_number: Option<String>,
    /// The provider's id of the assistant that spoke.
    pub provider_assistant_id: Option<String>,
    /// The provider's id of our phone number.
    pub provider_phone_number_id: Option<String>,
    /// When the provider made the call object.
    pub created_at: Option<DateTime<Utc>>,
    /// When the call was answered; absent if it never was.
    pub started_at: Option<DateTime<Utc>>,
    /// When the call was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whole seconds, rounded up; from timestamps where the event has them.
    pub duration_seconds: Option<u32>,
    /// What is wrong with the duration.
    pub duration_flag: Option<DurationFlag>,
    /// The provider's own word for why it ended.
    pub ended_reason: Option<String>,
    /// What the provider charges, in US dollars.
    pub cost_usd: Option<Decimal>,
    /// The provider's summary.
    pub summary: Option<String>,
    /// The whole transcript as text.
    pub transcript: Option<String>,
    /// The transcript as the provider's list of messages.
    pub messages: Option<Value>,
    /// Where the audio lies; the first is tried first.
    pub recording_urls: Option<Vec<String>>,
    /// What the provider's own analysis extracted.
    pub structured_data: Option<Value>,
    /// Metadata that the caller of the provider's API attached.
    pub metadata: Option<Value>,
}

/// Folds the events of one call. The result does not depend on their order or repetition.
pub fn fold<'a>(events: impl IntoIterator<Item = &'a CallEvent>) -> CallFacts {
    let events: Vec<&CallEvent> = events.into_iter().collect();
    macro_rules! winner {
        ($field:ident) => {
            win(&events, |facts| facts.$field.as_ref())
        };
    }
    let mut facts = CallFacts {
        status: fold_status(&events),
        direction: winner!(direction),
        from_number: winner!(from_number),
        to_number: winner!(to_number),
        provider_assistant_id: winner!(provider_assistant_id),
        provider_phone_number_id: winner!(provider_phone_number_id),
        created_at: winner!(created_at),
        started_at: winner!(started_at),
        ended_at: winner!(ended_at),
        duration_seconds: winner!(duration_seconds),
        duration_flag: None,
        ended_reason: winner!(ended_reason),
        cost_usd: winner!(cost_usd),
        summary: winner!(summary),
        transcript: winner!(transcript),
        messages: winner!(messages),
        recording_urls: winner!(recording_urls),
        structured_data: winner!(structured_data),
        metadata: winner!(metadata),
    };
    (facts.duration_seconds, facts.duration_flag) = fold_duration(&events, &facts);
    facts
}

/// The duration that wins, else the time from start to end; and what is wrong with it.
fn fold_duration(events: &[&CallEvent], folded: &CallFacts) -> (Option<u32>, Option<DurationFlag>) {
    let told = folded.duration_seconds;
    let times = folded.started_at.zip(folded.ended_at);
    let seconds = told.or_else(|| times.and_then(|(start, end)| span_seconds(start, end)));
    let is_reversed = times.is_some_and(|(start, end)| end < start);
    let flag = match seconds {
        Some(seconds) if seconds > MAX_DURATION_SECONDS => Some(DurationFlag::Capped),
        None | Some(0) if is_reversed => Some(DurationFlag::Negative),
        // Whoever told this duration may have cut it.
        _ => events
            .iter()
            .filter(|event| told.is_some() && event.facts.duration_seconds == told)
            .filter_map(|event| event.facts.duration_flag)
            .max(),
    };
    (seconds.map(|seconds| seconds.min(MAX_DURATION_SECONDS)), flag)
}

/// Whole seconds from `start` to `end`, rounded up; nothing where `end` lies before `start`.
pub fn span_seconds(start: DateTime<Utc>, end: DateTime<Utc>) -> Option<u32> {
    let millis = u64::try_from((end - start).num_milliseconds()).ok()?;
    Some(u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX))
}

fn rank(kind: EventKind) -> u8 {
    match kind {
        EventKind::Other | EventKind::Message => 0,
        EventKind::Progress => 1,
        EventKind::Ended => 2,
        EventKind::Report => 3,
    }
}

/// A final status beats every other; among the others the one further on wins, whatever its time.
fn fold_status(events: &[&CallEvent]) -> Option<CallStatus> {
    events
        .iter()
        .filter_map(|event| {
            let status = event.facts.status?;
            let final_rank = if status.is_final() { 1 + rank(event.kind) } else { 0 };
            let progress = if status.is_final() { None } else { Some(status) };
            Some(((final_rank, progress, event.at, status), status))
        })
        .max_by_key(|(key, _)| *key)
        .map(|(_, status)| status)
}

fn win<'a, T, F>(events: &[&'a CallEvent], field: F) -> Option<T>
where
    T: Clone + Serialize + 'a,
    F: Fn(&'a CallFacts) -> Option<&'a T>,
{
    let mut candidates: Vec<(u8, DateTime<Utc>, &T)> = events
        .iter()
        .filter_map(|event| Some((rank(event.kind), event.at, field(&event.facts)?)))
        .collect();
    let best = candidates.iter().map(|(rank, at, _)| (*rank, *at)).max()?;
    candidates.retain(|(rank, at, _)| (*rank, *at) == best);
    // The text decides only between facts of the same rank and millisecond, so it is made last.
    let mut ties = candidates.into_iter().map(|(_, _, value)| value);
    let first = ties.next()?;
    let winner = ties.fold(first, |a, b| if text(b) > text(a) { b } else { a });
    Some(winner.clone())
}

fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
