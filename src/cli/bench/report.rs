//! The report: one JSON object, or tables for people. Units are in the names.

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde::Serialize;
use serde_json::Value;

use super::{histories::HistoryFigures, processes::ProcessFigures};
use crate::cli::Format;

/// A load holds if the backlog it leaves is done within this time.
pub(super) const DRAIN_LIMIT_SECONDS: f64 = 3.0;

/// What `postcall bench calls` found. Every latency begins when its post was due, so that a post
/// that had to wait counts with its wait. What could not be measured is null.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `calls`.
    pub(super) bench: &'static str,
    /// Version of the bench's own binary.
    pub(super) version: &'static str,
    /// Whether that binary is optimized: `release`, else `debug`.
    pub(super) build: &'static str,
    /// When the first post was due (RFC 3339, UTC).
    pub(super) started_at: String,
    /// What was measured.
    pub(super) api_url: String,
    /// Posts a second as asked for.
    pub(super) rate_per_second: f64,
    /// Posts as asked for.
    pub(super) count: u32,
    /// Calls that were done before, and are in no figure.
    pub(super) warm_up_count: u32,
    /// Posts sent; fewer than `count` where the installation took too long to answer.
    pub(super) posted_count: u64,
    /// How late posts were sent, 99th percentile: large values say that this machine, not the
    /// installation, was too slow, or that too many answers were outstanding.
    pub(super) post_lag_p99_ms: Option<f64>,
    /// The latest post.
    pub(super) post_lag_max_ms: Option<f64>,
    /// Webhook to the end of its 2xx, median. Other answers are in none of these four.
    pub(super) ack_p50_ms: Option<f64>,
    /// 99th percentile.
    pub(super) ack_p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub(super) ack_p99_9_ms: Option<f64>,
    /// The slowest.
    pub(super) ack_max_ms: Option<f64>,
    /// Answers other than 2xx.
    pub(super) ack_not_2xx_count: u64,
    /// Posts without an answer within 20 s, or without a connection.
    pub(super) ack_none_count: u64,
    /// Calls that were done.
    pub(super) completed_count: u64,
    /// Calls that were not, for whatever reason.
    pub(super) not_completed_count: u64,
    /// Completed calls by the time from the first post due to the last call done.
    pub(super) completed_per_second: Option<f64>,
    /// Webhook to the arrival of `call_completed` on the live stream, median. The stream gathers
    /// events for up to 200 ms, which is in these three.
    pub(super) done_p50_ms: Option<f64>,
    /// 99th percentile.
    pub(super) done_p99_ms: Option<f64>,
    /// The slowest.
    pub(super) done_max_ms: Option<f64>,
    /// Webhook to the time at which `call_completed` says it was written, median; without the
    /// stream. Null where the installation's clock is not this machine's.
    pub(super) written_p50_ms: Option<f64>,
    /// 99th percentile.
    pub(super) written_p99_ms: Option<f64>,
    /// The slowest.
    pub(super) written_max_ms: Option<f64>,
    /// From when the last post was due until the last call was done; null if not all were.
    pub(super) drain_seconds: Option<f64>,
    /// All calls were done, and the last within [`DRAIN_LIMIT_SECONDS`] of the last post.
    pub(super) holds: bool,
    /// How often the live stream was lost; calls that were done meanwhile may be told late.
    pub(super) stream_reconnect_count: u64,
    /// Processor seconds of all processes but `bench`, by 1,000 completed calls.
    pub(super) cpu_seconds_per_1000_calls: Option<f64>,
    /// By process; empty where it runs elsewhere.
    pub(super) processes: Vec<ProcessFigures>,
    /// What a call costs in Temporal.
    pub(super) history: Option<HistoryFigures>,
}

impl Report {
    /// As it is printed; JSON is one line.
    pub(super) fn text(&self, format: Format) -> anyhow::Result<String> {
        let value = rounded(serde_json::to_value(self)?);
        Ok(match format {
            Format::Table => self.tables(&value),
            Format::Json | Format::Jsonl => value.to_string(),
        })
    }

    fn tables(&self, value: &Value) -> String {
        let of = |name: &str| shown(&value[name]);
        let three = |name: &str| {
            ["p50", "p99", "max"].map(|p| shown(&value[format!("{name}_{p}_ms")])).join(" / ")
        };
        let ack = ["p50", "p99", "p99_9", "max"].map(|p| shown(&value[format!("ack_{p}_ms")]));
        let mut table = Table::new();
        table.load_preset(NOTHING);
        let mut row = |name: &str, text: String| {
            table.add_row([name.to_owned(), text]);
        };
        let load = format!("{} calls at {}/s", self.count, of("rate_per_second"));
        row("load", format!("{load} after {} to warm up", self.warm_up_count));
        row("posts late, p99 / max ms", {
            format!("{} / {}", of("post_lag_p99_ms"), of("post_lag_max_ms"))
        });
        row("ack, p50 / p99 / p99.9 / max ms", ack.join(" / "));
        row("not 2xx / no answer", {
            format!("{} / {}", self.ack_not_2xx_count, self.ack_none_count)
        });
        row("calls completed a second", of("completed_per_second"));
        row("webhook to done, p50 / p99 / max ms", three("done"));
        row("webhook to written, p50 / p99 / max ms", three("written"));
        row("drain, seconds", of("drain_seconds"));
        row(&format!("holds: drain <= {DRAIN_LIMIT_SECONDS} s"), yes_or_no(self.holds).to_owned());
        row("not completed", self.not_completed_count.to_string());
        row("CPU-seconds per 1,000 calls", of("cpu_seconds_per_1000_calls"));
        self.add_history(&value["history"], &mut row);
        format!("{table}\n{}", self.process_table(&value["processes"]))
    }

    fn add_history(&self, history: &Value, row: &mut impl FnMut(&str, String)) {
        let Some(figures) = &self.history else { return };
        let both = |name: &str| {
            let of = |which: &str| shown(&history[format!("{name}_per_call_{which}")]);
            format!("{} / {}", of("mean"), of("max"))
        };
        row("sampled histories", figures.sampled_calls.to_string());
        row("billable actions a call, mean / max", both("billable_actions"));
        row("history events a call, mean / max", both("events"));
        row("history bytes a call, mean / max", both("history_bytes"));
        row("largest payload, bytes", figures.largest_payload_bytes.to_string());
    }

    fn process_table(&self, processes: &Value) -> String {
        let columns = [
            "name",
            "pid",
            "cpu_seconds",
            "cpu_seconds_per_1000_calls",
            "peak_memory_mib",
            "memory_measure",
        ];
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header(columns.map(str::to_uppercase));
        for process in processes.as_array().into_iter().flatten() {
            table.add_row(columns.map(|name| shown(&process[name])));
        }
        for column in table.column_iter_mut().skip(1).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A report of plain fields and its processes, as it is printed; JSON is one line.
pub(super) fn text(report: &impl Serialize, format: Format) -> anyhow::Result<String> {
    let value = rounded(serde_json::to_value(report)?);
    if !matches!(format, Format::Table) {
        return Ok(value.to_string());
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let fields = value.as_object().into_iter().flatten();
    for (name, field) in fields.filter(|(_, field)| !field.is_array()) {
        table.add_row([name.replace('_', " "), shown(field)]);
    }
    let columns = ["name", "cpu_seconds", "cpu_seconds_per_1000_calls", "peak_memory_mib"];
    let mut processes = Table::new();
    processes.load_preset(NOTHING);
    processes.set_header(["PROCESS", "CPU SECONDS", "PER 1,000", "PEAK MIB"]);
    for process in value["processes"].as_array().into_iter().flatten() {
        processes.add_row(columns.map(|name| shown(&process[name])));
    }
    Ok(format!("{table}\n\n{processes}"))
}

pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Thousandths are all that any of these measurements can tell.
pub(super) fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or(Value::Null, |number| ((number * 1e3).round() / 1e3).into())
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, rounded(value))).collect()
        }
        other => other,
    }
}
