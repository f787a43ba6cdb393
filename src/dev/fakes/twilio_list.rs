//! Twilio's lists: filters, dates and pages, the same for messages and calls.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Value, json};

use super::{asked::Asked, reply::Reply, shelf::Shelf};

/// Resources a page when `PageSize` is unset, and at most.
const PAGE: (usize, usize) = (50, 1_000);
/// More pages than there can be resources.
const MOST_PAGES: usize = 1_000_000;
/// Filters by equality, and the fields that they look at.
const FIELDS: [(&str, &str); 4] =
    [("To", "to"), ("From", "from"), ("Status", "status"), ("ParentCallSid", "parent_call_sid")];

/// A filter by date, and the field that it looks at.
pub(super) type Dated = (&'static str, &'static str);
/// Of `Messages.json`.
pub(super) const OF_MESSAGES: &[Dated] = &[("DateSent", "date_created")];
/// Of `Calls.json`. A call that has not begun has no start, and one that goes on no end.
pub(super) const OF_CALLS: &[Dated] = &[("StartTime", "start_time"), ("EndTime", "end_time")];

/// A page of messages or calls, newest first. Filters: [`FIELDS`], and a date as `DateSent=`,
/// `DateSent>=`, `DateSent<=`.
///
/// An account sees its own only; what was planted without an account is everybody's.
pub(super) fn page(shelf: &Shelf, name: &str, dates: &[Dated], asked: &Asked) -> Reply {
    let account = asked.segments().get(2).copied();
    let size = asked.query_number("PageSize", PAGE.0, PAGE.1).max(1);
    let number = asked.query_number("Page", 0, MOST_PAGES);
    let wanted = |resource: &Value| {
        resource["account_sid"].as_str().is_none_or(|owner| Some(owner) == account)
            && FIELDS.iter().all(|(parameter, field)| {
                asked.query(parameter).is_none_or(|value| resource[*field].as_str() == Some(value))
            })
            && dates.iter().all(|date| is_dated(*date, asked, resource))
    };
    let made = |resource: &Value| time(resource, "date_created").map(|at| at.timestamp_millis());
    let (resources, more) = shelf.newest(wanted, made, size.saturating_mul(number), size);
    let resources: Vec<Value> = resources.into_iter().map(shown).collect();
    // As Twilio's, a path from the root of the host: so it begins with this fake's prefix.
    let next = more.then(|| asked.next_page(number + 1));
    Reply::known(json!({
        name: resources, "page": number, "page_size": size, "uri": asked.path,
        "next_page_uri": next,
    }))
}

/// A resource as Twilio shows it: recordings are a list of their own.
pub(super) fn shown(mut resource: Value) -> Value {
    if let Some(fields) = resource.as_object_mut() {
        fields.remove("recordings");
    }
    resource
}

/// `GET Calls/{Sid}/Recordings.json`: what was planted with the call, on one page.
pub(super) fn recordings(mut call: Value, asked: &Asked) -> Reply {
    let recordings = match call["recordings"].take() {
        Value::Array(recordings) => recordings,
        _ => Vec::new(),
    };
    Reply::known(json!({
        "recordings": recordings, "page": 0, "page_size": PAGE.0, "uri": asked.path,
        "next_page_uri": null,
    }))
}

fn time(resource: &Value, field: &str) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc2822(resource[field].as_str()?).ok()?;
    Some(at.to_utc())
}

/// Whether the field lies where the query wants it; bounds count as inside. What has no such date
/// matches only a query without bounds.
fn is_dated((parameter, field): Dated, asked: &Asked, resource: &Value) -> bool {
    // `StartTime>=2026-11-20` reaches a form parser as the name `StartTime>` with a day as value,
    // and as `StartTime>=` where the second sign is escaped.
    let bound = |sign: &str| {
        let written = asked.query(&format!("{parameter}{sign}"));
        written.or_else(|| asked.query(&format!("{parameter}{sign}=")))
    };
    let (day, from, to) = (asked.query(parameter), bound(">"), bound("<"));
    if day.or(from).or(to).is_none() {
        return true;
    }
    let Some(at) = time(resource, field) else { return false };
    day.is_none_or(|text| text.get(..10).and_then(|day| day.parse().ok()) == Some(at.date_naive()))
        && from.and_then(instant).is_none_or(|bound| at.timestamp() >= bound.timestamp())
        && to.and_then(instant).is_none_or(|bound| at.timestamp() <= bound.timestamp())
}

/// A time, or the midnight with which a day begins.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}
