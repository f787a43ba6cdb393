//! Housekeeping that schedules start.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::sync::Arc;

use contract::maintenance::{EnsurePartitions, LogsTrimmed, PartitionsEnsured, TrimLogs};
use store::Database;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{failure::of_store, heartbeat::beating};

/// Batches of one round, so that it ends within minutes.
const BATCHES: usize = 200;

/// What housekeeping needs.
#[derive(Debug, Clone)]
pub struct MaintenanceActivities {
    /// The schema to keep.
    pub db: Database,
}

#[activities]
impl MaintenanceActivities {
    /// Creates missing monthly partitions.
    #[activity(definition = contract::maintenance::EnsurePartitionsActivity)]
    pub async fn ensure_partitions(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: EnsurePartitions,
    ) -> Result<PartitionsEnsured, ActivityError> {
        let ensured = store::maintenance::ensure_partitions(&self.db, input.months_ahead)
            .await
            .map_err(|error| of_store(&error))?;
        if ensured.rows_in_default > 0 {
            tracing::error!(rows = ensured.rows_in_default, "rows lie in DEFAULT partitions");
        }
        metrics::gauge!("postcall_rows_in_default_partitions").set(ensured.rows_in_default as f64);
        Ok(ensured)
    }

    /// Removes old attempts at deliveries, some thousand at a time: nobody waits for their locks.
    #[activity(definition = contract::maintenance::TrimLogsActivity)]
    pub async fn trim_logs(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: TrimLogs,
    ) -> Result<LogsTrimmed, ActivityError> {
        beating(&ctx, async {
            let mut removed = 0;
            for _ in 0..BATCHES {
                let batch = store::maintenance::trim_logs(&self.db, input.keep_days).await;
                let batch = batch.map_err(|error| of_store(&error))?;
                removed += batch;
                if batch == 0 {
                    return Ok(LogsTrimmed { removed, more: false });
                }
            }
            Ok(LogsTrimmed { removed, more: true })
        })
        .await
    }
}
