//! Redis projections that failed are repeated until they work.

use std::{collections::BTreeSet, time::Duration};

use chrono::Utc;
use contract::ids::OrganizationId;
use store::{Database, counters::Counters, usage};
use tokio::sync::mpsc::UnboundedReceiver;

/// Between two tries while Redis is down.
const PAUSE: Duration = Duration::from_secs(2);

/// Projects the usage of organizations whose projection failed.
pub(super) async fn keep_projecting(
    db: Database,
    counters: Counters,
    mut failed: UnboundedReceiver<OrganizationId>,
) {
    let mut waiting = BTreeSet::new();
    while let Some(organization) = failed.recv().await {
        waiting.insert(organization);
        while !waiting.is_empty() {
            tokio::time::sleep(PAUSE).await;
            while let Ok(organization) = failed.try_recv() {
                waiting.insert(organization);
            }
            for organization in waiting.clone() {
                if project(&db, &counters, organization).await.is_ok() {
                    waiting.remove(&organization);
                }
            }
        }
    }
}

async fn project(
    db: &Database,
    counters: &Counters,
    organization: OrganizationId,
) -> Result<(), store::StoreError> {
    let projection = usage::projection(db, organization, Utc::now()).await?;
    counters.show(organization, &projection).await
}
