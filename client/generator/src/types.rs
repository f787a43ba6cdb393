//! What a schema is in Rust.

use crate::{
    document::{Document, reference},
    json::Json,
    names,
    text::paragraphs,
};

/// A type, without what may be missing or null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Boolean,
    /// By name: `i32`, `i64`, `u32`, `u64`, `f64`.
    Number(&'static str),
    Text,
    Secret,
    /// Texts by name, all of them secret.
    Secrets,
    Instant,
    Day,
    Id,
    /// Any JSON.
    Any,
    List(Box<Type>),
    Map(Box<Type>),
    /// A struct of this name.
    Struct(String),
    /// An enum.
    Words(Words),
}

/// An enum of words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Words {
    pub(crate) name: String,
    pub(crate) docs: Vec<String>,
    pub(crate) words: Vec<String>,
}

/// A type, and whether null is a value of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Typed {
    pub(crate) of: Type,
    pub(crate) is_nullable: bool,
}

impl Type {
    /// As it stands in a field.
    pub(crate) fn rust(&self) -> String {
        match self {
            Self::Boolean => "bool".to_owned(),
            Self::Number(name) => (*name).to_owned(),
            Self::Text => "String".to_owned(),
            Self::Secret => "SecretString".to_owned(),
            Self::Secrets => "BTreeMap<String, SecretString>".to_owned(),
            Self::Instant => "DateTime<Utc>".to_owned(),
            Self::Day => "NaiveDate".to_owned(),
            Self::Id => "Uuid".to_owned(),
            Self::Any => "Value".to_owned(),
            Self::List(items) => format!("Vec<{}>", items.rust()),
            Self::Map(values) => format!("BTreeMap<String, {}>", values.rust()),
            Self::Struct(name) => name.clone(),
            Self::Words(words) => words.name.clone(),
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::Secrets)
    }
}

/// The type of a member or a parameter, which stands in `owner` under `name`.
pub(crate) fn typed(
    document: &Document,
    owner: &str,
    name: &str,
    schema: &Json,
) -> Result<Typed, String> {
    let wrong = |what: &str| format!("{owner}.{name}: {what}");
    let never = |of| Typed { of, is_nullable: false };
    if let Some(referred) = reference(schema) {
        return Ok(never(named(document, referred)?));
    }
    let options = [schema.items("oneOf"), schema.items("anyOf")].concat();
    if !options.is_empty() {
        let is_null = |option: &&Json| option.text("type") == Some("null");
        let values: Vec<&Json> = options.iter().filter(|option| !is_null(option)).collect();
        let [value] = values[..] else { return Err(wrong("may be of several types")) };
        let Typed { of, is_nullable } = typed(document, owner, name, value)?;
        return Ok(Typed { of, is_nullable: is_nullable || values.len() < options.len() });
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Json::Text(kind)) => vec![kind],
        Some(Json::List(kinds)) => kinds.iter().filter_map(Json::as_text).collect(),
        _ => return Ok(never(Type::Any)),
    };
    let is_nullable = kinds.contains(&"null");
    let values: Vec<&str> = kinds.iter().copied().filter(|kind| *kind != "null").collect();
    let [kind] = values[..] else { return Err(wrong("may be of several types")) };
    let of = match kind {
        "boolean" => Type::Boolean,
        "integer" => Type::Number(integer(schema)),
        "number" => Type::Number("f64"),
        "string" => text(owner, name, schema),
        "array" => {
            let items = schema.get("items").ok_or_else(|| wrong("has no items"))?;
            Type::List(Box::new(typed(document, owner, name, items)?.of))
        }
        "object" => object(document, owner, name, schema)?,
        other => return Err(wrong(&format!("is {other}, which is not known"))),
    };
    Ok(Typed { of, is_nullable })
}

/// What a schema with a name is.
fn named(document: &Document, name: &str) -> Result<Type, String> {
    let schema = document.schema(name)?;
    if !schema.items("enum").is_empty() {
        let docs = paragraphs(schema.text("description").unwrap_or(name));
        return Ok(Type::Words(Words { name: name.to_owned(), docs, words: words(schema) }));
    }
    if !schema.items("allOf").is_empty() || schema.get("properties").is_some() {
        return Ok(Type::Struct(name.to_owned()));
    }
    Ok(typed(document, name, "", schema)?.of)
}

fn integer(schema: &Json) -> &'static str {
    let least = schema.number("minimum").and_then(|least| least.parse::<i64>().ok());
    let is_unsigned = least.is_some_and(|least| least >= 0);
    match (schema.text("format"), is_unsigned) {
        (Some("int32"), true) => "u32",
        (Some("int32"), false) => "i32",
        (_, true) => "u64",
        (_, false) => "i64",
    }
}

fn text(owner: &str, name: &str, schema: &Json) -> Type {
    let words = words(schema);
    if !words.is_empty() {
        let known: Vec<&str> = words.iter().map(String::as_str).collect();
        let (name, docs) = match names::words(&known) {
            Some((name, docs)) => (name.to_owned(), vec![docs.to_owned()]),
            None => {
                let docs = schema.text("description").map(paragraphs);
                let own = || vec![format!("Words of `{name}`.")];
                (format!("{owner}{}", names::pascal(name)), docs.unwrap_or_else(own))
            }
        };
        return Type::Words(Words { name, docs, words });
    }
    match schema.text("format") {
        Some("date-time") => Type::Instant,
        Some("date") => Type::Day,
        Some("uuid") => Type::Id,
        Some("password") => Type::Secret,
        _ if names::is_secret(owner, name) => Type::Secret,
        _ => Type::Text,
    }
}

fn object(document: &Document, owner: &str, name: &str, schema: &Json) -> Result<Type, String> {
    if names::is_secret(owner, name) {
        return Ok(Type::Secrets);
    }
    if schema.get("properties").is_some() {
        return Err(format!("{owner}.{name}: an object of its own needs a name"));
    }
    match schema.get("additionalProperties") {
        Some(values @ Json::Object(_)) => {
            Ok(Type::Map(Box::new(typed(document, owner, name, values)?.of)))
        }
        _ => Ok(Type::Any),
    }
}

/// The words of an enum, without null.
fn words(schema: &Json) -> Vec<String> {
    schema.items("enum").iter().filter_map(Json::as_text).map(str::to_owned).collect()
}
