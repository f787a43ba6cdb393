//! What happens to a call, in what order.
//!
//! Pure: no tokio, sqlx, reqwest, clock, environment, threads or hash maps (see `.clippy.toml`);
//! everything that touches the world is an activity of `contract`, implemented in `activities`.
//! This code is for ever: histories of running and closed workflows replay through it, so changed
//! behaviour goes behind `ctx.patched`, and `tests/histories` holds it to that.

pub mod billing_cycle;
pub mod billing_sweep;
pub mod call_processing;
pub mod endpoint_notice;
pub mod log_retention;
pub mod meter_error_report;
pub mod onboarding;
pub mod partition_maintenance;
pub mod provider_sweep;
pub mod usage_aggregation;
pub mod usage_alert;
pub mod usage_reconciliation;
pub mod webhook_delivery;
pub mod webhook_recovery;

mod policy;
mod steps;

pub use billing_cycle::BillingCycle;
pub use billing_sweep::BillingSweep;
pub use call_processing::CallProcessing;
pub use endpoint_notice::EndpointNotice;
pub use log_retention::LogRetention;
pub use meter_error_report::MeterErrorReport;
pub use onboarding::Onboarding;
pub use partition_maintenance::PartitionMaintenance;
pub use provider_sweep::ProviderSweep;
pub use usage_aggregation::UsageAggregation;
pub use usage_alert::UsageAlert;
pub use usage_reconciliation::UsageReconciliation;
pub use webhook_delivery::WebhookDelivery;
pub use webhook_recovery::WebhookRecovery;
