//! Error reports: what Stripe finds out about usage after it has taken it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Stripe,
    usage::{meter_id, short_hash},
};

/// The code of usage that no meter takes; its event is of another type and about no object.
pub(super) const NO_METER: &str = "no_meter";

impl Stripe {
    /// Keeps the report of one meter event, to be fetched by its id, and gives it.
    pub(super) fn file_report(&self, event: &Value, code: &str, at: DateTime<Utc>) -> Value {
        let report = report(event, code, at);
        self.reports.put_back("id", Some(&report));
        report
    }
}

/// What is posted of it: no more than that it is there.
pub(super) fn thin(report: &Value) -> Value {
    let mut thin = report.clone();
    if let Some(fields) = thin.as_object_mut() {
        fields.remove("data");
        fields.remove("reason");
    }
    thin
}

fn report(event: &Value, code: &str, at: DateTime<Utc>) -> Value {
    let identifier = event["identifier"].as_str().unwrap_or_default();
    let meter = meter_id(event["event_name"].as_str().unwrap_or_default());
    let no_meter = code == NO_METER;
    let kind = if no_meter { "no_meter_found" } else { "error_report_triggered" };
    let url = format!("/v1/billing/meters/{meter}");
    let related = json!({ "id": meter, "type": "billing.meter", "url": url });
    let sample = json!({
        "error_message": format!("Not counted: {code}."), "request": { "identifier": identifier },
    });
    let written = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        // The same after a restart, but another one if the identifier is forgotten and comes again.
        "id": format!("evt_test_{}", short_hash(&format!("{identifier} {}", event["created"]))),
        "object": "v2.core.event",
        "type": format!("v1.billing.meter.{kind}"),
        "livemode": false,
        "created": written(at),
        "context": null,
        "reason": null,
        "data": {
            "developer_message_summary": "There is 1 invalid event",
            "reason": {
                "error_count": 1,
                "error_types": [{ "code": code, "error_count": 1, "sample_errors": [sample] }],
            },
            "validation_start": written(at - TimeDelta::minutes(1)),
            "validation_end": written(at),
        },
        "related_object": if no_meter { Value::Null } else { related },
    })
}
