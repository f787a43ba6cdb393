//! The facts of a call, from wherever in a message Vapi wrote them.
//!
//! Most facts are written twice, in the documented place and at the level of the message; both are
//! read, the documented one first. A fact of the wrong type counts as absent.

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, Direction, EventKind},
    merge::{CallFacts, DurationFlag, span_seconds},
};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::json::{at, instant, number, text};

/// Longest link kept, in bytes; presigned ones have about 1,500.
const MAX_URL_BYTES: usize = 8192;
/// The column holds six digits before the point; no call costs more.
const MAX_COST_USD: f64 = 999_999.0;

/// Facts of a message of `kind`; what was said in the call only once it is over.
pub(super) fn of_call(
    message: &Value,
    kind: EventKind,
    status: Option<CallStatus>,
    received_at: DateTime<Utc>,
) -> CallFacts {
    let direction = direction(message);
    let (from_number, to_number) = numbers(message, direction);
    let facts = CallFacts {
        status,
        direction,
        from_number,
        to_number,
        provider_assistant_id: owned(message, &["/call/assistantId", "/assistant/id"]),
        provider_phone_number_id: owned(message, &["/call/phoneNumberId", "/phoneNumber/id"]),
        created_at: instant(message, &["/call/createdAt"]),
        started_at: started_at(message),
        ended_at: ended_at(message),
        metadata: present(message, &["/call/assistantOverrides/metadata", "/assistant/metadata"]),
        ..CallFacts::default()
    };
    if !kind.is_final() {
        return facts;
    }
    CallFacts {
        duration_seconds: duration_seconds(message, kind),
        duration_flag: written_millis(message)
            .is_some_and(|millis| millis < 0.0)
            .then_some(DurationFlag::Negative),
        ended_reason: ended_reason(message).map(str::to_owned),
        cost_usd: cost_usd(message),
        summary: owned(message, &["/analysis/summary", "/summary"]),
        transcript: owned(message, &["/artifact/transcript", "/transcript"]),
        messages: spoken_messages(message),
        recording_urls: recording_urls(message, received_at),
        structured_data: present(message, &["/analysis/structuredData"]),
        ..facts
    }
}

/// Vapi's own word for why the call ended.
pub(super) fn ended_reason(message: &Value) -> Option<&str> {
    text(message, &["/endedReason", "/call/endedReason"])
}

fn started_at(message: &Value) -> Option<DateTime<Utc>> {
    instant(message, &["/startedAt", "/call/startedAt"])
}

fn ended_at(message: &Value) -> Option<DateTime<Utc>> {
    instant(message, &["/endedAt", "/call/endedAt"])
}

fn owned(message: &Value, pointers: &[&str]) -> Option<String> {
    text(message, pointers).map(str::to_owned)
}

fn present(message: &Value, pointers: &[&str]) -> Option<Value> {
    pointers.iter().find_map(|pointer| at(message, pointer).cloned())
}

fn direction(message: &Value) -> Option<Direction> {
    match text(message, &["/call/type"])? {
        "inboundPhoneCall" => Some(Direction::Inbound),
        "outboundPhoneCall" => Some(Direction::Outbound),
        "webCall" | "vapi.websocketCall" => Some(Direction::Web),
        _ => None,
    }
}

/// Calling and called number: the customer's and ours, by who rang whom.
fn numbers(message: &Value, direction: Option<Direction>) -> (Option<String>, Option<String>) {
    let customer = owned(message, &["/call/customer/number", "/customer/number"]);
    // The last is of calls through a number that was given with the call itself.
    let ours = owned(
        message,
        &["/phoneNumber/number", "/call/phoneNumber/number", "/phoneNumber/twilioPhoneNumber"],
    );
    match direction {
        Some(Direction::Inbound) => (customer, ours),
        Some(Direction::Outbound) => (ours, customer),
        Some(Direction::Web) | None => (None, None),
    }
}

/// Whole seconds rounded up. A report without a start is of a call that nobody answered; an `ended`
/// without one may have it in another event, so it says nothing.
fn duration_seconds(message: &Value, kind: EventKind) -> Option<u32> {
    if let (Some(start), Some(end)) = (started_at(message), ended_at(message)) {
        return Some(span_seconds(start, end).unwrap_or(0));
    }
    match written_millis(message) {
        // The cast saturates: negative is 0, and the fold caps what is too long.
        Some(millis) => Some((millis / 1000.0).ceil() as u32),
        None if kind == EventKind::Report => Some(0),
        None => None,
    }
}

/// The duration as Vapi wrote it, in whole milliseconds: minutes are no exact binary fractions, and
/// what is lost there must not become a further second.
fn written_millis(message: &Value) -> Option<f64> {
    let scaled = |pointer, millis: f64| Some(number(message, &[pointer])? * millis);
    scaled("/durationSeconds", 1000.0)
        .or_else(|| scaled("/durationMs", 1.0))
        .or_else(|| scaled("/durationMinutes", 60_000.0))
        .map(f64::round)
}

fn cost_usd(message: &Value) -> Option<Decimal> {
    let cost = number(message, &["/cost", "/call/cost", "/costBreakdown/total"])?;
    if !(0.0..=MAX_COST_USD).contains(&cost) {
        return None;
    }
    Decimal::try_from(cost).ok().map(|cost| cost.round_dp(6))
}

/// The talk without the `system` messages: those are the customer's prompt.
fn spoken_messages(message: &Value) -> Option<Value> {
    let messages = ["/artifact/messages", "/messages"]
        .iter()
        .filter_map(|pointer| at(message, pointer)?.as_array())
        .find(|messages| !messages.is_empty())?;
    let spoken: Vec<Value> = messages
        .iter()
        .filter(|entry| text(entry, &["/role"]) != Some("system"))
        .cloned()
        .collect();
    (!spoken.is_empty()).then_some(Value::Array(spoken))
}

/// Links to the audio, mono first: the model and the player want one track.
///
/// Presigned links are made anew for each delivery of a report, of which only one is kept. So they
/// come last: the first link, which is the recording's source, does not depend on which came first.
fn recording_urls(message: &Value, received_at: DateTime<Utc>) -> Option<Vec<String>> {
    const LASTING: &[&str] = &[
        "/artifact/recording/mono/combinedUrl",
        "/artifact/recordingUrl",
        "/recordingUrl",
        "/artifact/recording/stereoUrl",
        "/artifact/stereoRecordingUrl",
        "/stereoRecordingUrl",
    ];
    const PRESIGNED: &[&str] = &["/artifact/presignedMonoUrl", "/artifact/presignedStereoUrl"];
    let are_valid = instant(message, &["/artifact/presignedUrlsExpiresAt"])
        .is_some_and(|expiry| expiry > received_at);
    let presigned = if are_valid { PRESIGNED } else { &[] };
    links(message, LASTING.iter().chain(presigned))
}

/// The different links that the pointers lead to, in their order.
fn links<'a>(message: &Value, pointers: impl Iterator<Item = &'a &'a str>) -> Option<Vec<String>> {
    let mut urls: Vec<String> = Vec::new();
    for url in pointers.filter_map(|pointer| text(message, &[pointer])) {
        let is_link = url.starts_with("https://") || url.starts_with("http://");
        if is_link && url.len() <= MAX_URL_BYTES && !urls.iter().any(|known| known == url) {
            urls.push(url.to_owned());
        }
    }
    (!urls.is_empty()).then_some(urls)
}
