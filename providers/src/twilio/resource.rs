//! A call as the API shows it, together with its recordings (`api_v2010_account_call`).

use std::str::FromStr;

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind},
    merge::{CallEvent, CallFacts, DurationFlag, span_seconds},
};
use rust_decimal::Decimal;
use serde_json::Value;

use super::{bounded_key, bounded_type, call_id, facts, form, status};
use crate::{
    incoming::{Incoming, Unreadable},
    json::{self, at, number, text},
};

/// Where the paths lie that Twilio writes without a host.
const API_HOST: &str = "https://api.twilio.com";
/// The column holds six digits before the point; no call costs more.
const MAX_COST_USD: i64 = 999_999;

/// Reads `{"call": {…}, "recordings": […]}`.
pub(super) fn read(body: &[u8], received_at: DateTime<Utc>) -> Result<Incoming, Unreadable> {
    let root = json::parse(body)?;
    let missing = |path| Unreadable::Field { path, problem: "is missing or not usable" };
    let call = at(&root, "/call").ok_or(missing("call"))?;
    let id = call_id(text(call, &["/sid"])).ok_or(missing("call.sid"))?;
    let written = text(call, &["/status"]).ok_or(missing("call.status"))?;
    let status = status::classify_call_status(written);
    let over = status.is_some_and(CallStatus::is_final);
    let known_at = ["/end_time", "/date_updated", "/start_time", "/date_created"];
    let at = known_at.iter().find_map(|pointer| instant(call, pointer)).unwrap_or(received_at);
    Ok(Incoming {
        message_type: bounded_type(&format!("api.call/{written}")),
        event_key: match over {
            true => format!("{id}/sweep/report"),
            false => bounded_key(format!("{id}/sweep/{written}")),
        },
        provider_call_id: Some(id),
        event: CallEvent {
            kind: if over { EventKind::Report } else { EventKind::Progress },
            at,
            facts: facts_of(&root, call, status),
        },
        message: None,
    })
}

fn facts_of(root: &Value, call: &Value, status: Option<CallStatus>) -> CallFacts {
    let owned = |pointer| text(call, &[pointer]).map(str::to_owned);
    // Twilio dates the ringing of a call that nobody answered as its start.
    let answered = matches!(status, Some(CallStatus::InProgress | CallStatus::Completed));
    let facts = CallFacts {
        status,
        direction: text(call, &["/direction"]).and_then(facts::direction),
        from_number: owned("/from"),
        to_number: owned("/to"),
        created_at: instant(call, "/date_created"),
        started_at: instant(call, "/start_time").filter(|_| answered),
        metadata: text(call, &["/answered_by"]).map(facts::answered_by),
        ..CallFacts::default()
    };
    if !status.is_some_and(CallStatus::is_final) {
        return facts;
    }
    let ended_at = instant(call, "/end_time");
    // The cast saturates: negative is 0, and the fold caps what is too long.
    let written = number(call, &["/duration"]);
    let told = written.map(|seconds| seconds.ceil() as u32);
    let seconds = told.or_else(|| span_seconds(facts.started_at?, ended_at?)).unwrap_or(0);
    CallFacts {
        started_at: facts.started_at.or_else(|| facts::answered_at(ended_at?, seconds)),
        ended_at,
        duration_seconds: Some(seconds),
        duration_flag: written
            .is_some_and(|seconds| seconds < 0.0)
            .then_some(DurationFlag::Negative),
        ended_reason: owned("/status"),
        cost_usd: cost_usd(call),
        recording_urls: recording_urls(root),
        ..facts
    }
}

fn instant(call: &Value, pointer: &str) -> Option<DateTime<Utc>> {
    form::instant(text(call, &[pointer])?)
}

/// What the call cost: Twilio writes it as a charge, `-0.00850`. Other currencies say nothing.
fn cost_usd(call: &Value) -> Option<Decimal> {
    let unit = text(call, &["/price_unit"])?;
    let price = match at(call, "/price")? {
        Value::String(written) => Decimal::from_str(written.trim()).ok()?,
        Value::Number(number) => Decimal::from_str(&number.to_string()).ok()?,
        _ => return None,
    };
    let cost = price.abs();
    let believable = unit.eq_ignore_ascii_case("USD") && cost <= Decimal::from(MAX_COST_USD);
    believable.then(|| cost.round_dp(6))
}

/// Links to the recordings that are there to be fetched, in Twilio's order.
fn recording_urls(root: &Value) -> Option<Vec<String>> {
    let recordings = at(root, "/recordings")?.as_array()?;
    let urls: Vec<String> = recordings
        .iter()
        .filter(|recording| text(recording, &["/status"]) == Some("completed"))
        .filter_map(|recording| match text(recording, &["/media_url"]) {
            Some(media) => facts::media_url(media),
            None => facts::media_url(&resource_url(text(recording, &["/uri"])?)?),
        })
        .collect();
    (!urls.is_empty()).then_some(urls)
}

/// The address of a recording as its callback writes it: of the account, also where the API shows
/// it below its call (`/…/Calls/CA…/Recordings/RE….json`).
fn resource_url(uri: &str) -> Option<String> {
    let path = uri.strip_suffix(".json").unwrap_or(uri);
    if !path.starts_with('/') {
        return None;
    }
    let path = match (path.split_once("/Calls/"), path.split_once("/Recordings/")) {
        (Some((account, _)), Some((_, recording))) => format!("{account}/Recordings/{recording}"),
        _ => path.to_owned(),
    };
    Some(format!("{API_HOST}{path}"))
}
