//! What is always there in an answer, null or not: every field of every schema that no request has.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::{OpenApi, RefOr, Schema, schema::ArrayItems};

use super::{PROBLEM, operations};

const SCHEMAS: &str = "#/components/schemas/";

/// Says so of them. A problem names only what it has.
pub(super) fn document(document: &mut OpenApi) {
    let mut asked = BTreeSet::from([PROBLEM.to_owned()]);
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            names(&operation.request_body, &mut asked);
        }
    }
    let schemas = &mut document.components.get_or_insert_default().schemas;
    loop {
        let before = asked.len();
        for name in asked.clone() {
            names(&schemas.get(&name), &mut asked);
        }
        if asked.len() == before {
            break;
        }
    }
    let answered = schemas.iter_mut().filter(|(name, _)| !asked.contains(*name));
    answered.for_each(|(_, schema)| require_all(schema));
}

/// Schemas that something names.
fn names(something: &impl Serialize, into: &mut BTreeSet<String>) {
    fn walk(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                let name = fields.get("$ref").and_then(Value::as_str);
                into.extend(
                    name.and_then(|name| name.strip_prefix(SCHEMAS)).map(ToOwned::to_owned),
                );
                fields.values().for_each(|value| walk(value, into));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, into)),
            _ => {}
        }
    }
    walk(&serde_json::to_value(something).unwrap_or_default(), into);
}

fn require_all(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            object.required = object.properties.keys().cloned().collect();
            object.properties.values_mut().for_each(require_all);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                require_all(items);
            }
        }
        Schema::AllOf(parts) => parts.items.iter_mut().for_each(require_all),
        Schema::OneOf(parts) => parts.items.iter_mut().for_each(require_all),
        Schema::AnyOf(parts) => parts.items.iter_mut().for_each(require_all),
        _ => {}
    }
}
