//! The list of all types of events.

use super::{
    CallData, EndpointHealth, EventType, PeriodClosed, ReconcileFailed, ReportFailed, TestData,
    ThresholdReached,
};

/// The type of this name.
pub fn event_type(name: &str) -> Option<&'static EventType> {
    CATALOGUE.iter().find(|known| known.name == name)
}

/// Every type, in the order in which people are shown them.
pub const CATALOGUE: &[EventType] = &[
    EventType::of::<CallData>("call.started", "A call was answered."),
    EventType::later("call.ended", "A call is over, and its report is still to come."),
    EventType::of::<CallData>(
        "call.completed",
        "A call was talked through. Once per call; what is learned later comes as call.analyzed.",
    ),
    EventType::of::<CallData>(
        "call.failed",
        "A call ended otherwise: not answered, busy, canceled or failed. Once per call.",
    ),
    EventType::of::<CallData>(
        "call.analyzed",
        "More, or something else, is known of a call than was told before. Its data replaces the \
         data before.",
    ),
    EventType::later("conversation.updated", "Somebody said something in a call that goes on."),
    EventType::of::<ThresholdReached>(
        "usage.threshold_reached",
        "50, 75, 90 or 100 percent of the included minutes are used up. Once per period and share.",
    ),
    EventType::of::<ReconcileFailed>(
        "usage.reconcile_failed",
        "The nightly comparison found minutes that nobody can explain. Once a day at most.",
    ),
    EventType::of::<PeriodClosed>(
        "billing.period_closed",
        "A billing period is over and added up.",
    ),
    EventType::of::<ReportFailed>(
        "billing.report_failed",
        "Stripe could not be told of a period's minutes, or refused them. A person has to look.",
    ),
    EventType::later("verification.completed", "A verification call has an outcome."),
    EventType::later("negotiation.completed", "A negotiation call has an outcome."),
    EventType::later("driver_call.completed", "A call to a driver has an outcome."),
    EventType::of::<EndpointHealth>(
        "webhook.endpoint_disabled",
        "An endpoint gets no more events: it answered 410, or did nothing but fail for 5 days.",
    ),
    EventType::of::<EndpointHealth>(
        "webhook.endpoint_failing",
        "An endpoint does nothing but fail, and half, three quarters or nine tenths of the time \
         are over after which it is disabled.",
    ),
    EventType::of::<EndpointHealth>(
        "webhook.endpoint_recovered",
        "An endpoint that was said to fail has taken an event.",
    ),
    EventType::of::<TestData>("webhook.test", "Somebody asked for a test of an endpoint."),
];

/// The names of [`CATALOGUE`].
pub(super) const NAMES: [&str; CATALOGUE.len()] = {
    let mut names = [""; CATALOGUE.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = CATALOGUE[at].name;
        at += 1;
    }
    names
};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::events::{EVENT_TYPES, MOST_BYTES, MOST_THIN_BYTES};

    #[test]
    fn every_type_is_there_once_and_can_be_said() {
        for known in CATALOGUE {
            let same = CATALOGUE.iter().filter(|other| other.name == known.name);
            assert_eq!(same.count(), 1, "{}", known.name);
            assert!(known.description.ends_with('.'), "{}", known.name);
            assert!(known.name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'.' | b'_')));
        }
        assert_eq!(EVENT_TYPES.len(), CATALOGUE.len());
        assert_eq!(event_type("call.failed").map(|found| found.name), Some("call.failed"));
        assert!(event_type("call_completed").is_none(), "only dashboards are told of it");
    }

    #[test]
    fn what_is_available_has_schema_and_example_and_nothing_else_has() {
        for known in CATALOGUE {
            let has = [known.schema().is_some(), known.example().is_some()];
            assert_eq!(has, [known.is_available(); 2], "{}", known.name);
        }
    }

    #[test]
    fn examples_are_small_and_thin_ones_hold_ids_and_links_only() {
        for known in CATALOGUE.iter().filter(|known| known.is_available()) {
            let (whole, thin) = (known.example(), known.example_thin());
            let length = |body: &Option<Value>| body.as_ref().map_or(0, |b| b.to_string().len());
            assert!(length(&whole) < MOST_BYTES, "{}", known.name);
            assert!((100..MOST_THIN_BYTES).contains(&length(&thin)), "{}: {thin:?}", known.name);
            let thin = thin.unwrap_or_default();
            let data = thin["data"].as_object().cloned().unwrap_or_default();
            assert!(!data.is_empty(), "{}", known.name);
            let ids = ["id", "organization_id", "period_id", "links"];
            assert!(data.keys().all(|name| ids.contains(&name.as_str())), "{thin}");
        }
    }

    #[test]
    fn a_schema_is_one_document() {
        for schema in CATALOGUE.iter().filter_map(EventType::schema) {
            let text = schema.to_string();
            assert!(!text.contains("$ref") && !text.contains("$defs"), "{text}");
        }
    }
}
