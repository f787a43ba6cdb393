//! The recording step.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::calls::CallRef;

/// Result of `recording.archive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedRecording {
    /// Size of the stored object in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored object, lower-case hex.
    pub sha256: String,
}

/// Declares the activities; `activities` implements them.
pub struct Recordings;

#[activity_definitions]
impl Recordings {
    /// Copies the audio from the provider to object storage.
    #[activity(name = "recording.archive")]
    pub fn archive(_: CallRef) -> ArchivedRecording {
        unimplemented!()
    }
}

pub use self::recordings::Archive;
