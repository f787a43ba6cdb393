//! The audit log: what somebody changed by hand, written in the transaction of the change.

use contract::ids::OrganizationId;
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use crate::{StoreError, database::Tx, error::During};

/// One change, free of secrets and personal data.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    /// Whose rows were changed.
    pub organization_id: OrganizationId,
    /// Who changed them: `api_key:{id}`.
    pub actor: &'a str,
    /// What was done, such as `inbox.replay`.
    pub action: &'a str,
    /// What it was done to, such as `inbox:{id}`.
    pub target: &'a str,
    /// What it was before, as far as it matters.
    pub before: Option<Value>,
    /// What it became.
    pub after: Option<Value>,
}

/// Writes one entry; it stands if and only if the transaction commits.
pub(crate) async fn record(tx: &mut Tx, entry: Entry<'_>) -> Result<(), StoreError> {
    query!(
        "insert into audit_log (id, organization_id, actor, action, target, before, after)
         values ($1, $2, $3, $4, $5, $6, $7)",
        Uuid::now_v7(),
        entry.organization_id.0,
        entry.actor,
        entry.action,
        entry.target,
        entry.before,
        entry.after,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("audit.record")
}
