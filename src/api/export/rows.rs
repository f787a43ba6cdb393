//! Rows as comma-separated values (RFC 4180) or as lines of JSON.

use serde::{Deserialize, Serializer};
use serde_json::{Map, Value, value::RawValue};

use crate::api::problem::Problem;

/// Where an export that was cut goes on; filled in the last row of a page.
const CURSOR: &str = "cursor";
/// Stands for all columns.
const ALL: &str = "*";

/// A form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Comma-separated values.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl Format {
    /// `Content-Type`. CSV: RFC 7111.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::JsonLines => "application/jsonl",
        }
    }
}

/// A page of any list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// A format and its columns.
#[derive(Debug, Clone)]
pub(super) struct Form {
    format: Format,
    /// None for rows as they are.
    columns: Option<Vec<String>>,
}

impl Form {
    /// `chosen` as the client names them, of the columns that there are.
    pub(super) fn new(
        format: Format,
        chosen: Option<&str>,
        all: &[String],
    ) -> Result<Self, Problem> {
        let chosen = match (chosen, format) {
            (None, Format::JsonLines) => return Ok(Self { format, columns: None }),
            (chosen, _) => chosen.unwrap_or(ALL),
        };
        let wrong = |detail: String| Err(Problem::query("columns", detail));
        let mut columns: Vec<String> = Vec::new();
        for name in chosen.split(',').map(str::trim) {
            let known = name == CURSOR || all.iter().any(|one| is_within(name, one));
            match name {
                name if columns.iter().any(|one| one == name) => {
                    return wrong(format!("names {name} twice"));
                }
                ALL => {
                    let others: Vec<String> =
                        all.iter().filter(|one| !columns.contains(one)).cloned().collect();
                    columns.extend(others);
                }
                name if known => columns.push(name.to_owned()),
                name => return wrong(format!("{name:?} is none of {}, {CURSOR}", all.join(", "))),
            }
        }
        Ok(Self { format, columns: Some(columns) })
    }

    pub(super) const fn media_type(&self) -> &'static str {
        self.format.media_type()
    }

    pub(super) const fn extension(&self) -> &'static str {
        match self.format {
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
        }
    }

    /// What comes before the rows.
    pub(super) fn head(&self) -> Vec<u8> {
        match (self.format, &self.columns) {
            (Format::Csv, Some(columns)) => head_line(columns).into_bytes(),
            _ => Vec::new(),
        }
    }

    /// Writes the rows of a page.
    pub(super) fn write(&self, page: &Page, text: &mut Vec<u8>) {
        let Some(columns) = &self.columns else {
            for row in &page.data {
                text.extend_from_slice(row.get().as_bytes());
                text.push(b'\n');
            }
            return;
        };
        let last = page.data.len().saturating_sub(1);
        for (place, row) in page.data.iter().enumerate() {
            let mut row: Map<String, Value> = serde_json::from_str(row.get()).unwrap_or_default();
            let cursor = page.next_cursor.clone().filter(|_| place == last);
            row.insert(CURSOR.to_owned(), cursor.map_or(Value::Null, Value::String));
            text.extend_from_slice(line(self.format, columns, &row).as_bytes());
        }
    }
}

/// `recording` is a column where `recording.bytes` is: all of it, as JSON.
fn is_within(name: &str, column: &str) -> bool {
    column.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The names of the columns as a line of comma-separated values.
fn head_line(columns: &[String]) -> String {
    let cells: Vec<String> = columns.iter().map(|name| cell(name)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A row as a line. A column names a field, or one within another as `outer.inner`.
fn line(format: Format, columns: &[String], row: &Map<String, Value>) -> String {
    match format {
        Format::Csv => {
            let cells: Vec<String> =
                columns.iter().map(|name| text(name, field(row, name))).collect();
            format!("{}\r\n", cells.join(","))
        }
        Format::JsonLines => {
            let mut line = Vec::new();
            let fields = columns.iter().map(|name| (name, field(row, name)));
            // Texts and values of JSON always are JSON.
            drop(serde_json::Serializer::new(&mut line).collect_map(fields));
            line.push(b'\n');
            String::from_utf8(line).unwrap_or_default()
        }
    }
}

fn field<'a>(row: &'a Map<String, Value>, name: &str) -> &'a Value {
    let inner = || {
        let (outer, inner) = name.split_once('.')?;
        row.get(outer)?.get(inner)
    };
    row.get(name).or_else(inner).unwrap_or(&Value::Null)
}

fn text(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // To be sent back as it is; it needs no quotes, and is no formula: nothing follows its signs.
        Value::String(cursor) if name == CURSOR => cursor.clone(),
        Value::String(text) => cell(text),
        other => cell(&other.to_string()),
    }
}

fn cell(text: &str) -> String {
    // A spreadsheet would run it: OWASP, CSV injection. A number may begin with a minus.
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = match is_formula && text.parse::<f64>().is_err() {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    // Where a spreadsheet parts cells at semicolons or tabs, too, quotes keep this one whole.
    if text.contains([',', ';', '\t', '"', '\r', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn cells_are_quoted_and_formulas_are_text() {
        let cases = [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("+14155550100", "+14155550100"),
            ("-30", "-30"),
            ("@x", "'@x"),
            ("two\nlines", "\"two\nlines\""),
            ("a;=1+1;b", "\"a;=1+1;b\""),
        ];
        for (given, written) in cases {
            assert_eq!(cell(given), written);
        }
    }

    #[test]
    fn a_page_is_written_in_either_form_and_its_last_row_has_the_cursor() {
        let page = json!({
            "data": [{"a": "x", "b": {"c": 1, "d": null}}, {"a": "=1", "b": null}],
            "next_cursor": "-on"
        });
        let page: Page = serde_json::from_str(&page.to_string()).unwrap();
        let all = columns(&["a", "b.c", "b.d"]);
        let written = |format, chosen| {
            let form = Form::new(format, chosen, &all).unwrap();
            let mut text = form.head();
            form.write(&page, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(written(Format::Csv, None), "a,b.c,b.d\r\nx,1,\r\n'=1,,\r\n");
        let rows = written(Format::Csv, Some("b.c, a,cursor"));
        assert_eq!(rows, "b.c,a,cursor\r\n1,x,\r\n,'=1,-on\r\n", "a cursor is never text");
        let rows = written(Format::Csv, Some("b"));
        assert_eq!(rows, "b\r\n\"{\"\"c\"\":1,\"\"d\"\":null}\"\r\n\r\n");
        let rows = written(Format::JsonLines, None);
        assert_eq!(rows, "{\"a\":\"x\",\"b\":{\"c\":1,\"d\":null}}\n{\"a\":\"=1\",\"b\":null}\n");
        let rows = written(Format::JsonLines, Some("*,cursor"));
        let first = "{\"a\":\"x\",\"b.c\":1,\"b.d\":null,\"cursor\":null}\n";
        assert!(rows.starts_with(first) && rows.ends_with("\"cursor\":\"-on\"}\n"), "{rows}");
    }

    #[test]
    fn columns_that_do_not_exist_are_refused() {
        let all = columns(&["a", "b.c"]);
        for wrong in ["", "x", "a,x", "b.x", "a b", "a,a", "*,a"] {
            assert!(Form::new(Format::Csv, Some(wrong), &all).is_err(), "{wrong}");
        }
    }
}
