//! The first and the last step of a call.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::sync::Arc;

use contract::{
    calls::{CallRef, CloseCall, FinishCall, FinishedCall},
    failure::UNAVAILABLE,
    ids::OrganizationId,
    steps::{Step, StepRecord, StepStatus},
};
use providers::supabase::Broadcaster;
use store::{
    Database, counters::Counters, recordings, results, signals::Teller, usage::Projection,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    clock::Clock,
    extraction,
    failure::{failure, of_store_until_done},
    faults::Faults,
    fold::fold,
};

/// What the first and the last step need.
#[derive(Debug, Clone)]
pub struct CallActivities {
    /// The truth.
    pub db: Database,
    /// Its projection in Redis.
    pub counters: Counters,
    /// Organizations whose projection failed, to be tried again.
    pub unprojected: tokio::sync::mpsc::UnboundedSender<OrganizationId>,
    /// Live dashboards of Supabase, when configured.
    pub broadcaster: Option<Broadcaster>,
    /// Wakes the live streams.
    pub events: Teller,
    /// The time that decides the billing period.
    pub clock: Clock,
    /// Where a test may strike.
    pub faults: Faults,
}

#[activities]
impl CallActivities {
    /// Folds the call's events into its rows, ledger and events, in one transaction.
    #[activity(definition = contract::calls::Finish)]
    pub async fn finish(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: FinishCall,
    ) -> Result<FinishedCall, ActivityError> {
        self.faults.point("finish.before").await?;
        let finished = store::finish::finish(&self.db, &input, self.clock.now(), fold)
            .await
            .map_err(|error| of_store_until_done(&error))?;
        self.events.tell();
        self.faults.point("finish.after").await?;
        Ok(finished)
    }

    /// Writes the step list, projects counters, tells dashboards.
    #[activity(definition = contract::calls::Close)]
    pub async fn close(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: CloseCall,
    ) -> Result<(), ActivityError> {
        self.faults.point("close.before").await?;
        self.note_failures(input.call, &input.steps).await?;
        let closed = store::calls::close(&self.db, input.call, &input.steps, self.clock.now())
            .await
            .map_err(|error| of_store_until_done(&error))?;
        self.events.tell();
        self.faults.point("close.written").await?;
        self.project(input.call.organization_id, &closed.projection).await?;
        self.broadcast(input.call, &closed.steps).await;
        self.faults.point("close.after").await
    }
}

impl CallActivities {
    /// A step that gave up is not tried again by a late event, only by `retry-step`.
    async fn note_failures(
        &self,
        call: CallRef,
        steps: &[StepRecord],
    ) -> Result<(), ActivityError> {
        for step in steps.iter().filter(|step| step.status == StepStatus::Failed) {
            let noted = match step.name {
                Step::Recording => recordings::failed(&self.db, call).await,
                Step::Extract => match extraction::transcript_key(&self.db, call).await {
                    Ok(Some(key)) => results::failed(&self.db, call, key).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(error),
                },
                _ => Ok(()),
            };
            noted.map_err(|error| of_store_until_done(&error))?;
        }
        Ok(())
    }

    /// Redis is a cache: when it is down the call is not held up, and the projection is repeated
    /// until it works.
    async fn project(
        &self,
        organization: OrganizationId,
        projection: &Projection,
    ) -> Result<(), ActivityError> {
        if let Err(error) = self.counters.show(organization, projection).await {
            tracing::warn!(%error, %organization, "Redis takes no counters now");
            self.unprojected
                .send(organization)
                .map_err(|_| failure(UNAVAILABLE, "the worker stops".to_owned(), true, None))?;
        }
        Ok(())
    }

    /// Dashboards look again by themselves, so a lost broadcast is logged and no more.
    async fn broadcast(&self, call: CallRef, steps: &[StepRecord]) {
        let Some(broadcaster) = &self.broadcaster else { return };
        let topic = format!("org:{}:calls", call.organization_id);
        let payload = serde_json::json!({ "call_id": call.call_id, "steps": steps });
        if let Err(error) = broadcaster.broadcast(&topic, "call_completed", &payload).await {
            tracing::warn!(%error, call_id = %call.call_id, "a broadcast was lost");
        }
    }
}
