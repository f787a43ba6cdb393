//! Black-box tests of the real process on real servers: one binary, so that the servers start once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod harness;

mod accounts;
mod aggregation;
mod alerts;
mod api_keys;
mod bad_input;
mod bad_usage;
mod billing;
mod books;
mod cache;
mod clients;
mod credentials;
mod dashboard;
mod deliveries;
mod dev_command;
mod endpoints;
mod entities;
mod event_types;
mod export;
mod histories;
mod idempotency;
mod kills;
mod ledger;
mod limits;
mod listen;
mod official_libraries;
mod onboarding;
mod one_call;
mod openapi;
mod orders;
mod outages;
mod plans;
mod postgres;
mod providers;
mod rate_limits;
mod replay;
mod retries;
mod storage;
mod stripe_events;
mod stripe_mock;
mod sweeps;
mod tenancy;
mod three_months;
mod timeline;
mod together;
mod tokens;
mod wake_ups;
