//! One effect each: the activities of `contract`, done with `store` and `providers`.
//!
//! Deliberately absent: order, retries and waiting, which are the workflows'; environment and
//! globals, which an activity gets as fields. Every effect may be asked for twice, so each is
//! claimed, keyed or idempotent, and an error's text is free of personal data: it goes to histories.

mod calls;
mod delivery;
mod extraction;
mod failure;
pub mod faults;
mod fold;
mod heartbeat;
mod maintenance;
mod message;
mod notifications;
mod recording;
mod rules;
mod sweep;

pub use calls::CallActivities;
pub use delivery::WebhookActivities;
pub use extraction::ExtractionActivities;
pub use fold::fold;
pub use maintenance::MaintenanceActivities;
pub use notifications::NotificationActivities;
pub use recording::RecordingActivities;
pub use sweep::SweepActivities;
