//! The facts of Retell's call object, which webhooks and the calls API write alike.
//!
//! A fact of the wrong type counts as absent.

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, Direction, EventKind},
    merge::{CallFacts, DurationFlag, span_seconds},
};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::json::{at, instant, number, text};

/// Longest link kept, in bytes; signed ones have about 1,500.
const MAX_URL_BYTES: usize = 8192;
/// The column holds six digits before the point of a dollar; no call costs more.
const MAX_COST_CENTS: f64 = 99_999_900.0;

/// Where an event says that its call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) kind: EventKind,
    pub(super) status: Option<CallStatus>,
    /// Whether the call was, or is being, talked in; only then does it have a start.
    pub(super) connected: bool,
}

/// Facts of a call that stands so; what was said in it only once it is over.
pub(super) fn of_call(call: &Value, standing: Standing) -> CallFacts {
    let facts = CallFacts {
        status: standing.status,
        direction: direction(call),
        from_number: owned(call, "/from_number"),
        to_number: owned(call, "/to_number"),
        provider_assistant_id: owned(call, "/agent_id"),
        // Retell does not tell when it made the object.
        created_at: started(call),
        started_at: started(call).filter(|_| standing.connected),
        metadata: at(call, "/metadata").cloned(),
        ..CallFacts::default()
    };
    if !standing.kind.is_final() {
        return facts;
    }
    CallFacts {
        ended_at: ended(call),
        duration_seconds: duration_seconds(call, standing.connected),
        duration_flag: number(call, &["/duration_ms"])
            .is_some_and(|millis| millis < 0.0)
            .then_some(DurationFlag::Negative),
        ended_reason: reason(call).map(str::to_owned),
        cost_usd: cost_usd(call),
        summary: owned(call, "/call_analysis/call_summary"),
        transcript: owned(call, "/transcript"),
        messages: at(call, "/transcript_object")
            .filter(|list| list.as_array().is_some_and(|entries| !entries.is_empty()))
            .cloned(),
        recording_urls: recording_urls(call),
        structured_data: at(call, "/call_analysis/custom_analysis_data").cloned(),
        ..facts
    }
}

/// Retell's own word for why the call ended.
pub(super) fn reason(call: &Value) -> Option<&str> {
    text(call, &["/disconnection_reason"])
}

/// Retell's word for where the call stands.
pub(super) fn call_status(call: &Value) -> Option<&str> {
    text(call, &["/call_status"])
}

/// When the call began, or was given up before it could.
pub(super) fn started(call: &Value) -> Option<DateTime<Utc>> {
    instant(call, &["/start_timestamp"])
}

/// When the call was over.
pub(super) fn ended(call: &Value) -> Option<DateTime<Utc>> {
    instant(call, &["/end_timestamp"])
}

/// Whether Retell's analysis of the call is there.
pub(super) fn is_analyzed(analysis: Option<&Value>) -> bool {
    analysis.and_then(Value::as_object).is_some_and(|parts| parts.values().any(|v| !v.is_null()))
}

fn owned(call: &Value, pointer: &str) -> Option<String> {
    text(call, &[pointer]).map(str::to_owned)
}

fn direction(call: &Value) -> Option<Direction> {
    if text(call, &["/call_type"]) == Some("web_call") {
        return Some(Direction::Web);
    }
    match text(call, &["/direction"])? {
        "inbound" => Some(Direction::Inbound),
        "outbound" => Some(Direction::Outbound),
        _ => None,
    }
}

/// Whole seconds rounded up. A connected call without times and duration may have them in another
/// event, so it says nothing.
fn duration_seconds(call: &Value, connected: bool) -> Option<u32> {
    if !connected {
        return Some(0);
    }
    if let (Some(start), Some(end)) = (started(call), ended(call)) {
        return Some(span_seconds(start, end).unwrap_or(0));
    }
    // The cast saturates: negative is 0, and the fold caps what is too long.
    Some((number(call, &["/duration_ms"])? / 1000.0).ceil() as u32)
}

/// Retell counts in cents with fractions.
fn cost_usd(call: &Value) -> Option<Decimal> {
    let cents = number(call, &["/call_cost/combined_cost"])?;
    if !(0.0..=MAX_COST_CENTS).contains(&cents) {
        return None;
    }
    let cents = Decimal::try_from(cents).ok()?;
    Some((cents / Decimal::ONE_HUNDRED).round_dp(6).normalize())
}

/// Links to the audio, one track first; those without personal data where the agent keeps no others.
fn recording_urls(call: &Value) -> Option<Vec<String>> {
    const LINKS: [&str; 4] = [
        "/recording_url",
        "/recording_multi_channel_url",
        "/scrubbed_recording_url",
        "/scrubbed_recording_multi_channel_url",
    ];
    let mut urls: Vec<String> = Vec::new();
    for url in LINKS.iter().filter_map(|pointer| text(call, &[pointer])) {
        let is_link = url.starts_with("https://") || url.starts_with("http://");
        if is_link && url.len() <= MAX_URL_BYTES && !urls.iter().any(|known| known == url) {
            urls.push(url.to_owned());
        }
    }
    (!urls.is_empty()).then_some(urls)
}
