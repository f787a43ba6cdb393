//! Supabase Realtime: broadcasts to dashboards.

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{
    Kind,
    asked::Asked,
    reply::{Content, Fake, Identity, Reply, phrase},
};

const BROADCAST: [&str; 4] = ["realtime", "v1", "api", "broadcast"];

#[derive(Debug)]
pub(super) struct Supabase;

impl Fake for Supabase {
    fn identify(&self, asked: &Asked) -> Identity {
        if asked.method != Method::POST || asked.segments() != BROADCAST {
            return Identity::unknown(asked);
        }
        let topics = messages(asked).iter().filter_map(|message| message.get("topic")?.as_str());
        Identity::new(Kind::Broadcast, topics)
    }

    fn perform(&self, asked: &Asked, _now: DateTime<Utc>) -> Reply {
        if asked.method != Method::POST || asked.segments() != BROADCAST {
            return self.refuse(404);
        }
        if asked.header("apikey").or(asked.bearer()).is_none_or(str::is_empty) {
            return self.refuse(401);
        }
        // One bad message drops the whole batch.
        let faults: Vec<Value> = messages(asked).iter().map(fault).collect();
        if faults.is_empty() {
            return Reply::refused(422, json!({ "errors": { "messages": ["can't be blank"] } }));
        }
        if faults.iter().any(|fault| fault.as_object().is_some_and(|fault| !fault.is_empty())) {
            return Reply::refused(422, json!({ "errors": { "messages": faults } }));
        }
        Reply::done(202, Content::Empty)
    }

    fn failure(&self, status: u16) -> Value {
        let message = match status {
            401 => "Unauthorized",
            429 => "You have exceeded your rate limit",
            status => phrase(status),
        };
        json!({ "message": message })
    }
}

fn messages(asked: &Asked) -> &[Value] {
    asked.body.get("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn fault(message: &Value) -> Value {
    let blank = |name: &&str| match message.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    let names = ["topic", "event", "payload"].into_iter().filter(blank);
    let faults: Map<String, Value> =
        names.map(|name| (name.to_owned(), json!(["can't be blank"]))).collect();
    Value::Object(faults)
}
