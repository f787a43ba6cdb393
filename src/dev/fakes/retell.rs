//! Retell: calls it places and recordings it keeps (shapes of SDK 5.66.1).

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Effect, Kind,
    asked::Asked,
    audio,
    reply::{Fake, Identity, Reply, phrase},
    retell_list,
    shelf::Shelf,
    twilio::is_e164,
};

#[derive(Debug, Default)]
pub(super) struct Retell {
    calls: Shelf,
}

impl Fake for Retell {
    fn identify(&self, asked: &Asked) -> Identity {
        if let Some(recording) = audio::identify(asked) {
            return recording;
        }
        match (&asked.method, asked.segments().as_slice()) {
            (&Method::POST, ["v2", "create-phone-call"]) => {
                Identity::new(Kind::Call, asked.field("to_number"))
            }
            (&Method::GET, ["v2", "get-call", id]) => Identity::new(Kind::Lookup, [*id]),
            (&Method::POST, ["v3", "list-calls"]) => Identity::new(Kind::Lookup, ["list-calls"]),
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
            (&Method::POST, ["v2", "create-phone-call"]) => self.create(asked, now),
            // Retell answers 422 for a call that it does not know.
            (&Method::GET, ["v2", "get-call", id]) => {
                self.calls.get(id).map_or_else(|| self.refuse(422), Reply::known)
            }
            (&Method::POST, ["v3", "list-calls"]) => retell_list::page(&self.calls, asked),
            _ => self.refuse(404),
        }
    }

    fn failure(&self, status: u16) -> Value {
        let message = match status {
            401 => "Invalid API Key",
            402 => "Trial over, please add payment method.",
            422 => "Cannot find requested asset under given api key.",
            429 => "Account rate limited, please throttle your requests.",
            status => phrase(status),
        };
        json!({ "status": "error", "message": message })
    }

    fn restore(&self, effect: &Effect, _at: DateTime<Utc>) {
        if matches!(effect.kind, Kind::Call | Kind::Planted) {
            self.calls.put_back("call_id", effect.result.as_ref());
        }
    }

    fn plant(&self, id: &str, call: Value, _now: DateTime<Utc>) -> Value {
        self.calls.put(id, call.clone());
        call
    }
}

impl Retell {
    fn create(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        for name in ["from_number", "to_number"] {
            if !asked.field(name).is_some_and(is_e164) {
                let message = format!("{name} must be a phone number in E.164 format");
                return Reply::refused(400, json!({ "status": "error", "message": message }));
            }
        }
        let id = format!("call_{}", Uuid::now_v7().simple());
        let given = |name: &str| asked.body.get(name).cloned().unwrap_or(Value::Null);
        let agent = asked.field("override_agent_id").unwrap_or("agent_00000000000000000000000000");
        let mut call = json!({
            "call_id": id,
            "call_type": "phone_call",
            "agent_id": agent,
            "agent_version": 0,
            "call_status": "registered",
            "from_number": given("from_number"),
            "to_number": given("to_number"),
            "direction": "outbound",
            "start_timestamp": now.timestamp_millis(),
            "data_storage_setting": "everything",
            "opt_in_signed_url": false,
        });
        for name in ["metadata", "retell_llm_dynamic_variables", "custom_sip_headers"] {
            if asked.body.get(name).is_some() {
                call[name] = given(name);
            }
        }
        self.calls.put(&id, call.clone());
        Reply::made(201, call)
    }
}
