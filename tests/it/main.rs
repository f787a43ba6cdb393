//! Black-box tests of the real process on real servers: one binary, so that the servers start once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod harness;

mod accounts;
mod bad_input;
mod credentials;
mod deliveries;
mod dev_command;
mod histories;
mod kills;
mod limits;
mod one_call;
mod orders;
mod outages;
mod postgres;
mod providers;
mod replay;
mod retries;
mod storage;
mod sweeps;
mod tenancy;
