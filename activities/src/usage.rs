//! Adding up usage, comparing the books, and telling of what is used up.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::sync::Arc;

use contract::usage::{
    AggregatePage, PageAggregated, PageReconciled, ReconcilePage, TellUsage, UsageTold,
};
use providers::resend::ResendClient;
use store::{Database, counters::Counters, sealing::Sealer};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{clock::Clock, faults::Faults, heartbeat::beating};

/// What metering needs.
#[derive(Debug, Clone)]
pub struct UsageActivities {
    /// The books.
    pub db: Database,
    /// The counters that are compared with them.
    pub counters: Counters,
    /// Opens recipients and seals messages.
    pub sealer: Sealer,
    /// Sends emails; none without a key.
    pub resend: Option<ResendClient>,
    /// The time.
    pub clock: Clock,
    /// Where tests strike.
    pub faults: Faults,
}

#[activities]
impl UsageActivities {
    /// Aggregates days of a page of organizations.
    #[activity(definition = contract::usage::AggregateActivity)]
    pub async fn aggregate(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: AggregatePage,
    ) -> Result<PageAggregated, ActivityError> {
        beating(&ctx, crate::aggregation::aggregate(&self, input)).await
    }

    /// Compares the books of a page of organizations.
    #[activity(definition = contract::usage::ReconcileActivity)]
    pub async fn reconcile(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReconcilePage,
    ) -> Result<PageReconciled, ActivityError> {
        beating(&ctx, crate::reconciliation::reconcile(&self, input)).await
    }

    /// Sends the emails of an alert.
    #[activity(definition = contract::usage::SendAlertActivity)]
    pub async fn send_alert(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: TellUsage,
    ) -> Result<UsageTold, ActivityError> {
        crate::alerts::send(&self, input).await
    }
}
