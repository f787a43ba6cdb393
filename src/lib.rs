//! The process: command line, configuration, HTTP, worker start-up, development servers.
//!
//! The only room that sees all others. `main.rs` runs [`cli::run`]; tests use [`dev`].

pub mod api;
pub mod cli;
pub mod config;
pub mod dev;
pub mod http_server;
pub mod receiver;
pub mod serve;
pub mod telemetry;
pub mod temporal;
pub mod worker;
