//! Comma-separated values (RFC 4180), for spreadsheets.

use axum::{
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};

/// An answer to be saved as a file of this name. The rows come from lists that are bounded themselves.
pub(super) fn csv(
    file: &'static str,
    columns: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Response {
    let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let text: String = std::iter::once(head).chain(rows).map(|row| line(&row)).collect();
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    if let Ok(value) = format!("attachment; filename=\"{file}\"").parse() {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

fn line(row: &[String]) -> String {
    let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
    format!("{}\r\n", cells.join(","))
}

fn cell(text: &str) -> String {
    // A spreadsheet would run it: OWASP, CSV injection. A number may begin with a minus.
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = match is_formula && text.parse::<f64>().is_err() {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    if text.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_text() {
        let row =
            ["plain", "a,b", "say \"hi\"", "=1+1", "-30", "@x", "two\nlines"].map(str::to_owned);
        let expected = "plain,\"a,b\",\"say \"\"hi\"\"\",'=1+1,-30,'@x,\"two\nlines\"\r\n";
        assert_eq!(line(&row), expected);
    }
}
