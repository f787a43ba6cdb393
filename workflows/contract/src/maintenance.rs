//! Housekeeping that schedules start.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

/// Workflow type: makes the monthly partitions ahead of time.
pub const PARTITION_MAINTENANCE: &str = "PartitionMaintenance";

/// Input of `PartitionMaintenance` and of `maintenance.ensure_partitions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnsurePartitions {
    /// How many months after the current one must have partitions, 1 to 24.
    pub months_ahead: u32,
}

/// Result of `maintenance.ensure_partitions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionsEnsured {
    /// Partitions made by this run.
    pub created: u32,
    /// Rows that lie in DEFAULT partitions; anything but 0 is an alert.
    pub rows_in_default: u64,
}

/// Workflow type: removes attempts at deliveries that are old.
pub const LOG_RETENTION: &str = "LogRetention";

/// Input of `LogRetention` and of `maintenance.trim_logs`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct TrimLogs {
    /// Attempts are kept for so many days.
    pub keep_days: u32,
}

/// Result of `maintenance.trim_logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsTrimmed {
    /// Attempts removed.
    pub removed: u64,
    /// Whether older ones may be left.
    pub more: bool,
}

/// Declares the activities; `activities` implements them.
pub struct Maintenance;

#[activity_definitions]
impl Maintenance {
    /// Creates missing monthly partitions.
    #[activity(name = "maintenance.ensure_partitions")]
    pub fn ensure_partitions(_: EnsurePartitions) -> PartitionsEnsured {
        unimplemented!()
    }

    /// Removes old attempts at deliveries, some thousand at a time.
    #[activity(name = "maintenance.trim_logs")]
    pub fn trim_logs(_: TrimLogs) -> LogsTrimmed {
        unimplemented!()
    }
}

pub use self::maintenance::{
    EnsurePartitions as EnsurePartitionsActivity, TrimLogs as TrimLogsActivity,
};
