//! Every SQL statement of postcall, with the caches and the object storage beside it.
//!
//! Deliberately absent: HTTP, provider formats, Temporal. Each statement of a tenant runs in a
//! transaction of [`database::Database::tenant`], which switches to a role that row level security
//! binds and names the organization; with no organization named, no row shows.

pub mod alerts;
pub mod assistants;
pub mod audit;
pub mod billing;
pub mod breaker;
pub mod cache;
pub mod calls;
pub mod counters;
pub mod credentials;
pub mod daily;
pub mod database;
pub mod deliveries;
pub mod dispatch;
pub mod endpoints;
pub mod error;
pub mod events;
pub mod finish;
pub mod idempotency;
pub mod ids;
pub mod inbox;
pub mod intake;
pub mod keys;
pub mod mail;
pub mod maintenance;
pub mod members;
pub mod memberships;
pub mod notice;
pub mod notifications;
pub mod objects;
pub mod onboarding;
pub mod organizations;
pub mod periods;
pub mod phone_numbers;
pub mod rate_limits;
pub mod reads;
pub mod reconcile;
pub mod recorded;
pub mod recordings;
pub mod recoveries;
pub mod replay;
pub mod results;
pub mod rules;
pub mod sealing;
pub mod seed;
pub mod sessions;
pub mod signals;
pub mod starts;
pub mod stripe_events;
pub mod sweeps;
pub mod templates;
pub mod transcripts;
pub mod unread;
pub mod usage;
pub mod written;

pub use database::{Database, Role};
pub use error::StoreError;
