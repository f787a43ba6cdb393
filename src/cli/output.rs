//! Data on stdout, in the form that was asked for.

use std::io::Write;

use clap::ValueEnum;
use comfy_table::{Table, presets::NOTHING};
use serde_json::Value;

/// Form of a command's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
}

/// Prints one line of data. Who reads along may have seen enough: that is no error.
pub(crate) fn line(text: impl std::fmt::Display) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
        let enough = error.kind() == std::io::ErrorKind::BrokenPipe;
        std::process::exit(if enough { 0 } else { 1 });
    }
}

/// Prints text that ends its lines itself.
pub(super) fn text(text: &str) {
    line(text.trim_end());
}

/// Prints rows with the named columns; JSON forms print everything.
pub(super) fn rows(format: Format, columns: &[&str], rows: &[Value]) {
    match format {
        Format::Json => line(Value::Array(rows.to_vec())),
        Format::Jsonl => rows.iter().for_each(line),
        Format::Table => {
            let mut table = Table::new();
            table.load_preset(NOTHING).set_header(columns.iter().map(|name| name.to_uppercase()));
            for row in rows {
                table.add_row(columns.iter().map(|name| cell(&row[*name])));
            }
            line(table);
        }
    }
}

/// Prints a page of the API's, and whether there is more.
pub(super) fn page(format: Format, columns: &[&str], page: &Value) {
    rows(format, columns, page["data"].as_array().map_or(&[], Vec::as_slice));
    if page["next_cursor"].is_string() {
        eprintln!("there are more");
    }
}

/// Prints one object, field by field.
pub(super) fn object(format: Format, value: &Value) {
    let Some(fields) = value.as_object().filter(|_| format == Format::Table) else {
        line(value);
        return;
    };
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for (name, value) in fields {
        table.add_row([name.clone(), cell(value)]);
    }
    line(table);
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let shown = fields.iter().filter(|(_, value)| !value.is_null());
            shown
                .map(|(name, value)| format!("{name}={}", cell(value)))
                .collect::<Vec<_>>()
                .join(" ")
        }
        other => other.to_string(),
    }
}
