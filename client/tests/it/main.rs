//! The client against real HTTP: a small server that breaks off, refuses and repeats as it is told.

#![expect(clippy::unwrap_used, reason = "a failed test")]

mod events;
mod exports;
mod pages;
mod requests;
mod retries;
mod secrets;
mod server;
