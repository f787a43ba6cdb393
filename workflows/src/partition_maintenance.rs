//! `PartitionMaintenance`: next months' partitions are there before their first call.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::maintenance::{EnsurePartitions, Maintenance, PartitionsEnsured};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowResult};

use crate::policy;

/// Started daily by the schedule `partition-maintenance`.
#[workflow]
#[derive(Default)]
pub struct PartitionMaintenance;

#[workflow_methods]
impl PartitionMaintenance {
    #[run(name = "PartitionMaintenance")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: EnsurePartitions,
    ) -> WorkflowResult<PartitionsEnsured> {
        let ensured =
            ctx.execute_activity(Maintenance::ensure_partitions, input, policy::notification());
        Ok(ensured.await?)
    }
}
