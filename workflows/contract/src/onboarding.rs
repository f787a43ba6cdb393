//! `Onboarding`: everything a new organization needs before its first call.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::ids::OrganizationId;

/// Workflow type: from the new organization to its first call.
pub const ONBOARDING: &str = "Onboarding";
/// Signal of `Onboarding`: the organization's first call was counted.
pub const FIRST_CALL: &str = "first-call";

/// Input of `Onboarding`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OnboardOrganization {
    /// The new organization.
    pub organization_id: OrganizationId,
    /// When people are reminded; tests shorten it.
    #[serde(default)]
    pub timing: OnboardingTiming,
}

/// When people are reminded, in seconds after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnboardingTiming {
    /// The three reminders, in order.
    pub reminder_seconds: [u32; 3],
    /// No first call by then: the onboarding ends without.
    pub end_seconds: u32,
}

impl Default for OnboardingTiming {
    fn default() -> Self {
        const DAY: u32 = 86_400;
        Self { reminder_seconds: [DAY, 3 * DAY, 7 * DAY], end_seconds: 14 * DAY }
    }
}

/// Input of the activities of `Onboarding`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OnboardingStep {
    /// The new organization.
    pub organization_id: OrganizationId,
}

/// Input of `onboarding.remind`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Remind {
    /// The new organization.
    pub organization_id: OrganizationId,
    /// 0 is the welcome, 1 to 3 are the reminders.
    pub number: u32,
}

/// Input of `onboarding.end`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct EndOnboarding {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Whether its first call came.
    pub has_called: bool,
}

/// Result of a step of `Onboarding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepDone {
    /// Whether there was something to do; false where it was done before or does not apply.
    pub done: bool,
    /// Whether the first call has been counted.
    pub has_called: bool,
}

/// Result of `Onboarding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Onboarded {
    /// Whether the first call came in time.
    pub has_called: bool,
    /// Reminders that were sent.
    pub reminders: u32,
}

/// Declares the activities; `activities` implements them.
pub struct OnboardingSteps;

#[activity_definitions]
impl OnboardingSteps {
    /// Makes the customer at Stripe, once.
    #[activity(name = "onboarding.customer")]
    pub fn customer(_: OnboardingStep) -> StepDone {
        unimplemented!()
    }

    /// Writes default settings, the assistant from the chosen template and the first API key.
    #[activity(name = "onboarding.furnish")]
    pub fn furnish(_: OnboardingStep) -> StepDone {
        unimplemented!()
    }

    /// Sends the welcome, or a reminder unless the first call has come.
    #[activity(name = "onboarding.remind")]
    pub fn remind(_: Remind) -> StepDone {
        unimplemented!()
    }

    /// Writes down how it ended.
    #[activity(name = "onboarding.end")]
    pub fn end(_: EndOnboarding) -> StepDone {
        unimplemented!()
    }
}

pub use self::onboarding_steps::{
    Customer as CustomerActivity, End as EndActivity, Furnish as FurnishActivity,
    Remind as RemindActivity,
};
