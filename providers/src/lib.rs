//! Wire formats, signatures and HTTP clients of third parties.
//!
//! The only room that knows how a provider writes a fact or answers a request. Reading is pure and
//! lenient ([`incoming::read`]); sending is one request per call, bounded in time and size, never
//! repeated in hiding, and its failures say whether trying again can help ([`error`]).

#![cfg_attr(test, expect(clippy::expect_used, reason = "a test that cannot go on has failed"))]

pub mod calls_api;
pub mod egress;
pub mod error;
pub mod http;
pub mod incoming;
pub mod model;
pub mod recording;
pub mod resend;
pub mod retell;
pub mod settings;
pub mod stripe;
pub mod supabase;
pub mod twilio;
pub mod vapi;
pub mod webhook_out;

#[cfg(test)]
mod canned;
mod json;
mod operation;
