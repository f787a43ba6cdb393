//! The notification steps.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::{calls::CallRef, words::words};

words! {
    /// How a notification travels.
    Channel, "channel" { Sms = "sms", Email = "email" }
}

words! {
    /// Life of one notification. `sending` is committed before the provider is asked.
    NotificationState, "notification state" {
        Pending = "pending",
        Sending = "sending",
        Sent = "sent",
        Failed = "failed",
        Unknown = "unknown",
    }
}

/// Input of `notify.sms` and `notify.email`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Notify {
    /// The call to tell of.
    pub call: CallRef,
    /// Whether recipients whose notification failed for good are tried again (`retry-step`).
    #[serde(default)]
    pub retry_failed: bool,
}

/// Result of `notify.sms` and `notify.email`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// Recipients that have their message.
    pub sent: u32,
}

/// Declares the activities; `activities` implements them.
pub struct Notifications;

#[activity_definitions]
impl Notifications {
    /// One text message to each recipient, once per call.
    #[activity(name = "notify.sms")]
    pub fn sms(_: Notify) -> Notified {
        unimplemented!()
    }

    /// One email to each recipient, once per call.
    #[activity(name = "notify.email")]
    pub fn email(_: Notify) -> Notified {
        unimplemented!()
    }
}

pub use self::notifications::{Email, Sms};
