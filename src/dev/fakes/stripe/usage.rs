//! Meter events: taken, counted or not, and summed up.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Asked, Once, Reply, Stripe, StripeSettings, books::Line, customers::nested, missing, no_such,
    page, parameter, reports,
};

/// The meter that is there without being asked for.
const METER: &str = "voice_minutes";
/// How old usage may be, and how far ahead (docs.stripe.com/api/billing/meter-event/create).
const OLDEST: TimeDelta = TimeDelta::days(35);
const FURTHEST_AHEAD: TimeDelta = TimeDelta::minutes(5);
/// Where the log keeps why a meter event was not counted, beside what was answered.
const NOT_COUNTED: &str = "not_counted";
/// Where the log keeps what was counted, if that is not what was told.
const COUNTED: &str = "counted";

impl Stripe {
    pub(super) fn take_usage(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if asked.field("event_name").is_none() {
            return missing("event_name");
        }
        if nested(asked, "payload").is_empty() {
            return missing("payload");
        }
        let timestamp = match timestamp(asked, now) {
            Ok(timestamp) => timestamp,
            Err(refused) => return refused,
        };
        let generated = Uuid::new_v4().to_string();
        let identifier = asked.field("identifier").unwrap_or(&generated);
        let take = || self.take(&meter_event(asked, identifier, timestamp, now), now);
        match self.identifiers.once(identifier, String::new(), now, take) {
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

    fn take(&self, event: &Value, now: DateTime<Utc>) -> Reply {
        if self.books.are_full() {
            let message = "The fake holds no more meter events; start it anew.";
            return Reply::refused(503, json!({ "error": { "message": message } }));
        }
        let settings = self.webhook.settings();
        let judged = self.judge(event, &settings);
        let mut reply = Reply::made(200, event.clone());
        if let Err(code) = judged {
            let mut logged = event.clone();
            logged[NOT_COUNTED] = code.into();
            reply.result = Some(logged);
            let report = self.file_report(event, code, now);
            self.webhook.deliver_later(reports::thin(&report), settings.report_after_ms);
        }
        let customer = event["payload"]["stripe_customer_id"].as_str().unwrap_or_default();
        let counted = match (judged, settings.counted_times.get(customer)) {
            (Ok(value), Some(times)) => {
                let counted = value.saturating_mul(*times);
                let mut logged = event.clone();
                logged[COUNTED] = counted.into();
                reply.result = Some(logged);
                Some(counted)
            }
            (judged, _) => judged.ok(),
        };
        self.write(event, counted);
        reply
    }

    /// Takes in what an earlier run answered; gives the answer.
    pub(super) fn restore_usage(&self, mut made: Value, at: DateTime<Utc>) -> Value {
        let mut logged = |name| made.as_object_mut().and_then(|fields| fields.remove(name));
        let (code, counted) = (logged(NOT_COUNTED), logged(COUNTED));
        let value = match code.as_ref().and_then(Value::as_str) {
            Some(code) => {
                self.file_report(&made, code, at);
                None
            }
            None => counted.as_ref().and_then(Value::as_u64).or_else(|| value(&made)),
        };
        self.write(&made, value);
        let identifier = made["identifier"].as_str().unwrap_or_default();
        self.identifiers.put_back(identifier, String::new(), Reply::made(200, made.clone()), at);
        made
    }

    fn write(&self, event: &Value, value: Option<u64>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = Line {
            event_name: text(&event["event_name"]),
            customer: text(&event["payload"]["stripe_customer_id"]),
            timestamp: event["timestamp"].as_i64().unwrap_or_default(),
        };
        self.books.write(&text(&event["identifier"]), value.map(|value| (line, value)));
    }

    /// What a meter event adds, or Stripe's code for why it adds nothing.
    fn judge(&self, event: &Value, settings: &StripeSettings) -> Result<u64, &'static str> {
        let names = settings.meters.as_ref();
        if names.is_some_and(|names| !names.iter().any(|name| event["event_name"] == *name)) {
            return Err(reports::NO_METER);
        }
        let Some(customer) = event["payload"]["stripe_customer_id"].as_str() else {
            return Err("meter_event_no_customer_defined");
        };
        if !self.knows(customer, settings) {
            return Err("meter_event_customer_not_found");
        }
        value(event).ok_or("meter_event_invalid_value")
    }

    fn knows(&self, customer: &str, settings: &StripeSettings) -> bool {
        settings.any_customer
            || settings.known_customers.iter().any(|known| known == customer)
            || self.customers.get(customer).is_some()
    }

    pub(super) fn list_meters(&self, asked: &Asked) -> Reply {
        if asked.query("status").is_some_and(|status| status != "active") {
            return page(&[], asked);
        }
        let meters: Vec<Value> = self.meters().iter().map(|name| meter(name)).collect();
        page(&meters, asked)
    }

    /// One summary of the whole time, as without `value_grouping_window`.
    pub(super) fn summarize(&self, meter: &str, asked: &Asked) -> Reply {
        let Some(name) = self.meters().into_iter().find(|name| meter_id(name) == meter) else {
            return no_such("meter", meter);
        };
        let Some(customer) = asked.query("customer") else { return missing("customer") };
        if !self.knows(customer, &self.webhook.settings()) {
            return no_such("customer", customer);
        }
        let minute = |name: &str| {
            let seconds = asked.query(name).and_then(|text| text.parse::<i64>().ok());
            seconds.filter(|seconds| seconds % 60 == 0)
        };
        let unaligned = |name| {
            parameter(name, "parameter_invalid_integer", "It must align with minute boundaries.")
        };
        let Some(start) = minute("start_time") else { return unaligned("start_time") };
        let Some(end) = minute("end_time").filter(|end| start < *end) else {
            return unaligned("end_time");
        };
        let summary = self.books.sum(&name, customer, start..end).map(|sum| {
            json!({
                "id": format!("mtrusg_{}", short_hash(&format!("{meter} {customer} {start} {end}"))),
                "object": "billing.meter_event_summary", "aggregated_value": sum,
                "start_time": start, "end_time": end, "livemode": false, "meter": meter,
            })
        });
        page(summary.as_slice(), asked)
    }

    fn meters(&self) -> Vec<String> {
        let seen = || {
            let mut seen = self.books.event_names();
            seen.insert(METER.to_owned());
            seen.into_iter().collect()
        };
        self.webhook.settings().meters.unwrap_or_else(seen)
    }
}

fn timestamp(asked: &Asked, now: DateTime<Utc>) -> Result<i64, Reply> {
    let Some(written) = asked.field("timestamp") else { return Ok(now.timestamp()) };
    let refused = |code, message| Err(parameter("timestamp", code, message));
    match written.parse() {
        Err(_) => refused("parameter_invalid_integer", "Invalid integer"),
        Ok(seconds) if seconds < (now - OLDEST).timestamp() => {
            refused("timestamp_too_far_in_past", "It must be within the past 35 calendar days.")
        }
        Ok(seconds) if seconds > (now + FURTHEST_AHEAD).timestamp() => {
            refused("timestamp_in_future", "It must be at most 5 minutes in the future.")
        }
        Ok(seconds) => Ok(seconds),
    }
}

/// A whole number that is not negative: all that postcall may send.
fn value(event: &Value) -> Option<u64> {
    event["payload"]["value"].as_str()?.parse().ok()
}

fn meter_event(asked: &Asked, identifier: &str, timestamp: i64, now: DateTime<Utc>) -> Value {
    json!({
        "object": "billing.meter_event",
        "created": now.timestamp(),
        "event_name": asked.field("event_name"),
        "identifier": identifier,
        "livemode": false,
        "payload": nested(asked, "payload"),
        "timestamp": timestamp,
    })
}

fn meter(event_name: &str) -> Value {
    json!({
        "id": meter_id(event_name),
        "object": "billing.meter",
        "customer_mapping": { "event_payload_key": "stripe_customer_id", "type": "by_id" },
        "default_aggregation": { "formula": "sum" },
        "display_name": event_name,
        "event_name": event_name,
        "event_time_window": null,
        "livemode": false,
        "status": "active",
        "value_settings": { "event_payload_key": "value" },
    })
}

/// The same for the same name, also after a restart.
pub(super) fn meter_id(event_name: &str) -> String {
    format!("mtr_{}", short_hash(event_name))
}

pub(super) fn short_hash(text: &str) -> String {
    let mut hash = hex::encode(Sha256::digest(text));
    hash.truncate(24);
    hash
}
