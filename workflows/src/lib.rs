//! What happens to a call, in what order.
//!
//! Pure: no tokio, sqlx, reqwest, clock, environment, threads or hash maps (see `.clippy.toml`);
//! everything that touches the world is an activity of `contract`, implemented in `activities`.
//! This code is for ever: histories of running and closed workflows replay through it, so changed
//! behaviour goes behind `ctx.patched`, and `tests/histories` holds it to that.

pub mod call_processing;
pub mod partition_maintenance;
pub mod provider_sweep;
pub mod webhook_delivery;

mod policy;
mod steps;

pub use call_processing::CallProcessing;
pub use partition_maintenance::PartitionMaintenance;
pub use provider_sweep::ProviderSweep;
pub use webhook_delivery::WebhookDelivery;
