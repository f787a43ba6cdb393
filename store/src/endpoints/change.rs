//! What all changes have in common: the wait for each other, and the audit log.

use contract::ids::EndpointId;
use sqlx::query;

use super::endpoint::{Endpoint, find};
use crate::{
    Database, StoreError,
    audit::Changer,
    database::{Tx, commit},
    deliveries,
    error::During,
    sealing::Sealer,
};

impl Changer {
    /// Begins a transaction that no other change of the organization's endpoints runs beside.
    ///
    /// An advisory lock: one of the endpoint's row would have to be taken before the locks of its
    /// deliveries, and whoever attempts them takes them the other way round.
    pub(super) async fn begin(
        &self,
        db: &Database,
        operation: &'static str,
    ) -> Result<Tx, StoreError> {
        let mut tx = db.tenant(self.organization).await?;
        let name = format!("endpoints/{}", self.organization);
        query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", name)
            .execute(&mut *tx)
            .await
            .during(operation)?;
        Ok(tx)
    }
}

/// Some 500 ms of work, under locks that whoever settles attempts may wait for.
const ENDED_AT_ONCE: i64 = 10_000;

/// How the audit log names an endpoint.
pub(super) fn target(id: EndpointId) -> String {
    format!("webhooks:{id}")
}

/// A transaction that changes one endpoint. Dropped without [`Change::finish`] it changes nothing.
pub(super) struct Change<'a> {
    pub(super) tx: Tx,
    pub(super) before: Endpoint,
    sealer: &'a Sealer,
    changer: &'a Changer,
    operation: &'static str,
}

impl<'a> Change<'a> {
    /// None where there is no such endpoint.
    pub(super) async fn begin(
        db: &Database,
        sealer: &'a Sealer,
        changer: &'a Changer,
        id: EndpointId,
        operation: &'static str,
    ) -> Result<Option<Self>, StoreError> {
        let mut tx = changer.begin(db, operation).await?;
        let before = find(&mut tx, sealer, changer.organization, id).await.during(operation)?;
        Ok(before.map(|before| Self { tx, before, sealer, changer, operation }))
    }

    /// Nothing more is sent: pending deliveries of the endpoint end here, and where there are very many
    /// the rest when it is due. An attempt that is under way finds its delivery settled.
    pub(super) async fn end_pending(&mut self) -> Result<(), StoreError> {
        deliveries::end_pending(&mut self.tx, &[self.before.id.0], ENDED_AT_ONCE).await
    }

    /// Writes the audit log and commits; tells what the endpoint became, nothing where it is gone.
    pub(super) async fn finish(mut self) -> Result<Option<Endpoint>, StoreError> {
        let (organization, id) = (self.changer.organization, self.before.id);
        let after = find(&mut self.tx, self.sealer, organization, id).await;
        let after = after.during(self.operation)?;
        let (was, is) = (self.before.audited(), after.as_ref().map(Endpoint::audited));
        self.changer.record(&mut self.tx, self.operation, &target(id), Some(was), is).await?;
        commit(self.tx, self.operation).await?;
        Ok(after)
    }
}
