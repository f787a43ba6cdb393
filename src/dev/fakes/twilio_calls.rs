//! Twilio's outbound calls.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    asked::Asked,
    reply::Reply,
    shelf::Shelf,
    twilio::{error, is_e164, not_found},
    twilio_list::shown,
};

/// The lists that hang on a call.
const SUBRESOURCES: [&str; 4] = ["Notifications", "Recordings", "Events", "Streams"];

/// `POST Calls.json`.
pub(super) fn create(calls: &Shelf, account: &str, asked: &Asked, now: DateTime<Utc>) -> Reply {
    let refuse = |code, message: &str| Reply::refused(400, error(400, code, message));
    let Some(to) = asked.field("To") else {
        return refuse(21201, "No 'To' number is specified");
    };
    if !is_e164(to) {
        return refuse(21211, &format!("Invalid 'To' Phone Number: {to}"));
    }
    let Some(from) = asked.field("From") else {
        return refuse(21213, "No 'From' number is specified");
    };
    if ["Url", "Twiml", "ApplicationSid"].iter().all(|name| asked.field(name).is_none()) {
        return refuse(21205, "Url parameter is required.");
    }
    let sid = format!("CA{}", Uuid::new_v4().simple());
    let mut call = call(account, &sid, from, to);
    let answered = call.clone();
    // Twilio dates a call only once it is looked up.
    call["date_created"] = json!(now.to_rfc2822());
    call["date_updated"] = json!(now.to_rfc2822());
    calls.put(&sid, call.clone());
    Reply { result: Some(call), ..Reply::made(201, answered) }
}

/// `POST Calls/{Sid}.json`: `Status=completed` or `canceled` ends the call, `Url` or `Twiml`
/// redirect it.
pub(super) fn change(calls: &Shelf, sid: &str, asked: &Asked, now: DateTime<Utc>) -> Reply {
    let Some(mut call) = calls.get(sid) else { return not_found(asked) };
    if let Some(status) = asked.field("Status") {
        if !["completed", "canceled"].contains(&status) {
            return Reply::refused(400, error(400, 21218, "Invalid Status"));
        }
        call["status"] = json!(status);
        call["end_time"] = json!(now.to_rfc2822());
    }
    call["date_updated"] = json!(now.to_rfc2822());
    calls.put(sid, call.clone());
    Reply { result: Some(call.clone()), ..Reply::made(200, shown(call)) }
}

fn call(account: &str, sid: &str, from: &str, to: &str) -> Value {
    let uri = format!("/2010-04-01/Accounts/{account}/Calls/{sid}");
    let subresources: Map<String, Value> = SUBRESOURCES
        .iter()
        .map(|name| (name.to_lowercase(), json!(format!("{uri}/{name}.json"))))
        .collect();
    json!({
        "account_sid": account, "annotation": null, "answered_by": null,
        "api_version": "2010-04-01", "caller_name": null, "date_created": null,
        "date_updated": null, "direction": "outbound-api", "duration": null, "end_time": null,
        "forwarded_from": null, "from": from, "from_formatted": from, "group_sid": null,
        "parent_call_sid": null, "phone_number_sid": format!("PN{}", Uuid::new_v4().simple()),
        "price": null, "price_unit": "USD", "queue_time": "0", "sid": sid, "start_time": null,
        "status": "queued", "subresource_uris": subresources, "to": to, "to_formatted": to,
        "trunk_sid": null, "uri": format!("{uri}.json"),
    })
}
