//! Literals that the Temporal server stores: workflow ids, task queues, signals, search attributes.

use crate::ids::{CallId, DeliveryId};

/// Runs `CallProcessing` and its steps.
pub const CALL_PROCESSING_QUEUE: &str = "call-processing";
/// Runs `WebhookDelivery`, so that a slow endpoint delays no call.
pub const WEBHOOK_DELIVERY_QUEUE: &str = "webhook-delivery";
/// Runs housekeeping started by schedules.
pub const MAINTENANCE_QUEUE: &str = "maintenance";

/// Every task queue a worker process can serve.
pub const TASK_QUEUES: &[&str] =
    &[CALL_PROCESSING_QUEUE, WEBHOOK_DELIVERY_QUEUE, MAINTENANCE_QUEUE];

/// Search attributes, all of type Keyword.
pub const SEARCH_ATTRIBUTES: &[&str] = &[
    ORGANIZATION_ID_ATTRIBUTE,
    CALL_ID_ATTRIBUTE,
    PROVIDER_CALL_ID_ATTRIBUTE,
    PROVIDER_ATTRIBUTE,
    CALL_STATUS_ATTRIBUTE,
];
/// Search attribute: the organization.
pub const ORGANIZATION_ID_ATTRIBUTE: &str = "OrganizationId";
/// Search attribute: our call id.
pub const CALL_ID_ATTRIBUTE: &str = "CallId";
/// Search attribute: the provider's call id.
pub const PROVIDER_CALL_ID_ATTRIBUTE: &str = "ProviderCallId";
/// Search attribute: the provider.
pub const PROVIDER_ATTRIBUTE: &str = "Provider";
/// Search attribute: the call's status as the starting event tells it.
pub const CALL_STATUS_ATTRIBUTE: &str = "CallStatus";

/// Id of the one workflow of a call.
pub fn call_workflow_id(call: CallId) -> String {
    format!("call-{call}")
}

/// Id of the workflow that brings one event to one endpoint.
pub fn delivery_workflow_id(delivery: DeliveryId) -> String {
    format!("delivery-{delivery}")
}
