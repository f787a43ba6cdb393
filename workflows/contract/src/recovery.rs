//! Deliveries made again in bulk.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::ids::{OrganizationId, RecoveryId};

/// Workflow type: makes deliveries of an endpoint again, page by page.
pub const WEBHOOK_RECOVERY: &str = "WebhookRecovery";

/// Input of `WebhookRecovery` and of `webhooks.recover_page`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct RecoverWebhooks {
    /// Owner of the endpoint.
    pub organization_id: OrganizationId,
    /// What is to be recovered.
    pub recovery_id: RecoveryId,
}

/// Result of `webhooks.recover_page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRecovered {
    /// Deliveries that were handed to the queue.
    pub begun: u32,
    /// Milliseconds until the next page may begin; nothing where there is none: all is done, or the
    /// recovery was paused or ended.
    pub next_in_ms: Option<u64>,
}

/// Result of `WebhookRecovery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhooksRecovered {
    /// Deliveries that its last run handed to the queue.
    pub begun: u64,
}

/// Declares the activity; `activities` implements it.
pub struct Recovery;

#[activity_definitions]
impl Recovery {
    /// Hands the next deliveries to the queue.
    #[activity(name = "webhooks.recover_page")]
    pub fn recover_page(_: RecoverWebhooks) -> PageRecovered {
        unimplemented!()
    }
}

pub use self::recovery::RecoverPage;
