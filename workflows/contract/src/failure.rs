//! Type names of activity failures, as histories and step lists show them.

/// The input or the stored data can never work: trying again changes nothing.
pub const INVALID: &str = "Invalid";
/// A dependency (database, provider, model) did not do its part; trying again may help.
pub const UNAVAILABLE: &str = "Unavailable";
/// A provider refused for good (bad number, unverified domain, quota): trying again changes nothing.
pub const REJECTED: &str = "Rejected";
/// The provider may or may not have acted; looked up before anything is sent again.
pub const UNKNOWN_OUTCOME: &str = "UnknownOutcome";
/// The endpoint is disabled or gone (HTTP 410): the delivery ends.
pub const WEBHOOK_DISABLED: &str = "WebhookDisabledError";
/// The endpoint answered, but not with 2xx, or not at all.
pub const DELIVERY_FAILED: &str = "DeliveryFailed";
/// The delivery waits in the queue again (its endpoint's circuit is open, a rate or an order holds it
/// back): its workflow ends, and another begins when a further attempt from there has failed.
pub const DELIVERY_RELEASED: &str = "DeliveryReleased";
