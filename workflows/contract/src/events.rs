//! Events that customers are told of by webhook: their types, and what endpoints may subscribe to.

/// Every type of event that an endpoint can get.
pub const EVENT_TYPES: &[&str] = &[
    "call.started",
    "call.ended",
    "call.completed",
    "call.failed",
    "call.analyzed",
    "conversation.updated",
    "usage.threshold_reached",
    "usage.reconcile_failed",
    "billing.period_closed",
    "billing.report_failed",
    "verification.completed",
    "negotiation.completed",
    "driver_call.completed",
    "webhook.endpoint_disabled",
    "webhook.endpoint_failing",
    "webhook.endpoint_recovered",
    "webhook.test",
];

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
