//! Whole lists as streams: JSON lines, taken up again where a connection breaks.

use std::{collections::VecDeque, fmt, marker::PhantomData, mem};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::{
    call::Call,
    download::Download,
    error::Error,
    lines::Lines,
    page::Page,
    request::{Request, mode},
};

const CURSOR: &str = "cursor";
/// Rows that wait for the end of their page. A page has at most 250; more are those of a list
/// without pages, and are handed on.
const MOST_HELD: usize = 1_000;

/// A thing that lists have as rows.
pub trait Row {
    /// Its members: the columns of an export.
    const COLUMNS: &'static [&'static str];
}

/// An answer that is a list.
pub trait Listing {
    /// What it is a list of.
    type Row: Row;
}

impl<T: Row> Listing for Page<T> {
    type Row = T;
}

/// A row of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportRow<T> {
    /// The row.
    pub value: T,
    /// On the last row of each page but the last: where the export goes on after this row. Keep it
    /// once the row is safe, and hand it to [`Export::after`] to go on another day.
    pub cursor: Option<String>,
}

/// An export that is to begin.
#[must_use = "`rows` begins the export"]
pub struct Export<T> {
    call: Call,
    columns: Vec<String>,
    row: PhantomData<fn() -> T>,
}

impl<T: Listing, M: mode::List> Request<T, M> {
    /// All rows of the list, with the filters of this request; its `limit` does not matter.
    pub fn export(self) -> Export<T::Row> {
        let columns = T::Row::COLUMNS.iter().map(|&name| name.to_owned()).collect();
        Export { call: self.call, columns, row: PhantomData }
    }

    /// The same as comma-separated values (RFC 4180) with a head line, byte by byte. What breaks
    /// off is an error, and begins anew.
    pub fn csv(self) -> Request<Download, mode::Bytes> {
        let call = self.call.with("format", Some("csv".to_owned())).with("limit", None);
        Request::new(call.accept("text/csv"))
    }
}

impl<T> Export<T> {
    /// Only these columns, into a type of your own: members of the list's rows, or one within
    /// another as `outer.inner`.
    pub fn columns<U>(self, names: impl IntoIterator<Item: Into<String>>) -> Export<U> {
        let columns = names.into_iter().map(Into::into).collect();
        Export { call: self.call, columns, row: PhantomData }
    }

    /// Begins after the row that had this cursor, with the same filters.
    pub fn after(self, cursor: impl Into<String>) -> Self {
        Self { call: self.call.with(CURSOR, Some(cursor.into())), ..self }
    }
}

impl<T: DeserializeOwned + Send + 'static> Export<T> {
    /// The rows, each once. A page is in memory at a time: its rows come when it is there as a
    /// whole. Where the connection breaks, the export goes on after the last page, as often as
    /// pages come in between; the stream ends with the first error that does not pass.
    pub fn rows(self) -> BoxStream<'static, Result<ExportRow<T>, Error>> {
        let columns = format!("{},{CURSOR}", self.columns.join(","));
        let call = self.call.with("limit", None).with("format", Some("jsonl".to_owned()));
        let call = call.with("columns", Some(columns)).accept("application/jsonl");
        let running = Running {
            call,
            lines: None,
            held: Vec::new(),
            ready: VecDeque::new(),
            failed: 0,
            can_resume: true,
            is_whole: false,
        };
        let rows = stream::try_unfold(running, |mut running| async move {
            let row = running.next().await?;
            Ok(row.map(|row| (row, running)))
        });
        rows.boxed()
    }
}

impl<T> fmt::Debug for Export<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("operation", &self.call.operation)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// An export that goes on.
struct Running<T> {
    call: Call,
    /// The answer that is being read.
    lines: Option<Lines>,
    /// Rows of a page that is not there as a whole.
    held: Vec<T>,
    /// Rows of pages that are.
    ready: VecDeque<ExportRow<T>>,
    /// Attempts since the last page.
    failed: u32,
    /// Whether nothing was handed on that would come again.
    can_resume: bool,
    is_whole: bool,
}

impl<T: DeserializeOwned> Running<T> {
    async fn next(&mut self) -> Result<Option<ExportRow<T>>, Error> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            if self.is_whole {
                return Ok(None);
            }
            if let Err(error) = self.advance().await {
                self.failed += 1;
                let wait = self.call.client.inner.retries.wait(self.failed, &error);
                let Some(wait) = wait.filter(|_| self.can_resume) else {
                    return Err(error);
                };
                self.lines = None;
                self.held.clear();
                sleep(wait).await;
            }
        }
    }

    /// Reads a line.
    async fn advance(&mut self) -> Result<(), Error> {
        let operation = self.call.operation;
        let mut lines = match self.lines.take() {
            Some(lines) => lines,
            None => Lines::new(operation, self.call.open_once().await?),
        };
        let line = lines.next().await?;
        self.lines = Some(lines);
        match line {
            None => {
                self.release(None);
                self.is_whole = true;
            }
            Some(line) if line.is_empty() => {}
            Some(line) => {
                let row = row(&line).map_err(|source| Error::Decode { operation, source })?;
                self.take(row);
            }
        }
        Ok(())
    }

    fn take(&mut self, (row, cursor): (T, Option<String>)) {
        self.held.push(row);
        if let Some(cursor) = cursor {
            self.call = self.call.clone().with(CURSOR, Some(cursor.clone()));
            (self.failed, self.can_resume) = (0, true);
            self.release(Some(cursor));
        } else if self.held.len() >= MOST_HELD {
            self.can_resume = false;
            self.release(None);
        }
    }

    /// Hands on what is held; the last row has the cursor.
    fn release(&mut self, cursor: Option<String>) {
        let rows = mem::take(&mut self.held).into_iter();
        self.ready.extend(rows.map(|value| ExportRow { value, cursor: None }));
        if let Some(last) = self.ready.back_mut() {
            last.cursor = cursor;
        }
    }
}

/// A row, and where the list goes on after it.
fn row<T: DeserializeOwned>(line: &[u8]) -> Result<(T, Option<String>), serde_json::Error> {
    let mut row: Map<String, Value> = serde_json::from_slice(line)?;
    let cursor = match row.remove(CURSOR) {
        Some(Value::String(cursor)) => Some(cursor),
        _ => None,
    };
    Ok((serde_json::from_value(Value::Object(row))?, cursor))
}
