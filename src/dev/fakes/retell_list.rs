//! `POST /v3/list-calls` (SDK 5.66.1: `CallListParams`, `CallListResponse`).

use serde_json::{Map, Value, json};

use super::{asked::Asked, reply::Reply, shelf::Shelf};

/// Calls a page when `limit` is unset, and at most.
const PAGE: (u64, u64) = (50, 1_000);
/// What only `get-call` shows.
const NOT_LISTED: [&str; 4] = [
    "transcript",
    "transcript_object",
    "transcript_with_tool_calls",
    "scrubbed_transcript_with_tool_calls",
];
/// Criteria that are heeded; another one is refused, so that no test believes in it.
const CRITERIA: [&str; 12] = [
    "agent",
    "call_id",
    "call_status",
    "call_type",
    "combined_cost",
    "direction",
    "disconnection_reason",
    "duration_ms",
    "end_timestamp",
    "from_number",
    "start_timestamp",
    "to_number",
];

/// A page by `start_timestamp`, newest first unless `sort_order` is `ascending`.
pub(super) fn page(calls: &Shelf, asked: &Asked) -> Reply {
    let none = Map::new();
    let criteria = match asked.body.get("filter_criteria") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(criteria)) => criteria,
        Some(_) => return refused("filter_criteria must be object"),
    };
    if let Some(fault) = criteria.iter().find_map(|(name, filter)| fault(name, filter)) {
        return refused(&fault);
    }
    let number = |name: &str| asked.body.get(name).and_then(Value::as_u64);
    let limit = usize::try_from(number("limit").unwrap_or(PAGE.0).min(PAGE.1)).unwrap_or(0);
    let after = asked.field("pagination_key").and_then(|key| key.parse().ok());
    let skip = after.or_else(|| usize::try_from(number("skip")?).ok()).unwrap_or(0);

    let wanted = |call: &Value| criteria.iter().all(|(name, filter)| meets(call, name, filter));
    let ascending = asked.field("sort_order") == Some("ascending");
    let began = |call: &Value| {
        let at = call["start_timestamp"].as_i64()?;
        Some(if ascending { at.saturating_neg() } else { at })
    };
    let (items, has_more) = calls.newest(wanted, began, skip, limit);
    let items: Vec<Value> = items.into_iter().map(listed).collect();
    let mut page = json!({ "items": items, "has_more": has_more });
    if has_more {
        page["pagination_key"] = json!(skip.saturating_add(limit).to_string());
    }
    if asked.body.get("include_total") == Some(&Value::Bool(true)) {
        page["total"] = json!(calls.newest(wanted, began, 0, usize::MAX).0.len());
    }
    Reply::known(page)
}

fn refused(message: &str) -> Reply {
    Reply::refused(400, json!({ "status": "error", "message": message }))
}

fn listed(mut call: Value) -> Value {
    if let Some(fields) = call.as_object_mut() {
        fields.retain(|name, _| !NOT_LISTED.contains(&name.as_str()));
    }
    call
}

/// What is wrong with a criterion.
fn fault(name: &str, filter: &Value) -> Option<String> {
    if !CRITERIA.contains(&name) {
        return Some(format!("filter_criteria/{name} is not heeded by this fake"));
    }
    let operators: &[&str] = match (name, filter["type"].as_str()) {
        ("agent", _) if filter.is_array() => return None,
        (_, Some("range")) if bounds(filter).is_some() => &["bt"],
        (_, Some("number")) if filter["value"].is_number() => &["eq", "ne", "gt", "ge", "lt", "le"],
        (_, Some("string")) if filter["value"].is_string() => &["eq", "ne", "sw", "ew", "co"],
        (_, Some("enum")) if filter["value"].is_array() => &["in"],
        _ => &[],
    };
    let known = filter["op"].as_str().is_some_and(|op| operators.contains(&op));
    (!known).then(|| format!("filter_criteria/{name} must match a schema in anyOf"))
}

fn bounds(filter: &Value) -> Option<(f64, f64)> {
    match filter["value"].as_array()?.as_slice() {
        [lower, upper] => Some((lower.as_f64()?, upper.as_f64()?)),
        _ => None,
    }
}

/// Whether a call meets a criterion without fault. What a call does not have meets none.
fn meets(call: &Value, name: &str, filter: &Value) -> bool {
    if name == "agent" {
        let agents = filter.as_array().map(Vec::as_slice).unwrap_or_default();
        return agents.iter().any(|agent| agent["agent_id"] == call["agent_id"]);
    }
    let found = match name {
        "combined_cost" => &call["call_cost"]["combined_cost"],
        name => &call[name],
    };
    if filter["type"] == "enum" {
        return filter["value"].as_array().is_some_and(|values| values.contains(found));
    }
    let op = filter["op"].as_str().unwrap_or_default();
    match (found, &filter["value"]) {
        (Value::Number(found), wanted) => found.as_f64().is_some_and(|found| match op {
            "bt" => bounds(filter).is_some_and(|(low, high)| low <= found && found <= high),
            op => wanted.as_f64().is_some_and(|wanted| compare(op, found, wanted)),
        }),
        (Value::String(found), Value::String(wanted)) => match op {
            "eq" => found == wanted,
            "ne" => found != wanted,
            "sw" => found.starts_with(wanted.as_str()),
            "ew" => found.ends_with(wanted.as_str()),
            _ => found.contains(wanted.as_str()),
        },
        _ => false,
    }
}

fn compare(op: &str, found: f64, wanted: f64) -> bool {
    match op {
        "eq" => found == wanted,
        "ne" => found != wanted,
        "gt" => found > wanted,
        "ge" => found >= wanted,
        "lt" => found < wanted,
        _ => found <= wanted,
    }
}
