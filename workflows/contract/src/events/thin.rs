//! The thin body of an event: what happened to what, and nothing about it.

use serde_json::{Map, Value, json};

/// What of `data` stays. The provider's ids are not ours, and left out.
const KEPT: [&str; 4] = ["id", "organization_id", "period_id", "links"];

/// Type, time, ids and links of a whole event: for receivers that want no personal data, or always
/// ask for the newest. Pure, so that it need not be stored.
///
/// ```
/// let whole = serde_json::json!({ "type": "call.completed", "timestamp": "2026-11-20T15:00:00.000Z",
///     "data": { "id": "4d3a", "summary": "Ana booked a table.", "links": { "call": "/v1/calls/4d3a" } } });
/// let thin = contract::events::thin(&whole);
/// assert_eq!(thin["data"], serde_json::json!({ "id": "4d3a", "links": { "call": "/v1/calls/4d3a" } }));
/// ```
pub fn thin(payload: &Value) -> Value {
    let data = payload["data"].as_object();
    let kept = KEPT.iter().filter_map(|name| {
        let value = data?.get(*name)?;
        Some(((*name).to_owned(), value.clone()))
    });
    json!({
        "type": payload["type"],
        "timestamp": payload["timestamp"],
        "data": kept.collect::<Map<_, _>>(),
    })
}
