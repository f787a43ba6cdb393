//! Vapi: calls it places and recordings it keeps (shapes of the server SDK 2.0.1).

use axum::http::Method;
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Effect, Kind,
    asked::Asked,
    audio,
    reply::{Fake, Identity, Reply, phrase},
    shelf::Shelf,
    twilio::is_e164,
};

/// Calls a page when `limit` is unset, and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// What names the agent of a call; one of them is needed.
const AGENTS: [&str; 6] =
    ["assistantId", "assistant", "squadId", "squad", "workflowId", "workflow"];

#[derive(Debug, Default)]
pub(super) struct Vapi {
    calls: Shelf,
}

impl Fake for Vapi {
    fn identify(&self, asked: &Asked) -> Identity {
        if let Some(recording) = audio::identify(asked) {
            return recording;
        }
        match (&asked.method, asked.segments().as_slice()) {
            (&Method::POST, ["call"]) => {
                let keys = [number(asked), asked.field("name")];
                Identity::new(Kind::Call, keys.into_iter().flatten())
            }
            (&Method::GET, ["call"]) => Identity::new(Kind::Lookup, ["call"]),
            (&Method::GET, ["call", id]) => Identity::new(Kind::Lookup, [*id]),
            _ => Identity::unknown(asked),
        }
    }

    fn perform(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if audio::identify(asked).is_some() {
            return audio::reply(asked);
        }
        if asked.bearer().is_none() {
            return self.refuse(401);
        }
        match (&asked.method, asked.segments().as_slice()) {
            (&Method::POST, ["call"]) => self.create(asked, now),
            (&Method::GET, ["call"]) => self.list(asked),
            (&Method::GET, ["call", id]) => {
                self.calls.get(id).map_or_else(|| self.refuse(404), Reply::known)
            }
            _ => self.refuse(404),
        }
    }

    fn failure(&self, status: u16) -> Value {
        let message = match status {
            401 => {
                "Invalid Key. Hot tip, you may be using the private key instead of the \
                 public key, or vice versa."
            }
            status => phrase(status),
        };
        json!({ "message": message, "error": phrase(status), "statusCode": status })
    }

    fn restore(&self, effect: &Effect, _at: DateTime<Utc>) {
        if matches!(effect.kind, Kind::Call | Kind::Planted) {
            self.calls.put_back("id", effect.result.as_ref());
        }
    }

    /// What no call of Vapi's is without is filled in: both dates.
    fn plant(&self, id: &str, mut call: Value, now: DateTime<Utc>) -> Value {
        let now = json!(now.to_rfc3339_opts(SecondsFormat::Millis, true));
        for date in ["createdAt", "updatedAt"] {
            if call[date].is_null() {
                call[date] = now.clone();
            }
        }
        self.calls.put(id, call.clone());
        call
    }
}

impl Vapi {
    fn create(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if let Some(fault) = fault(asked) {
            let body = json!({ "message": [fault], "error": phrase(400), "statusCode": 400 });
            return Reply::refused(400, body);
        }
        let id = Uuid::now_v7().to_string();
        let call = call(&id, asked, now);
        self.calls.put(&id, call.clone());
        Reply::made(201, call)
    }

    /// `GET /call`: a bare list, the last created first.
    fn list(&self, asked: &Asked) -> Reply {
        let limit = asked.query_number("limit", PAGE.0, PAGE.1);
        let wanted = |call: &Value| {
            ["id", "assistantId", "phoneNumberId"].iter().all(|name| {
                asked.query(name).is_none_or(|value| call[*name].as_str() == Some(value))
            }) && in_range(asked, "createdAt", call)
                && in_range(asked, "updatedAt", call)
        };
        let made =
            |call: &Value| parse(call["createdAt"].as_str()?).map(|at| at.timestamp_micros());
        Reply::known(Value::Array(self.calls.newest(wanted, made, 0, limit).0))
    }
}

fn parse(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text).ok()
}

/// Whether a date of the call lies within `createdAtGt`, `…Ge`, `…Lt`, `…Le` of the query.
fn in_range(asked: &Asked, date: &str, call: &Value) -> bool {
    let Some(at) = call[date].as_str().and_then(parse) else { return false };
    let bound = |suffix: &str| asked.query(&format!("{date}{suffix}")).and_then(parse);
    bound("Gt").is_none_or(|bound| at > bound)
        && bound("Ge").is_none_or(|bound| at >= bound)
        && bound("Lt").is_none_or(|bound| at < bound)
        && bound("Le").is_none_or(|bound| at <= bound)
}

fn number(asked: &Asked) -> Option<&str> {
    asked.body.get("customer")?.get("number")?.as_str()
}

fn fault(asked: &Asked) -> Option<&'static str> {
    if !asked.body.is_object() {
        return Some("body must be a JSON object");
    }
    if AGENTS.iter().all(|name| asked.body.get(name).is_none()) {
        return Some(
            "Need Either `assistant`, `assistantId`, `squad`, `squadId`, `workflow` Or \
             `workflowId`.",
        );
    }
    if asked.field("phoneNumberId").is_none() && asked.body.get("phoneNumber").is_none() {
        return Some("Need Either `phoneNumber` Or `phoneNumberId`.");
    }
    if asked.field("name").is_some_and(|name| name.chars().count() > 40) {
        return Some("name must be shorter than or equal to 40 characters");
    }
    if !number(asked).is_some_and(is_e164) {
        return Some(
            "customer.number must be a valid phone number in the E.164 format. Hot tip, you may be \
             missing the country code (Eg. US: +1).",
        );
    }
    None
}

/// The call as it is right after it was asked for.
fn call(id: &str, asked: &Asked, now: DateTime<Utc>) -> Value {
    let now = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let sid = format!("CA{}", Uuid::new_v4().simple());
    let scheduled = asked.body.get("schedulePlan").is_some();
    let mut call = json!({
        "id": id,
        "orgId": "b7f0c1de-5d5c-4d0b-9d2c-0d6f4b3f2a11",
        "type": "outboundPhoneCall",
        "createdAt": now,
        "updatedAt": now,
        "cost": 0,
        "status": if scheduled { "scheduled" } else { "queued" },
        "phoneCallProvider": "twilio",
        "phoneCallProviderId": sid,
        "phoneCallTransport": "pstn",
        "monitor": {
            "listenUrl": format!("wss://phone-call-websocket.example.com/{id}/listen"),
            "controlUrl": format!("https://phone-call-websocket.example.com/{id}/control"),
        },
        "transport": { "callSid": sid, "provider": "twilio" },
    });
    if let (Some(call), Some(given)) = (call.as_object_mut(), asked.body.as_object()) {
        for (name, value) in given {
            call.entry(name).or_insert_with(|| value.clone());
        }
    }
    call
}
