//! What workflows and activities agree on: ids, inputs, results, activity names and merge rules.
//!
//! Data and pure functions only. Everything here that crosses Temporal is a reference (ids, counts,
//! hashes, states), never a phone number, a name or a transcript: histories stay small and free of
//! personal data. Wire names are literals and are never renamed; structs only grow, and a new field
//! gets `#[serde(default)]`.

pub mod billing;
pub mod call;
pub mod calls;
pub mod delivery;
pub mod events;
pub mod extraction;
pub mod failure;
pub mod ids;
pub mod maintenance;
pub mod merge;
pub mod names;
pub mod notifications;
pub mod onboarding;
pub mod period;
pub mod recording;
pub mod recovery;
pub mod steps;
pub mod sweep;
pub mod usage;
pub mod words;
