//! What is done for an endpoint as a whole: deliveries made again in bulk, letters about its health.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::ids::{EndpointId, OrganizationId, RecoveryId};

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

/// Workflow type: the owners of an endpoint hear by email that it fails, or is disabled.
pub const ENDPOINT_NOTICE: &str = "EndpointNotice";

/// Input of `EndpointNotice` and of `webhooks.send_notice`: names the event that says what happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TellOwners {
    /// Owner of the endpoint.
    pub organization_id: OrganizationId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// `webhook.endpoint_failing` or `webhook.endpoint_disabled`.
    pub event: String,
    /// When it happened.
    pub at: DateTime<Utc>,
}

/// Result of `EndpointNotice`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersTold {
    /// Emails sent.
    pub sent: u32,
    /// Emails that were refused, may not be repeated, or that nobody carries.
    pub failed: u32,
}

/// Declares the activities; `activities` implements them.
pub struct Recovery;

#[activity_definitions]
impl Recovery {
    /// Hands the next deliveries to the queue.
    #[activity(name = "webhooks.recover_page")]
    pub fn recover_page(_: RecoverWebhooks) -> PageRecovered {
        unimplemented!()
    }

    /// Sends an email about an endpoint to each owner.
    #[activity(name = "webhooks.send_notice")]
    pub fn send_notice(_: TellOwners) -> OwnersTold {
        unimplemented!()
    }
}

pub use self::recovery::{RecoverPage, SendNotice};
