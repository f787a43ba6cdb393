//! The report: one JSON object, or tables for people. Units are in the names.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde::Serialize;
use serde_json::Value;

use super::pause::Worker;
use crate::cli::{
    Format,
    bench::{
        processes::ProcessFigures,
        report::{rounded, shown},
        tally::Counts,
    },
};

/// A rate is not held where more than one in a hundred posts waits longer.
const P99_LIMIT: Duration = Duration::from_millis(50);
/// Nor where less of it is committed to the inbox.
const ACHIEVED_SHARE: f64 = 0.95;

/// What `postcall bench acks` found. Every latency begins when its post was due, so that a post
/// that had to wait counts with its wait. What could not be measured is null.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `acks`.
    pub(super) bench: &'static str,
    /// Version of the bench's own binary.
    pub(super) version: &'static str,
    /// Whether that binary is optimized: `release`, else `debug`.
    pub(super) build: &'static str,
    /// When the bench began to warm up (RFC 3339, UTC).
    pub(super) started_at: String,
    /// What was measured.
    pub(super) api_url: String,
    /// Length of a post's body.
    pub(super) body_bytes: u32,
    /// Most posts that waited for their answer at a time.
    pub(super) connections: u16,
    /// How long each rate was asked for.
    pub(super) seconds_per_rate: u32,
    /// `paused`, `running`, or `unknown` where it runs elsewhere.
    pub(super) worker: Worker,
    /// By rate, in the order in which they were asked for.
    pub(super) rates: Vec<RateFigures>,
    /// `--knee`: the highest rate that was held, in posts a second; null if none was.
    pub(super) knee_per_second: Option<f64>,
    /// 2xx in the whole run, also to warm up. Each is of a call of its own, so that as many rows
    /// must lie in the inbox.
    pub(super) acknowledged_count: u64,
    /// Events that `serve` counted as new in the inbox or in the spool meanwhile, also others', and
    /// those whose answer was lost. Null where its metrics cannot be read.
    pub(super) stored_count: Option<u64>,
}

/// What one rate came to.
#[derive(Debug, Serialize)]
pub(super) struct RateFigures {
    /// Posts a second as asked for.
    pub(super) rate_per_second: f64,
    /// 2xx by the time from the first post due to the last 2xx.
    pub(super) achieved_per_second: f64,
    /// Posts sent; fewer than asked for where answers took too long.
    pub(super) posted_count: u64,
    /// 2xx.
    pub(super) acknowledged_count: u64,
    /// Of these, posts that were not committed to the inbox but written to the spool, because
    /// Postgres did not take them in time. Null where the metrics of `serve` cannot be read.
    pub(super) spooled_count: Option<u64>,
    /// Answers other than 2xx.
    pub(super) not_2xx_count: u64,
    /// Posts without an answer within 20 s, or without a connection.
    pub(super) none_count: u64,
    /// From when a post was due to the end of its 2xx, median. Other answers are in none of these.
    pub(super) ack_p50_ms: Option<f64>,
    /// 99th percentile.
    pub(super) ack_p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub(super) ack_p99_9_ms: Option<f64>,
    /// The slowest.
    pub(super) ack_max_ms: Option<f64>,
    /// How late posts were sent, 99th percentile, in milliseconds: this machine was too slow, or
    /// all connections were taken.
    pub(super) post_lag_p99_ms: Option<f64>,
    /// Whether p99 and what was committed are within the bounds, and every post got its 2xx.
    pub(super) held: bool,
    /// By process; only `bench` where the installation runs elsewhere.
    pub(super) processes: Vec<ProcessFigures>,
}

impl RateFigures {
    pub(super) fn new(
        rate: f64,
        first: Instant,
        counts: &Counts,
        spooled: Option<u64>,
        processes: Vec<ProcessFigures>,
    ) -> Self {
        let took = counts.last_acknowledged.map(|at| at.saturating_duration_since(first));
        let per_second = |count: u64| took.map_or(0.0, |took| count as f64 / took.as_secs_f64());
        let committed = counts.acknowledged.saturating_sub(spooled.unwrap_or(0));
        let ack = counts.ack.percentiles();
        let is_fast = ack.is_some_and(|ack| ack.p99_ms <= P99_LIMIT.as_secs_f64() * 1e3);
        let are_acknowledged = counts.acknowledged == counts.posted;
        Self {
            rate_per_second: rate,
            achieved_per_second: per_second(counts.acknowledged),
            posted_count: counts.posted,
            acknowledged_count: counts.acknowledged,
            spooled_count: spooled,
            not_2xx_count: counts.refused,
            none_count: counts.posted - counts.acknowledged - counts.refused,
            ack_p50_ms: ack.map(|ack| ack.p50_ms),
            ack_p99_ms: ack.map(|ack| ack.p99_ms),
            ack_p99_9_ms: ack.map(|ack| ack.p99_9_ms),
            ack_max_ms: ack.map(|ack| ack.max_ms),
            post_lag_p99_ms: counts.post_lag.percentiles().map(|lag| lag.p99_ms),
            held: is_fast && are_acknowledged && per_second(committed) >= ACHIEVED_SHARE * rate,
            processes,
        }
    }

    /// For people who wait.
    pub(super) fn line(&self) -> String {
        format!(
            "{}/s: {:.0}/s achieved, p50 {:.1} ms, p99 {:.1} ms{}",
            self.rate_per_second,
            self.achieved_per_second,
            self.ack_p50_ms.unwrap_or(f64::NAN),
            self.ack_p99_ms.unwrap_or(f64::NAN),
            if self.held { "" } else { ": not held" },
        )
    }

    fn cpu_seconds(&self, name: &str) -> Option<f64> {
        self.processes.iter().find(|process| process.name == name)?.cpu_seconds
    }
}

/// The highest rate that was held.
pub(super) fn knee(rates: &[RateFigures]) -> Option<f64> {
    let held = rates.iter().filter(|rate| rate.held).map(|rate| rate.rate_per_second);
    held.max_by(f64::total_cmp)
}

impl Report {
    /// As it is printed; JSON is one line.
    pub(super) fn text(&self, format: Format) -> anyhow::Result<String> {
        let value = rounded(serde_json::to_value(self)?);
        Ok(match format {
            Format::Table => format!("{}\n{}", self.head(&value), self.rates_table(&value)),
            Format::Json | Format::Jsonl => value.to_string(),
        })
    }

    /// # Errors
    /// When less was stored than acknowledged: such a run is void.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self.stored_count {
            Some(stored) if stored < self.acknowledged_count => Err(anyhow!(
                "{} posts were acknowledged, and {stored} stored",
                self.acknowledged_count
            )),
            _ => Ok(()),
        }
    }

    fn head(&self, value: &Value) -> Table {
        let mut table = Table::new();
        table.load_preset(NOTHING);
        let mut row = |name: &str, text: String| {
            table.add_row([name.to_owned(), text]);
        };
        row("body, bytes", self.body_bytes.to_string());
        row("connections", self.connections.to_string());
        row("seconds at each rate", self.seconds_per_rate.to_string());
        row("worker", shown(&value["worker"]));
        if self.knee_per_second.is_some() || self.rates.len() > 1 {
            row("knee, posts a second", shown(&value["knee_per_second"]));
        }
        let stored = shown(&value["stored_count"]);
        row("acknowledged / stored, in all", format!("{} / {stored}", self.acknowledged_count));
        table
    }

    fn rates_table(&self, value: &Value) -> Table {
        let columns = [
            ("RATE/S", "rate_per_second"),
            ("ACHIEVED/S", "achieved_per_second"),
            ("P50 MS", "ack_p50_ms"),
            ("P99 MS", "ack_p99_ms"),
            ("P99.9 MS", "ack_p99_9_ms"),
            ("MAX MS", "ack_max_ms"),
            ("LATE P99 MS", "post_lag_p99_ms"),
            ("SPOOLED", "spooled_count"),
            ("NOT 2XX", "not_2xx_count"),
            ("NONE", "none_count"),
            ("HELD", "held"),
        ];
        let cpu =
            [("SERVE CPU S", "serve"), ("POSTGRES CPU S", "postgres"), ("BENCH CPU S", "bench")];
        let mut table = Table::new();
        let names = columns.iter().chain(&cpu).map(|(name, _)| *name);
        table.load_preset(NOTHING).set_header(names);
        let values = value["rates"].as_array().into_iter().flatten();
        for (rate, value) in self.rates.iter().zip(values) {
            let figures = columns.iter().map(|(_, field)| shown(&value[*field]));
            let seconds = cpu.iter().map(|(_, process)| match rate.cpu_seconds(process) {
                Some(seconds) => format!("{seconds:.2}"),
                None => "-".to_owned(),
            });
            table.add_row(figures.chain(seconds));
        }
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        table
    }
}
