//! Stripe: billing meter events and customers, with its idempotency keys and event identifiers.

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Effect, Kind,
    asked::Asked,
    remembered::{Once, Remembered},
    reply::{Fake, Identity, Reply, phrase},
};

#[derive(Debug, Default)]
pub(super) struct Stripe {
    keys: Remembered,
    identifiers: Remembered,
}

const METER_EVENTS: [&str; 3] = ["v1", "billing", "meter_events"];
const CUSTOMERS: [&str; 2] = ["v1", "customers"];

impl Fake for Stripe {
    fn identify(&self, asked: &Asked) -> Identity {
        let key = asked.header("idempotency-key");
        match kind(asked) {
            Some(Kind::MeterEvent) => {
                let customer = asked.field("payload[stripe_customer_id]");
                let keys = [asked.field("identifier"), key, customer];
                Identity::new(Kind::MeterEvent, keys.into_iter().flatten())
            }
            Some(kind) => {
                let keys = [asked.field("email"), asked.field("name"), key];
                Identity::new(kind, keys.into_iter().flatten())
            }
            None => Identity::unknown(asked),
        }
    }

    fn perform(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if asked.bearer().is_none() && !asked.header("authorization").is_some_and(is_basic) {
            return self.refuse(401);
        }
        let Some(kind) = kind(asked) else { return self.refuse(404) };
        let Some(key) = asked.header("idempotency-key") else { return self.make(kind, asked, now) };
        match self.keys.once(key, asked.fingerprint(), now, || self.make(kind, asked, now)) {
            Once::Now(reply) => reply,
            Once::Before(reply) => reply.with("idempotent-replayed", "true"),
            Once::Other => {
                let message = format!(
                    "Keys for idempotent requests can only be used with the same parameters they \
                     were first used with. Try using a key other than '{key}' if you meant to \
                     execute a different request."
                );
                let error = json!({ "message": message, "type": "idempotency_error" });
                Reply::refused(400, json!({ "error": error }))
            }
        }
    }

    fn failure(&self, status: u16) -> Value {
        let error = match status {
            401 => json!({
                "message": "Invalid API Key provided: sk_test_********0000",
                "type": "invalid_request_error",
            }),
            404 => {
                json!({ "message": "Unrecognized request URL.", "type": "invalid_request_error" })
            }
            429 => json!({
                "code": "rate_limit",
                "doc_url": "https://stripe.com/docs/error-codes/rate-limit",
                "message": "Request rate limit exceeded. Learn more about rate limits here \
                    https://stripe.com/docs/rate-limits.",
                "type": "invalid_request_error",
            }),
            500..=599 => json!({
                "message": "An unknown error occurred. (Reference: fake)",
                "type": "api_error",
            }),
            status => json!({ "message": phrase(status), "type": "invalid_request_error" }),
        };
        json!({ "error": error })
    }

    fn restore(&self, effect: &Effect, at: DateTime<Utc>) {
        let Some(made) = &effect.result else { return };
        let reply = Reply::made(200, made.clone());
        if effect.kind == Kind::MeterEvent
            && let Some(identifier) = made.get("identifier").and_then(Value::as_str)
        {
            self.identifiers.put_back(identifier, String::new(), reply.clone(), at);
        }
        if let Some(key) = effect.request.headers.get("idempotency-key") {
            self.keys.put_back(key, effect.request.fingerprint(), reply, at);
        }
    }
}

impl Stripe {
    fn make(&self, kind: Kind, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if kind == Kind::Customer {
            return Reply::made(200, customer(asked, now));
        }
        if let Some(name) = missing(asked) {
            return parameter(
                name,
                "parameter_missing",
                &format!("Missing required param: {name}."),
            );
        }
        let timestamp = asked.field("timestamp").map(str::parse);
        let timestamp = match timestamp {
            None => now.timestamp(),
            Some(Ok(seconds)) => seconds,
            Some(Err(_)) => {
                return parameter("timestamp", "parameter_invalid_integer", "Invalid integer");
            }
        };
        let generated = Uuid::new_v4().to_string();
        let identifier = asked.field("identifier").unwrap_or(&generated);
        let event = || Reply::made(200, meter_event(asked, identifier, timestamp, now));
        match self.identifiers.once(identifier, String::new(), now, event) {
            Once::Now(reply) => reply,
            // Under a new idempotency key Stripe refuses a known identifier; whoever sent it may
            // take that for a yes.
            Once::Before(_) | Once::Other => {
                let message = format!("An event already exists with identifier {identifier}.");
                let error = json!({ "message": message, "type": "invalid_request_error" });
                Reply::refused(400, json!({ "error": error })).with("stripe-should-retry", "false")
            }
        }
    }
}

fn kind(asked: &Asked) -> Option<Kind> {
    if asked.method != Method::POST {
        return None;
    }
    let segments = asked.segments();
    if segments == METER_EVENTS {
        Some(Kind::MeterEvent)
    } else if segments == CUSTOMERS {
        Some(Kind::Customer)
    } else {
        None
    }
}

/// Stripe also takes the key as the user name of Basic authentication, without a password.
fn is_basic(authorization: &str) -> bool {
    authorization.starts_with("Basic ")
}

fn missing(asked: &Asked) -> Option<&'static str> {
    if asked.field("event_name").is_none() {
        return Some("event_name");
    }
    payload(asked).is_empty().then_some("payload")
}

fn parameter(name: &str, code: &str, message: &str) -> Reply {
    let doc_url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
    let error = json!({
        "code": code, "doc_url": doc_url, "message": message, "param": name,
        "type": "invalid_request_error",
    });
    Reply::refused(400, json!({ "error": error }))
}

/// The fields `name[key]` of a form, as an object.
fn nested(asked: &Asked, name: &str) -> Map<String, Value> {
    let fields = asked.body.as_object().into_iter().flatten();
    fields
        .filter_map(|(field, value)| {
            let key = field.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((key.to_owned(), value.clone()))
        })
        .collect()
}

fn payload(asked: &Asked) -> Map<String, Value> {
    nested(asked, "payload")
}

fn meter_event(asked: &Asked, identifier: &str, timestamp: i64, now: DateTime<Utc>) -> Value {
    json!({
        "object": "billing.meter_event",
        "created": now.timestamp(),
        "event_name": asked.field("event_name"),
        "identifier": identifier,
        "livemode": false,
        "payload": payload(asked),
        "timestamp": timestamp,
    })
}

fn customer(asked: &Asked, now: DateTime<Utc>) -> Value {
    let id: String = Uuid::new_v4().simple().to_string().chars().take(14).collect();
    json!({
        "id": format!("cus_{id}"),
        "object": "customer",
        "created": now.timestamp(),
        "description": asked.field("description"),
        "email": asked.field("email"),
        "livemode": false,
        "metadata": nested(asked, "metadata"),
        "name": asked.field("name"),
        "phone": asked.field("phone"),
    })
}
