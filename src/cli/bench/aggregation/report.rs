//! The report: one JSON object, or tables for people. Units are in the names.

use anyhow::anyhow;
use chrono::NaiveDate;
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{
    Format,
    bench::report::{rounded, shown},
};

/// What `postcall bench aggregation` found. What could not be measured is null.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// `aggregation`.
    pub(super) bench: &'static str,
    /// Version of the bench's own binary.
    pub(super) version: &'static str,
    /// Whether that binary is optimized: `release`, else `debug`.
    pub(super) build: &'static str,
    /// When the bench began (RFC 3339, UTC).
    pub(super) started_at: String,
    /// Generated calls.
    pub(super) calls: u64,
    /// Organizations that they are of.
    pub(super) organizations: u64,
    /// Organizations of a page: each page is one pass over the calls of the days.
    pub(super) page_organizations: i64,
    /// What it took to generate them, with indexes and statistics.
    pub(super) generate_seconds: f64,
    /// One day.
    pub(super) day: DaysFigures,
    /// The whole month.
    pub(super) month: DaysFigures,
    /// `select organization_id, count(*) from calls group by 1`, for comparison.
    pub(super) bare_group_by_seconds: f64,
    /// Peak of resident memory of this process, which generated the calls too.
    pub(super) bench_peak_memory_mib: Option<f64>,
    /// Peak of resident memory of Postgres' process, with the shared buffers that it touched.
    pub(super) postgres_peak_memory_mib: Option<f64>,
    /// The same without them, the largest of samples.
    pub(super) postgres_own_peak_memory_mib: Option<f64>,
}

/// What it took to aggregate some days.
#[derive(Debug, Serialize)]
pub(super) struct DaysFigures {
    /// `day` or `month`.
    pub(super) what: &'static str,
    /// First local day.
    pub(super) first_day: NaiveDate,
    /// Last local day, included.
    pub(super) last_day: NaiveDate,
    /// The run that wrote the rows.
    pub(super) first: RunFigures,
    /// The one after it, which had nothing to write.
    pub(super) second: RunFigures,
    /// Whether both left the same rows, with the same times of computation.
    pub(super) identical: bool,
    /// Rows of `daily_usage` at the end.
    pub(super) daily_rows: i64,
    /// Rows of calls that the first page looked at; a few of them twice, where zones differ.
    pub(super) rows_read: u64,
    /// Blocks of 8 KiB that they lie in.
    pub(super) blocks_read: u64,
    /// Partitions of the calls.
    pub(super) partitions: u64,
    /// Those that the planner left out.
    pub(super) partitions_pruned: u64,
    /// Those that were read from the first row to the last.
    pub(super) partitions_read_in_full: Vec<String>,
}

/// One run, page after page.
#[derive(Debug, Serialize)]
pub(super) struct RunFigures {
    pub(super) seconds: f64,
    pub(super) pages: u32,
    pub(super) organizations: u32,
    /// Rows of `daily_usage` that were new or changed.
    pub(super) rows_written: u64,
    /// Rows that no call stood behind any more.
    pub(super) rows_removed: u64,
}

impl Report {
    /// As it is printed; JSON is one line.
    pub(super) fn text(&self, format: Format) -> anyhow::Result<String> {
        let value = rounded(serde_json::to_value(self)?);
        Ok(match format {
            Format::Table => format!("{}\n{}", head(&value), days_table(&value)),
            Format::Json | Format::Jsonl => value.to_string(),
        })
    }

    /// # Errors
    /// When a second run changed anything, or one left organizations out: such a measurement is void.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for days in [&self.day, &self.month] {
            let DaysFigures { what, first, second, identical, .. } = days;
            let changed = second.rows_written + second.rows_removed;
            if changed > 0 || !identical {
                return Err(anyhow!("the second run of the {what} changed {changed} rows"));
            }
            let all = [first, second].map(|run| u64::from(run.organizations));
            if all != [self.organizations; 2] {
                return Err(anyhow!("a run of the {what} left organizations out: {all:?}"));
            }
        }
        Ok(())
    }
}

fn head(value: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let rows = [
        ("calls", "calls"),
        ("organizations", "organizations"),
        ("organizations of a page", "page_organizations"),
        ("to generate, seconds", "generate_seconds"),
        ("bare GROUP BY of all, seconds", "bare_group_by_seconds"),
        ("peak memory of this process, MiB", "bench_peak_memory_mib"),
        ("of Postgres' with shared buffers, MiB", "postgres_peak_memory_mib"),
        ("of Postgres' without, MiB", "postgres_own_peak_memory_mib"),
    ];
    for (name, field) in rows {
        table.add_row([name.to_owned(), shown(&value[field])]);
    }
    table
}

fn days_table(value: &Value) -> Table {
    let columns = [
        ("FIRST S", "/first/seconds"),
        ("SECOND S", "/second/seconds"),
        ("PAGES", "/first/pages"),
        ("WRITTEN", "/first/rows_written"),
        ("CHANGED BY SECOND", "/second/rows_written"),
        ("IDENTICAL", "/identical"),
        ("ROWS READ", "/rows_read"),
        ("BLOCKS READ", "/blocks_read"),
        ("PARTITIONS", "/partitions"),
        ("PRUNED", "/partitions_pruned"),
        ("READ IN FULL", "/partitions_read_in_full"),
    ];
    let mut table = Table::new();
    let names = columns.iter().map(|(name, _)| *name);
    table.load_preset(NOTHING).set_header(["DAYS"].into_iter().chain(names));
    for what in ["day", "month"] {
        let figures = columns
            .iter()
            .map(|(_, field)| value[what].pointer(field).map(list).unwrap_or_default());
        table.add_row([what.to_owned()].into_iter().chain(figures));
    }
    table
        .column_iter_mut()
        .skip(1)
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn list(value: &Value) -> String {
    match value.as_array() {
        Some(items) if items.is_empty() => "-".to_owned(),
        Some(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        None => shown(value),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn run(rows_written: u64) -> RunFigures {
        RunFigures { seconds: 1.23456, pages: 1, organizations: 10, rows_written, rows_removed: 0 }
    }

    fn days(what: &'static str, second: u64) -> DaysFigures {
        DaysFigures {
            what,
            first_day: NaiveDate::default(),
            last_day: NaiveDate::default(),
            first: run(40),
            second: run(second),
            identical: true,
            daily_rows: 40,
            rows_read: 5,
            blocks_read: 6,
            partitions: 8,
            partitions_pruned: 5,
            partitions_read_in_full: vec!["calls_2026_10".to_owned()],
        }
    }

    fn report(second: u64, organizations: u64) -> Report {
        Report {
            bench: "aggregation",
            version: "0",
            build: "debug",
            started_at: String::new(),
            calls: 100,
            organizations,
            page_organizations: 10,
            generate_seconds: 2.0,
            day: days("day", 0),
            month: days("month", second),
            bare_group_by_seconds: 0.5,
            bench_peak_memory_mib: None,
            postgres_peak_memory_mib: Some(300.0),
            postgres_own_peak_memory_mib: Some(200.0),
        }
    }

    #[test]
    fn a_second_run_that_changes_rows_is_void() {
        report(0, 10).check().unwrap();
        assert!(report(1, 10).check().is_err());
        assert!(report(0, 11).check().is_err(), "an organization is missing");
    }

    #[test]
    fn both_forms_tell_what_was_read() {
        let report = report(0, 10);
        let table = report.text(Format::Table).unwrap();
        assert!(table.contains("calls_2026_10") && table.contains("1.235"), "{table}");
        let value: Value = serde_json::from_str(&report.text(Format::Json).unwrap()).unwrap();
        assert_eq!(value["month"]["partitions_pruned"], 5);
        assert_eq!(value["bench_peak_memory_mib"], Value::Null);
    }
}
