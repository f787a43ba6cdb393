//! The report: one JSON object, or a table for people. Units are in the names.

use anyhow::ensure;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Calls, DashboardArgs, Loads};
use crate::cli::bench::processes::ProcessFigures;

/// What `postcall bench dashboard` found. Every latency begins when its load was due.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `dashboard`.
    bench: &'static str,
    /// Version of the bench's own binary.
    version: &'static str,
    /// Whether that binary is optimized: `release`, else `debug`.
    build: &'static str,
    /// When the first call was due (RFC 3339, UTC).
    started_at: String,
    /// Dashboards a second as asked for.
    rate_per_second: u32,
    /// Organizations whose dashboards were loaded in turn.
    organizations: u32,
    /// Calls that were written to the table before.
    generated_calls: u32,
    /// Calls a second as asked for.
    call_rate_per_second: u32,
    /// Whether they came without recording and transcript.
    calls_are_plain: bool,
    /// Dashboards that were due.
    load_count: u32,
    /// Those that were not answered, or not by success.
    failed_count: u64,
    /// Median.
    load_p50_ms: Option<f64>,
    /// 99th percentile.
    load_p99_ms: Option<f64>,
    /// 99.9th percentile.
    load_p99_9_ms: Option<f64>,
    /// The slowest.
    load_max_ms: Option<f64>,
    /// Statements of dashboards by loads, without begin and commit.
    statements_per_load: f64,
    /// Calls that were posted and acknowledged, from ten seconds before the first load on.
    posted_count: u64,
    /// Those that were processed to their end while dashboards were loaded.
    processed_meanwhile_count: u64,
    /// And at all.
    processed_count: u64,
    /// By process; `cpu_seconds_per_1000_calls` is by 1,000 loads, with the calls that went on beside.
    processes: Vec<ProcessFigures>,
}

impl Report {
    pub(super) fn new(
        args: &DashboardArgs,
        started_at: DateTime<Utc>,
        loads: &Loads,
        calls: Calls,
        processes: Vec<ProcessFigures>,
    ) -> Self {
        let load_count = args.rate * args.seconds;
        let latency = loads.latency.percentiles();
        Self {
            bench: "dashboard",
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            started_at: store::events::timestamp(started_at),
            rate_per_second: args.rate,
            organizations: args.organizations,
            generated_calls: args.calls,
            call_rate_per_second: args.call_rate,
            calls_are_plain: args.plain,
            load_count,
            failed_count: loads.failed,
            load_p50_ms: latency.map(|latency| latency.p50_ms),
            load_p99_ms: latency.map(|latency| latency.p99_ms),
            load_p99_9_ms: latency.map(|latency| latency.p99_9_ms),
            load_max_ms: latency.map(|latency| latency.max_ms),
            statements_per_load: loads.statements as f64 / f64::from(load_count),
            posted_count: calls.posted,
            processed_meanwhile_count: calls.processed_meanwhile,
            processed_count: calls.processed,
            processes,
        }
    }

    /// A run in which a load failed, or calls were left, is void.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.failed_count == 0, "{} loads failed", self.failed_count);
        ensure!(
            self.processed_count >= self.posted_count,
            "of {} calls {} were processed",
            self.posted_count,
            self.processed_count,
        );
        Ok(())
    }
}
