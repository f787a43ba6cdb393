//! The report: one JSON object, or a table for people. Units are in the names.

use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;

use super::{Beside, DeliveriesArgs, Written, receiver::Receiver};
use crate::cli::bench::processes::{ProcessFigures, cpu_seconds_per_1000_calls};

/// What `postcall bench deliveries` found. A latency begins when its event was due to be written, where
/// its line does not say otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `deliveries`.
    bench: &'static str,
    /// Version of the bench's own binary.
    version: &'static str,
    /// Whether that binary is optimized: `release`, else `debug`.
    build: &'static str,
    /// When the first event that counts was due (RFC 3339, UTC).
    started_at: String,
    /// Events a second as asked for.
    rate_per_second: u32,
    /// Endpoints that they went to in turn.
    endpoints: u32,
    /// How long each took to answer.
    receiver_ms: u64,
    /// What else went on: `none`, `hung`, `flood` or `unheard`.
    beside: &'static str,
    /// Events written.
    written_count: u32,
    /// Events that arrived.
    arrived_count: u64,
    /// Deliveries that came again.
    repeated_count: u64,
    /// Deliveries whose signature was wrong.
    unverified_count: u64,
    /// Arrived by the time from the first due to the last arrival.
    delivered_per_second: f64,
    /// From due to committed, 99th percentile: what writing them took of the figures below.
    written_p99_ms: Option<f64>,
    /// From committed to arrival, median: what delivering them took.
    delivery_p50_ms: Option<f64>,
    /// 99th percentile.
    delivery_p99_ms: Option<f64>,
    /// From due to arrival, median.
    arrival_p50_ms: Option<f64>,
    /// 99th percentile.
    arrival_p99_ms: Option<f64>,
    /// 99.9th percentile.
    arrival_p99_9_ms: Option<f64>,
    /// The slowest.
    arrival_max_ms: Option<f64>,
    /// Processor seconds of all processes but `bench`, by 10,000 deliveries.
    cpu_seconds_per_10000_deliveries: Option<f64>,
    /// By process; `cpu_seconds_per_1000_calls` is by 1,000 deliveries.
    processes: Vec<ProcessFigures>,
}

impl Report {
    pub(super) fn new(
        args: &DeliveriesArgs,
        started_at: String,
        began: Instant,
        count: u32,
        written: &Written,
        receiver: &Receiver,
        processes: Vec<ProcessFigures>,
    ) -> anyhow::Result<Self> {
        let took = receiver.last().saturating_duration_since(began).as_secs_f64();
        let arrived = receiver.arrived();
        let (repeated, unverified) = receiver.faults();
        let arrival = receiver.percentiles();
        let delivery = receiver.delivery(&written.committed)?;
        Ok(Self {
            bench: "deliveries",
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            started_at,
            rate_per_second: args.rate,
            endpoints: args.endpoints,
            receiver_ms: args.receiver_ms,
            beside: match args.beside {
                Beside::None => "none",
                Beside::Hung => "hung",
                Beside::Flood => "flood",
                Beside::Unheard => "unheard",
            },
            written_count: count,
            arrived_count: arrived,
            repeated_count: repeated,
            unverified_count: unverified,
            delivered_per_second: if took > 0.0 { arrived as f64 / took } else { 0.0 },
            written_p99_ms: written.lag.percentiles().map(|p| p.p99_ms),
            delivery_p50_ms: delivery.map(|p| p.p50_ms),
            delivery_p99_ms: delivery.map(|p| p.p99_ms),
            arrival_p50_ms: arrival.map(|p| p.p50_ms),
            arrival_p99_ms: arrival.map(|p| p.p99_ms),
            arrival_p99_9_ms: arrival.map(|p| p.p99_9_ms),
            arrival_max_ms: arrival.map(|p| p.max_ms),
            cpu_seconds_per_10000_deliveries: cpu_seconds_per_1000_calls(&processes)
                .map(|seconds| seconds * 10.0),
            processes,
        })
    }

    /// A run that lost, repeated or mis-signed anything is void.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.arrived_count == u64::from(self.written_count)
                && self.repeated_count == 0
                && self.unverified_count == 0,
            "of {} events {} arrived, {} again, and {} signatures were wrong",
            self.written_count,
            self.arrived_count,
            self.repeated_count,
            self.unverified_count,
        );
        Ok(())
    }
}
