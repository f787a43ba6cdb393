//! Events that customers are told of by webhook: their types, what each carries, and what endpoints
//! may subscribe to.
//!
//! [`CATALOGUE`] is the one list. What an event carries is a struct here, from which its JSON, its
//! JSON Schema and its example are made, so that none of them can say something else. A struct only
//! grows; what would break a receiver is a new type of event.

mod billing;
mod call;
mod catalogue;
mod endpoint;
mod kind;
mod size;
mod thin;
mod timestamp;
mod usage;

pub use billing::{PeriodClosed, ReportFailed, ReportRefused, ReportUnsent};
pub use call::{CallData, CallLinks};
pub use catalogue::{CATALOGUE, event_type};
pub use endpoint::{EndpointHealth, TestData};
pub use kind::{EventData, EventType, VERSION, envelope};
pub use size::{MOST_BYTES, MOST_THIN_BYTES};
pub use thin::thin;
pub use timestamp::{Timestamp, timestamp};
pub use usage::{ReconcileFailed, ReconcileLinks, ThresholdReached, UnexplainedRow};

/// Every type of event that an endpoint can get.
pub const EVENT_TYPES: &[&str] = &catalogue::NAMES;

/// Whether an endpoint may subscribe to it: a type, all of a family (`call.*`), or everything (`*`).
pub fn is_subscription(text: &str) -> bool {
    let is_family = |family: &str| {
        EVENT_TYPES.iter().any(|known| known.split_once('.').is_some_and(|(of, _)| of == family))
    };
    text == "*" || EVENT_TYPES.contains(&text) || text.strip_suffix(".*").is_some_and(is_family)
}

/// The family of a type, as endpoints subscribe to it: `call.*` of `call.completed`.
pub fn family(event_type: &str) -> String {
    format!("{}.*", event_type.split('.').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_families_and_everything_can_be_subscribed_to_and_nothing_else() {
        assert!(
            ["*", "call.*", "webhook.*", "call.completed"].map(is_subscription).iter().all(|s| *s)
        );
        let wrong =
            ["", ".*", "call", "call.", "call.unknown", "calls.*", "call.*.*", "**", " call.*"];
        assert_eq!(wrong.map(is_subscription), [false; 9]);
        assert!(EVENT_TYPES.iter().all(|known| is_subscription(&family(known))));
    }
}
