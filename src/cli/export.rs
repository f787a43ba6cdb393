//! `postcall export`: all of a list, to a file or to standard output.
//!
//! What is written of a file ends with a page: beside it lies where the next one begins, so an export
//! that was broken off by anything goes on where it was.

mod records;
mod sink;

use std::{path::PathBuf, time::Duration};

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use tokio::time::{sleep, timeout};

use self::{
    records::{Record, Records},
    sink::Sink,
};
use super::{
    Failed,
    target::{Target, TargetArgs},
};
use crate::api::export::Format;

/// The API sends something sooner, or has given up on a page.
const PATIENCE: Duration = Duration::from_secs(120);
/// Attempts in a row that bring no page.
const ATTEMPTS: u32 = 8;
/// Before the next attempt; each later one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The list, as the API names it: calls, audit-log, usage, webhooks/ID/logs, calls/ID/timeline.
    list: String,
    /// A filter of the list, as status=completed or from=2026-11-01T00:00:00Z; as many as needed.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Form of the rows.
    #[arg(long, value_enum, default_value = "csv")]
    format: ExportFormat,
    /// Which columns, in this order, separated by commas. Default: all.
    #[arg(long, default_value = "*", value_parser = columns)]
    columns: String,
    /// The file to write. Where it was begun by the same command, it is gone on with.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportFormat {
    /// Comma-separated values with a head line.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// The cursor is for the command itself.
fn columns(text: &str) -> Result<String, String> {
    match text.split(',').any(|name| name.trim() == "cursor") {
        true => Err("the cursor is kept beside the file".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn filter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE, as status=completed")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: &ExportArgs) -> Result<(), Failed> {
    let api = args.target.api()?;
    let mut sink = Sink::open(args.out.clone(), &args.identity())?;
    let mut failures = 0;
    loop {
        let before = sink.rows();
        let failed = match pages(&api, args, &mut sink).await {
            Ok(()) => break,
            Err(Broken::Connection(error)) => error,
            Err(Broken::ForGood(failed)) => return Err(failed),
        };
        failures = if sink.rows() > before { 0 } else { failures + 1 };
        if failures == ATTEMPTS {
            let text = format!("after {} rows; the same command goes on there", sink.rows());
            return Err(failed.context(text).into());
        }
        tracing::debug!(error = format!("{failed:#}"), "the export is taken up again");
        sleep(FIRST_WAIT * 2_u32.pow(failures)).await;
    }
    sink.finish()?;
    Ok(())
}

impl ExportArgs {
    /// What must be the same for a file to be gone on with.
    fn identity(&self) -> String {
        format!("{} {:?} {:?} {}", self.list, self.filter, self.format, self.columns)
    }

    fn format(&self) -> Format {
        match self.format {
            ExportFormat::Csv => Format::Csv,
            ExportFormat::Jsonl => Format::JsonLines,
        }
    }
}

/// Why an export ended early.
enum Broken {
    /// It is worth another try.
    Connection(anyhow::Error),
    /// It was refused, or cannot be written.
    ForGood(Failed),
}

impl From<Failed> for Broken {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Other(error) => Self::Connection(error),
            refused => Self::ForGood(refused),
        }
    }
}

/// Writes whatever follows what is written.
async fn pages(api: &Target, args: &ExportArgs, sink: &mut Sink) -> Result<(), Broken> {
    let written = |error| Broken::ForGood(Failed::Other(error));
    let silent = |_| Broken::Connection(anyhow!("the API sends nothing any more"));
    let breaks = |error| Broken::Connection(anyhow!("the answer breaks off: {error}"));
    let mut query = args.filter.clone();
    let format = args.format.to_possible_value().map(|value| value.get_name().to_owned());
    query.extend(format.map(|format| ("format".to_owned(), format)));
    query.push(("columns".to_owned(), format!("{},cursor", args.columns)));
    query.extend(sink.cursor().map(|cursor| ("cursor".to_owned(), cursor.to_owned())));
    let path = format!("/v1/{}", args.list);
    let mut answer = timeout(PATIENCE, api.open(&path, &query)).await.map_err(silent)??;
    let mut records = Records::new(args.format());
    let (mut page, mut is_page_whole) = (Vec::new(), false);
    while let Some(bytes) =
        timeout(PATIENCE, answer.chunk()).await.map_err(silent)?.map_err(breaks)?
    {
        records.take(&bytes);
        while let Some(record) = records.next() {
            is_page_whole = false;
            match record {
                Record::Head(text) => sink.head(&text).map_err(written)?,
                Record::Row { text, cursor: None } => page.push(text),
                Record::Row { text, cursor: Some(cursor) } => {
                    page.push(text);
                    sink.page(&std::mem::take(&mut page), cursor).map_err(written)?;
                    is_page_whole = true;
                }
            }
        }
    }
    // A cursor says that more follows, and half a row that the rest of it does.
    if is_page_whole || !records.is_empty() {
        return Err(Broken::Connection(anyhow!("the answer ends early")));
    }
    sink.rest(&page).map_err(written)
}
