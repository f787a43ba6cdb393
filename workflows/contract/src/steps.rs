//! The steps of a call as its record shows them.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// A step of `CallProcessing`, by the name that API, command line and Temporal UI show.
    Step, "step" {
        Finish = "finish",
        Recording = "recording",
        Extract = "extract",
        Sms = "sms",
        Email = "email",
        Webhooks = "webhooks",
        Close = "close",
    }
}

impl Step {
    /// Whether `retry-step` can run it again: `finish` and `close` run in every run anyway.
    pub const fn can_be_retried(self) -> bool {
        !matches!(self, Self::Finish | Self::Close)
    }
}

words! {
    /// How a step ended.
    StepStatus, "step status" {
        Completed = "completed",
        Failed = "failed",
        /// Nothing to do: no recording, no recipients, no subscribed endpoint.
        Skipped = "skipped",
    }
}

/// One line of a call's step list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Which step.
    pub name: Step,
    /// How it ended.
    pub status: StepStatus,
    /// What went wrong, by class (`twilio.rejected: 21610`), free of personal data.
    #[serde(default)]
    pub error: Option<String>,
}
