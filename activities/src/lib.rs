//! One effect each: the activities of `contract`, done with `store` and `providers`.
//!
//! Deliberately absent: order, retries and waiting, which are the workflows'; environment and
//! globals, which an activity gets as fields. Every effect may be asked for twice, so each is
//! claimed, keyed or idempotent, and an error's text is free of personal data: it goes to histories.

mod aggregation;
mod alerts;
mod billing;
mod calls;
mod clock;
mod delivery;
mod extraction;
mod failure;
pub mod faults;
mod fold;
mod heartbeat;
mod mail;
mod maintenance;
mod message;
mod notifications;
mod onboarding;
mod reconciliation;
mod recording;
mod rules;
mod sweep;
mod usage;

pub use billing::BillingActivities;
pub use calls::CallActivities;
pub use clock::Clock;
pub use delivery::{Gate, Made, Pass, WebhookActivities};
pub use extraction::ExtractionActivities;
pub use fold::fold;
pub use maintenance::MaintenanceActivities;
pub use notifications::NotificationActivities;
pub use onboarding::OnboardingActivities;
pub use recording::RecordingActivities;
pub use sweep::SweepActivities;
pub use usage::UsageActivities;
