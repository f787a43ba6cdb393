//! Literals that the Temporal server stores: workflow ids, task queues, signals, search attributes.

use chrono::{DateTime, Utc};

use crate::ids::{AlertId, CallId, DeliveryId, EndpointId, OrganizationId, RecoveryId};

/// Runs `CallProcessing` and its steps.
pub const CALL_PROCESSING_QUEUE: &str = "call-processing";
/// Runs `WebhookDelivery`, so that a slow endpoint delays no call.
pub const WEBHOOK_DELIVERY_QUEUE: &str = "webhook-delivery";
/// Runs housekeeping started by schedules.
pub const MAINTENANCE_QUEUE: &str = "maintenance";

/// Runs aggregation, billing and onboarding.
pub const BILLING_QUEUE: &str = "billing";

/// Every task queue a worker process can serve.
pub const TASK_QUEUES: &[&str] =
    &[CALL_PROCESSING_QUEUE, WEBHOOK_DELIVERY_QUEUE, BILLING_QUEUE, MAINTENANCE_QUEUE];

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

/// Id of the workflow that makes deliveries again in bulk.
pub fn recovery_workflow_id(recovery: RecoveryId) -> String {
    format!("webhook-recovery-{recovery}")
}

/// Id of the workflow that tells an endpoint's owners what happened to it then.
pub fn notice_workflow_id(endpoint: EndpointId, at: DateTime<Utc>) -> String {
    format!("endpoint-notice-{endpoint}-{}", at.timestamp_micros())
}

/// Id of the workflow that closes the period that began at `period_start`: the day of it in UTC,
/// with the second where it did not begin at midnight.
pub fn billing_workflow_id(organization: OrganizationId, period_start: DateTime<Utc>) -> String {
    format!("billing-{organization}-{}", period_name(period_start))
}

/// How a period is named in ids and Redis keys: by its first instant, as `2026-11-01`, or
/// `2026-11-01T05:00:00Z` where that is not midnight in UTC.
pub fn period_name(period_start: DateTime<Utc>) -> String {
    let is_midnight = period_start.timestamp().rem_euclid(86_400) == 0;
    let format = if is_midnight { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%SZ" };
    period_start.format(format).to_string()
}

/// Id of the workflow that tells people of an alert.
pub fn alert_workflow_id(alert: AlertId) -> String {
    format!("usage-alert-{alert}")
}

/// Id of the workflow that accompanies a new organization.
pub fn onboarding_workflow_id(organization: OrganizationId) -> String {
    format!("onboarding-{organization}")
}

/// Id of the workflow that reads one of Stripe's error reports.
pub fn error_report_workflow_id(event_id: &str) -> String {
    format!("meter-error-report-{event_id}")
}
