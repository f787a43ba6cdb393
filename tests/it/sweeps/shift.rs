//! The examples' times, and how they are moved to other ones.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::harness::signed::Webhook;

/// When the examples' calls were made: 2026-11-20T15:00:00Z, in milliseconds.
pub(super) const MADE: i64 = 1_795_186_800_000;
/// Nothing in the examples that belongs to a call is later than an hour after that.
const HOUR: i64 = 3_600_000;
/// From here on, the talk of the examples is over.
const OVER: i64 = MADE + 129_000;

/// From the time of the examples to another one.
pub(super) struct Shift {
    /// Milliseconds.
    pub(super) by: i64,
    /// Seconds that the talk lasts longer.
    pub(super) longer: i64,
}

impl Shift {
    /// Nothing where the time is not one of the call.
    fn millis(&self, at: i64) -> Option<i64> {
        let longer = if at >= OVER { self.longer * 1000 } else { 0 };
        (MADE..MADE + HOUR).contains(&at).then_some(at + self.by + longer)
    }

    pub(super) fn json(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.json(value);
                    let seconds_in_it = match name.as_str() {
                        "durationMs" | "duration_ms" => 1000.0,
                        "durationSeconds" => 1.0,
                        "durationMinutes" => 1.0 / 60.0,
                        _ => continue,
                    };
                    let told = value.as_f64().expect("a duration");
                    *value = json!(told + self.longer as f64 * seconds_in_it);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::Number(number) => {
                if let Some(moved) = number.as_i64().and_then(|at| self.millis(at)) {
                    *value = json!(moved);
                }
            }
            Value::String(written) => {
                if let Some(moved) = self.text(written) {
                    *written = moved;
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A time as it was written.
    fn text(&self, written: &str) -> Option<String> {
        if let Ok(at) = DateTime::parse_from_rfc3339(written) {
            return self.millis(at.timestamp_millis()).map(text);
        }
        let at = DateTime::parse_from_rfc2822(written).ok()?;
        Some(instant(self.millis(at.timestamp_millis())?).to_rfc2822())
    }

    pub(super) fn webhook(&self, webhook: &mut Webhook) {
        match webhook {
            Webhook::Vapi(body) | Webhook::Retell(body) => {
                let mut message: Value = serde_json::from_slice(body).expect("JSON");
                self.json(&mut message);
                *body = message.to_string().into_bytes();
            }
            Webhook::Twilio(_, form) => {
                let mut moved = form_urlencoded::Serializer::new(String::new());
                for (name, value) in form_urlencoded::parse(form.as_bytes()) {
                    let longer = |value: &str| {
                        let told: i64 = value.parse().expect("seconds");
                        Some((told + self.longer).to_string())
                    };
                    let value = match &*name {
                        "CallDuration" | "RecordingDuration" => longer(&value),
                        _ => self.text(&value),
                    }
                    .unwrap_or(value.into_owned());
                    moved.append_pair(&name, &value);
                }
                *form = moved.finish();
            }
        }
    }
}

/// A time of so many milliseconds.
pub(super) fn instant(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).expect("in range")
}

/// A time of so many milliseconds, as Vapi writes it.
pub(super) fn text(millis: i64) -> String {
    instant(millis).to_rfc3339_opts(SecondsFormat::Millis, true)
}
