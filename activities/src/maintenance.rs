//! Housekeeping that schedules start.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::sync::Arc;

use contract::maintenance::{EnsurePartitions, PartitionsEnsured};
use store::Database;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::failure::of_store;

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
}
