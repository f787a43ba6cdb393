//! `operations.rs`: a function of the client for each operation.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    document::{Answered, Document, Operation},
    fields,
    json::Json,
    models::{page_of, query_name, row_of},
    names,
    text::{doc, head, paragraphs, signature},
    types::{Type, typed},
};

const USES: &str = "use reqwest::StatusCode;\nuse uuid::Uuid;\n\n\
    use crate::{\n    call::Call,\n    client::Client,\n    download::Download,\n    \
    events::StreamEvent,\n    models,\n    page::Page,\n    query::Text,\n    \
    request::{Request, mode},\n};\n";

pub(crate) fn written(document: &Document) -> Result<String, String> {
    let operations = document.operations()?;
    let mut tags: BTreeMap<&str, Vec<&Operation<'_>>> = BTreeMap::new();
    let mut functions = BTreeSet::new();
    for operation in &operations {
        if !functions.insert(names::snake(operation.id)) {
            let (what, id) = (operation.name(), operation.id);
            return Err(format!("{what}: another operation is called {id}"));
        }
        tags.entry(operation.tag).or_default().push(operation);
    }
    let mut text = head("What can be asked for.");
    text.push_str(USES);
    for (tag, operations) in &tags {
        let docs = doc(0, &[format!("Operations on {tag}.")]);
        text.push_str(&format!("\n{docs}impl Client {{\n"));
        for (place, operation) in operations.iter().enumerate() {
            if place > 0 {
                text.push('\n');
            }
            text.push_str(&written_one(document, operation)?);
        }
        text.push_str("}\n");
    }
    Ok(text)
}

/// An operation as a function.
fn written_one(document: &Document, operation: &Operation<'_>) -> Result<String, String> {
    let (what, function) = (operation.name(), names::identifier(operation.id));
    let mut arguments = vec!["&self".to_owned()];
    let mut parameters = Vec::new();
    for parameter in operation.parameters("path") {
        let name = parameter.text("name").unwrap_or_default();
        let schema = parameter.get("schema").unwrap_or(&Json::Null);
        let of = typed(document, &query_name(operation), name, schema)?.of;
        let name = names::identifier(name);
        let (of, value) = match of {
            Type::Text => ("&str".to_owned(), format!("{name}.to_owned()")),
            Type::Words(words) => (format!("models::{}", words.name), format!("{name}.text()")),
            other => (other.rust(), format!("{name}.text()")),
        };
        arguments.push(format!("{name}: {of}"));
        parameters.push(value);
    }
    let mut call = String::from("call");
    let query = query_name(operation);
    if !fields::of_query(document, &query, operation)?.is_empty() {
        arguments.push(format!("query: models::{query}"));
        call.push_str(".query(query.pairs())");
    }
    if let Some(body) = operation.body()? {
        let (of, method) = match body.is_optional {
            true => (format!("Option<&models::{}>", body.schema), "maybe_body"),
            false => (format!("&models::{}", body.schema), "body"),
        };
        arguments.push(format!("body: {of}"));
        call.push_str(&format!(".{method}(body)"));
    }
    let (answer, extra) = answer(document, operation)?;
    call.push_str(&extra);
    for status in operation.also() {
        let number = status.parse::<u16>().map_err(|_| format!("{what}: status {status}"))?;
        let name =
            constant(number).ok_or_else(|| format!("{what}: status {status} is not known"))?;
        call.push_str(&format!(".also(StatusCode::{name})"));
    }
    if !operation.needs_key() {
        call.push_str(".anonymous()");
    }
    let head = signature(4, &format!("pub fn {function}"), &arguments, &format!(" -> {answer}"));
    let parameters = parameters.join(", ");
    Ok(format!(
        "{}{head}        let call = Call::new(self, \"{what}\", vec![{parameters}]);\n        \
         Request::new({call})\n    }}\n",
        doc(4, &documented(operation))
    ))
}

/// The type of the request, and what else is to be said of the call.
fn answer(document: &Document, operation: &Operation<'_>) -> Result<(String, String), String> {
    let is_get = operation.method == "GET";
    let (of, mode, extra) = match operation.answered()? {
        Answered::Events => ("StreamEvent".to_owned(), "Live", String::new()),
        Answered::Bytes(media_type) => {
            ("Download".to_owned(), "Bytes", format!(".accept(\"{media_type}\")"))
        }
        Answered::Nothing => ("()".to_owned(), changed(operation)?, String::new()),
        Answered::Json(name) => {
            let (page, row) = (page_of(document, name)?, row_of(document, name)?);
            let of = page
                .map_or_else(|| format!("models::{name}"), |row| format!("Page<models::{row}>"));
            let mode = match (is_get, page, row) {
                (false, ..) => changed(operation)?,
                (true, Some(_), _) => "Pages",
                (true, None, Some(_)) => "Rows",
                (true, None, None) => "Read",
            };
            (of, mode, String::new())
        }
    };
    Ok((format!("Request<{of}, mode::{mode}>"), extra))
}

fn changed(operation: &Operation<'_>) -> Result<&'static str, String> {
    match (operation.method.as_str(), operation.has_header("If-Match")) {
        ("POST", false) => Ok("Post"),
        ("PUT" | "PATCH" | "DELETE", true) => Ok("Guarded"),
        ("PUT" | "PATCH" | "DELETE", false) => Ok("Change"),
        _ => Err(format!("{}: its kind is not known", operation.name())),
    }
}

fn documented(operation: &Operation<'_>) -> Vec<String> {
    let mut docs = Vec::new();
    for text in ["summary", "description"] {
        docs.extend(operation.node.text(text).into_iter().flat_map(paragraphs));
    }
    docs.push(format!("`{}`", operation.name()));
    docs
}

fn constant(status: u16) -> Option<&'static str> {
    match status {
        404 => Some("NOT_FOUND"),
        503 => Some("SERVICE_UNAVAILABLE"),
        _ => None,
    }
}
