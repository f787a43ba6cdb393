//! What is a list, and what its rows have: told by the OpenAPI document.

use std::collections::HashMap;

use utoipa::openapi::{
    Components, Content, OpenApi, Ref, RefOr, Response, Schema,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    schema::{ArrayItems, KnownFormat, Object, ObjectBuilder, SchemaFormat, Type},
};

use super::rows::Format;

const JSON: &str = "application/json";

/// The lists of the API, by the route as the router names it.
pub(super) struct Lists(HashMap<String, List>);

/// A list.
#[derive(Debug, Clone)]
pub(super) struct List {
    /// Name of a file of it, but for its extension.
    pub(super) file: String,
    /// The fields of a row; one within another as `outer.inner`.
    pub(super) columns: Vec<String>,
    /// Whether it comes in pages.
    pub(super) is_paged: bool,
    /// Whether it is of a range of time, and of the last days where none is named.
    pub(super) has_range: bool,
}

impl Lists {
    pub(super) fn of(document: &OpenApi) -> Self {
        let Some(components) = &document.components else { return Self(HashMap::new()) };
        let lists = document.paths.paths.iter().filter_map(|(path, item)| {
            let list = list(components, path, item.get.as_ref()?)?;
            Some((path.clone(), list))
        });
        Self(lists.collect())
    }

    pub(super) fn get(&self, route: &str) -> Option<&List> {
        self.0.get(route)
    }
}

fn list(components: &Components, path: &str, operation: &Operation) -> Option<List> {
    let page = resolved(components, page(operation)?)?;
    let RefOr::T(Schema::Array(rows)) = page.properties.get("data")? else { return None };
    let ArrayItems::RefOrSchema(row) = &rows.items else { return None };
    let row = resolved(components, row)?;
    let columns =
        row.properties.iter().flat_map(|(name, field)| match resolved(components, field) {
            Some(inner) if !inner.properties.is_empty() => {
                inner.properties.keys().map(|inner| format!("{name}.{inner}")).collect()
            }
            _ => vec![name.clone()],
        });
    let words = path.split('/').filter(|word| !word.is_empty() && !word.starts_with('{'));
    Some(List {
        file: words.skip(1).collect::<Vec<_>>().join("-"),
        columns: columns.collect(),
        is_paged: page.properties.contains_key("next_cursor"),
        has_range: operation.parameters.iter().flatten().any(is_instant),
    })
}

/// Whether it is the beginning of a range of time; that of days is bounded in length.
fn is_instant(parameter: &RefOr<Parameter>) -> bool {
    let RefOr::T(Parameter { name, schema: Some(RefOr::T(Schema::Object(object))), .. }) =
        parameter
    else {
        return false;
    };
    let instant = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    name == "from" && object.format == Some(instant)
}

/// What a list answers.
fn page(operation: &Operation) -> Option<&RefOr<Schema>> {
    match operation.responses.responses.get("200")? {
        RefOr::T(Response { content, .. }) => match content.get(JSON)? {
            RefOr::T(content) => content.schema.as_ref(),
            RefOr::Ref(_) => None,
        },
        RefOr::Ref(_) => None,
    }
}

/// The object that is meant, also where it may be null.
fn resolved<'a>(components: &'a Components, schema: &'a RefOr<Schema>) -> Option<&'a Object> {
    match schema {
        RefOr::Ref(Ref { ref_location, .. }) => {
            let (_, name) = ref_location.rsplit_once('/')?;
            resolved(components, components.schemas.get(name)?)
        }
        RefOr::T(Schema::Object(object)) => Some(object),
        RefOr::T(Schema::OneOf(one_of)) => one_of.items.iter().find_map(|one| match one {
            RefOr::Ref(_) => resolved(components, one),
            RefOr::T(_) => None,
        }),
        RefOr::T(_) => None,
    }
}

/// Says of every list that it can be exported.
pub(in crate::api) fn document(document: &mut OpenApi) {
    let lists = Lists::of(document);
    for (path, item) in &mut document.paths.paths {
        let (Some(list), Some(operation)) = (lists.get(path), &mut item.get) else { continue };
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(RefOr::T(format_parameter()));
        parameters.push(RefOr::T(columns_parameter(list)));
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
            for format in [Format::Csv, Format::JsonLines] {
                let text = ObjectBuilder::new().schema_type(Type::String);
                let media_type = format.media_type().split(';').next().unwrap_or_default();
                let content = RefOr::T(Content::new(Some(text)));
                response.content.insert(media_type.to_owned(), content);
            }
        }
    }
}

fn format_parameter() -> Parameter {
    let form = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["json", "csv", "jsonl"]))
        .default(Some("json".into()));
    ParameterBuilder::new()
        .name("format")
        .parameter_in(ParameterIn::Query)
        .description(Some(
            "`json` for a page. `csv` or `jsonl` for all rows from the cursor on, streamed: comma-separated \
             values (RFC 4180) with a head line, or a JSON object a line. `limit` does not matter then, and \
             without `from` it begins with the oldest. What is cut short ends with a broken connection",
        ))
        .schema(Some(form))
        .build()
}

fn columns_parameter(list: &List) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let names = list.columns.join("`, `");
    ParameterBuilder::new()
        .name("columns")
        .parameter_in(ParameterIn::Query)
        .description(Some(format!(
            "With `csv` or `jsonl`: which columns, in this order, separated by commas. `*` stands for all \
             of them; `cursor` is filled in the last row of each page, and an export that was cut goes on \
             after that row with this `cursor`. The columns: `{names}`"
        )))
        .schema(Some(text))
        .build()
}
