//! `CallProcessing`, and the first and last step of a call.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::{
    call::CallStatus,
    ids::{CallId, InboxId, OrganizationId},
    steps::{Step, StepRecord},
};

/// Workflow type: one run processes everything known of a call.
pub const CALL_PROCESSING: &str = "CallProcessing";
/// Signal: a further event of the call was stored while its workflow runs.
pub const CALL_EVENT: &str = "call-event";

/// Input of `CallProcessing`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessCall {
    /// Owner of the call.
    pub organization_id: OrganizationId,
    /// The call.
    pub call_id: CallId,
    /// Steps to run again although they are settled (`retry-step`); empty in a usual run.
    #[serde(default)]
    pub retry: Vec<Step>,
}

/// Payload of the signal `call-event`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallEventStored {
    /// The stored event.
    pub inbox_id: InboxId,
}

/// Result of `CallProcessing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessedCall {
    /// The call's final status.
    pub status: CallStatus,
    /// Steps that failed for good; each can be run again by `postcall calls retry-step`.
    pub failed_steps: Vec<Step>,
}

/// A call as activities are told of it: everything else they read from Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRef {
    /// Owner of the call.
    pub organization_id: OrganizationId,
    /// The call.
    pub call_id: CallId,
    /// Partition key, fixed by the first event.
    pub created_at: DateTime<Utc>,
}

/// Input of `calls.finish`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinishCall {
    /// Owner of the call.
    pub organization_id: OrganizationId,
    /// The call.
    pub call_id: CallId,
    /// Steps that count as needed although they are settled.
    #[serde(default)]
    pub retry: Vec<Step>,
}

/// Result of `calls.finish`: what is left to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinishedCall {
    /// Partition key of the call.
    pub created_at: DateTime<Utc>,
    /// Status after the fold.
    pub status: CallStatus,
    /// Steps with work to do. What is missing here is settled already or has nothing to do.
    pub needed: Vec<Step>,
}

/// Input of `calls.close`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloseCall {
    /// The call.
    pub call: CallRef,
    /// How the steps of this run ended; merged by name into the call's list.
    pub steps: Vec<StepRecord>,
}

/// Declares the activities; `activities` implements them.
pub struct Calls;

#[activity_definitions]
impl Calls {
    /// Folds the call's events into its rows, ledger and events, in one transaction.
    #[activity(name = "calls.finish")]
    pub fn finish(_: FinishCall) -> FinishedCall {
        unimplemented!()
    }

    /// Writes the step list, projects counters, tells dashboards.
    #[activity(name = "calls.close")]
    pub fn close(_: CloseCall) {
        unimplemented!()
    }
}

pub use self::calls::{Close, Finish};
