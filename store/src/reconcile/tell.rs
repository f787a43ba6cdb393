//! Telling an organization that its books differ.

use chrono::{DateTime, Utc};
use contract::{
    events::{ReconcileFailed, ReconcileLinks, UnexplainedRow},
    ids::OrganizationId,
};
use serde_json::json;

use super::row::{Row, Scope};
use crate::{Database, StoreError, database::commit, events};

/// Webhook event of books that differ, and nobody knows why.
pub const RECONCILE_FAILED: &str = "usage.reconcile_failed";
/// Rows that the event shows; the API shows all.
const MOST_ROWS: usize = 20;

/// Tells that rows of an organization are unexplained, once a day of UTC. False where it was told.
pub async fn tell(
    db: &Database,
    organization: OrganizationId,
    rows: &[Row],
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let unexplained: Vec<_> = rows
        .iter()
        .filter(|row| row.organization_id == organization && row.unexplained != 0)
        .collect();
    if unexplained.is_empty() {
        return Ok(false);
    }
    let effect_key = format!("{RECONCILE_FAILED}/{}", now.date_naive());
    let data = json!(ReconcileFailed {
        organization_id: organization,
        unexplained: unexplained.len(),
        rows: unexplained.iter().take(MOST_ROWS).map(|row| shown(row)).collect(),
        links: ReconcileLinks::default(),
    });
    let mut tx = db.tenant(organization).await?;
    let is_new =
        events::emit_organization(&mut tx, organization, RECONCILE_FAILED, &effect_key, data)
            .await?;
    commit(tx, "reconcile.tell").await?;
    Ok(is_new)
}

fn shown(row: &Row) -> UnexplainedRow {
    let (day, period) = match row.scope {
        Scope::Day(date) => (Some(date), None),
        Scope::Period { id, .. } => (None, Some(id)),
    };
    UnexplainedRow {
        day,
        period_id: period,
        measure: row.measure.as_str().to_owned(),
        difference: row.difference,
        unexplained: row.unexplained,
    }
}
