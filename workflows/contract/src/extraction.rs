//! The extraction step.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::{calls::CallRef, words::words};

words! {
    /// How an extraction ended, as `call_results.status` keeps it.
    ExtractionStatus, "extraction status" {
        Ok = "ok", Empty = "empty", Failed = "failed", Skipped = "skipped",
    }
}

/// Result of `extraction.extract`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// How it ended.
    pub status: ExtractionStatus,
    /// How many action items were found.
    pub actions: u32,
}

/// Declares the activities; `activities` implements them.
pub struct Extraction;

#[activity_definitions]
impl Extraction {
    /// Asks the model (or the rules) what was agreed, once per transcript.
    #[activity(name = "extraction.extract")]
    pub fn extract(_: CallRef) -> Extracted {
        unimplemented!()
    }
}

pub use self::extraction::Extract;
