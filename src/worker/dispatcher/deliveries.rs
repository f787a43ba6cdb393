//! Deliveries that no workflow of a call begins: of events about an organization, of `call.started`, and
//! what was left behind.

use std::time::Duration;

use contract::{
    calls::CallRef,
    delivery::{DeliverWebhook, DeliverySchedule},
    ids::{DeliveryId, OrganizationId},
    names::{WEBHOOK_DELIVERY_QUEUE, delivery_workflow_id},
};
use futures::{StreamExt, stream};
use store::{deliveries, deliveries::Overdue};
use temporalio_client::{WorkflowStartOptions, errors::WorkflowStartError};
use tokio::sync::watch;
use workflows::WebhookDelivery;

use super::{AT_ONCE, BATCH, DispatchError, Dispatcher, LEASE, RETRY, refused, within};

/// Deliveries that are due are looked for this often, like the workflows that a transaction asked for:
/// an event about an organization is due in the transaction that writes it.
const POLL: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Starts the workflows of deliveries that are due, until `stop` turns true.
    pub(super) async fn look_after_deliveries(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            // A connection may hang when Postgres fails over; what was claimed is due again later.
            let pause = match tokio::time::timeout(LEASE, self.start_due_deliveries()).await {
                // A full batch: more is waiting.
                Ok(Ok(started)) if started >= usize::try_from(BATCH).unwrap_or(usize::MAX) => {
                    continue;
                }
                Ok(Ok(_)) => POLL,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "deliveries that are due wait for a later look");
                    RETRY
                }
                Err(_) => {
                    tracing::warn!("a look for deliveries that are due took too long");
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// First attempts of events about organizations; and deliveries whose workflow was never started, or
    /// was lost with Temporal's data.
    async fn start_due_deliveries(&self) -> Result<usize, DispatchError> {
        let due = deliveries::claim_overdue(&self.db, BATCH).await?;
        let claimed = due.len();
        let start = async |due: Overdue| {
            let started = self.start_delivery(due.organization_id, due.id, due.attempts).await;
            if let Err(error) = started {
                tracing::warn!(%error, "a delivery is due again when its lease ends");
            }
        };
        stream::iter(due).for_each_concurrent(AT_ONCE, start).await;
        Ok(claimed)
    }

    /// `call.started` has no workflow of the call to make its first attempts.
    pub(super) async fn deliver_started(
        &self,
        organization: OrganizationId,
        call: CallRef,
    ) -> Result<(), DispatchError> {
        for delivery in deliveries::unattempted_of_call(&self.db, call).await? {
            self.start_delivery(organization, delivery, 0).await?;
        }
        Ok(())
    }

    async fn start_delivery(
        &self,
        organization_id: OrganizationId,
        delivery_id: DeliveryId,
        attempts_made: u32,
    ) -> Result<(), DispatchError> {
        let input = DeliverWebhook {
            organization_id,
            delivery_id,
            attempts_made,
            retry_after_seconds: None,
            schedule: DeliverySchedule::default(),
        };
        let id = delivery_workflow_id(delivery_id);
        let options = WorkflowStartOptions::new(WEBHOOK_DELIVERY_QUEUE, id)
            .enable_eager_workflow_start(true)
            .build();
        let started = self.client.start_workflow(WebhookDelivery::run, input, options);
        match within("start_delivery", started).await? {
            Ok(_) | Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(()),
            Err(error) => Err(refused("start_delivery", &error)),
        }
    }
}
