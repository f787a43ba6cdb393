//! `models.rs`: what is sent and answered.

use std::collections::BTreeMap;

use crate::{
    document::{Answered, Document, Operation, reference},
    fields::{self, Field},
    json::Json,
    names, setters,
    text::{doc, head, paragraphs},
    types::{Type, Words},
};

const USES: &str = "use std::collections::BTreeMap;\n\n\
    use chrono::{DateTime, NaiveDate, Utc};\n\
    use secrecy::SecretString;\n\
    use serde::{Deserialize, Serialize};\n\
    use serde_json::Value;\n\
    use uuid::Uuid;\n\n\
    use crate::{\n    export::{Listing, Row},\n    patch::Patch,\n    query::{self, Pairs},\n    \
    words::words,\n};\n";

/// What is sent: also the structs of queries.
pub(crate) fn written(document: &Document) -> Result<String, String> {
    let mut models = Models { document, structs: BTreeMap::new(), words: BTreeMap::new() };
    for operation in document.operations()? {
        models.take(&operation)?;
    }
    let mut text = head("What is sent and answered.");
    text.push_str(USES);
    for words in models.words.values() {
        text.push_str(&enumeration(words));
    }
    for (name, one) in &models.structs {
        text.push_str(&structure(name, one));
    }
    Ok(text)
}

/// The struct of an operation's query.
pub(crate) fn query_name(operation: &Operation<'_>) -> String {
    format!("{}Query", names::pascal(operation.id))
}

/// What a page is of: a schema of `data` and `next_cursor` alone.
pub(crate) fn page_of<'a>(document: &'a Document, name: &str) -> Result<Option<&'a str>, String> {
    let schema = document.schema(name)?;
    let properties = schema.get("properties").map(Json::members).unwrap_or_default();
    let is_page = properties.len() == 2 && properties.iter().any(|(name, _)| name == "next_cursor");
    Ok(if is_page { row_of(document, name)? } else { None })
}

/// What a list is of: `data` is an array of it.
pub(crate) fn row_of<'a>(document: &'a Document, name: &str) -> Result<Option<&'a str>, String> {
    let data = document.schema(name)?.get("properties").and_then(|members| members.get("data"));
    Ok(data.and_then(|data| data.get("items")).and_then(reference))
}

struct Models<'a> {
    document: &'a Document,
    structs: BTreeMap<String, Struct>,
    words: BTreeMap<String, Words>,
}

#[derive(Default)]
struct Struct {
    docs: Vec<String>,
    fields: Vec<Field>,
    is_query: bool,
    is_sent: bool,
    /// Whether null puts back a default, and what is not there stays.
    is_change: bool,
    is_answered: bool,
    is_row: bool,
    /// What it is a list of.
    row: Option<String>,
}

impl Models<'_> {
    fn take(&mut self, operation: &Operation<'_>) -> Result<(), String> {
        let query = query_name(operation);
        let fields = fields::of_query(self.document, &query, operation)?;
        for parameter in operation.parameters("path") {
            let name = parameter.text("name").unwrap_or_default();
            let schema = parameter.get("schema").unwrap_or(&Json::Null);
            self.mention(&crate::types::typed(self.document, &query, name, schema)?.of)?;
        }
        if !fields.is_empty() {
            let docs = vec![format!("Parameters of `{}`.", operation.name())];
            for field in &fields {
                self.mention(&field.of)?;
            }
            let query_struct = Struct { docs, fields, is_query: true, ..Struct::default() };
            self.structs.insert(query, query_struct);
        }
        if let Some(body) = operation.body()? {
            self.sent(body.schema, operation.method == "PATCH")?;
        }
        if let Answered::Json(name) = operation.answered()? {
            let row = row_of(self.document, name)?.map(str::to_owned);
            if let Some(row) = &row {
                self.answered(row)?;
                self.structs.entry(row.clone()).or_default().is_row = true;
            }
            if page_of(self.document, name)?.is_none() {
                self.answered(name)?;
                self.structs.entry(name.to_owned()).or_default().row = row;
            }
        }
        Ok(())
    }

    fn sent(&mut self, name: &str, is_change: bool) -> Result<(), String> {
        let inner = self.read(name)?;
        let one = self.structs.entry(name.to_owned()).or_default();
        (one.is_sent, one.is_change) = (true, is_change);
        inner.iter().try_for_each(|inner| self.sent(inner, is_change))
    }

    fn answered(&mut self, name: &str) -> Result<(), String> {
        let inner = self.read(name)?;
        self.structs.entry(name.to_owned()).or_default().is_answered = true;
        inner.iter().try_for_each(|inner| self.answered(inner))
    }

    /// Reads a schema; gives the structs within.
    fn read(&mut self, name: &str) -> Result<Vec<String>, String> {
        let schema = self.document.schema(name)?;
        let one = self.structs.entry(name.to_owned()).or_default();
        one.docs = paragraphs(schema.text("description").unwrap_or(name));
        one.fields = fields::of_schema(self.document, name, schema)?;
        let types: Vec<Type> = one.fields.iter().map(|field| field.of.clone()).collect();
        let mut inner = Vec::new();
        for of in &types {
            inner.extend(self.mention(of)?);
        }
        Ok(inner)
    }

    /// Notes what a type consists of; gives the struct within.
    fn mention(&mut self, of: &Type) -> Result<Option<String>, String> {
        match of {
            Type::List(inner) | Type::Map(inner) => self.mention(inner),
            Type::Struct(name) if names::BY_HAND.contains(&name.as_str()) => Ok(None),
            Type::Struct(name) => Ok(Some(name.clone())),
            Type::Words(words) => {
                let known = self.words.entry(words.name.clone()).or_insert_with(|| words.clone());
                if known.words == words.words {
                    return Ok(None);
                }
                Err(format!("two enums would be called {}: give one of them a name", words.name))
            }
            _ => Ok(None),
        }
    }
}

fn enumeration(words: &Words) -> String {
    let variants: String = words
        .words
        .iter()
        .map(|word| format!("        {} = \"{word}\",\n", names::pascal(word)))
        .collect();
    let docs = doc(4, &words.docs);
    format!("\nwords! {{\n{docs}    {} {{\n{variants}    }}\n}}\n", words.name)
}

fn structure(name: &str, one: &Struct) -> String {
    let is_asked = one.is_query || one.is_sent;
    let mut text = format!("\n{}{}", doc(0, &one.docs), derives(one));
    if is_asked {
        text.push_str("#[must_use]\n");
    }
    text.push_str(&format!("#[non_exhaustive]\npub struct {name} {{\n"));
    for field in &one.fields {
        text.push_str(&doc(4, &field.docs));
        for attribute in attributes(one, field) {
            text.push_str(&format!("    #[serde({attribute})]\n"));
        }
        text.push_str(&format!("    pub {}: {},\n", field.identifier, rust(one, field)));
    }
    text.push_str("}\n");
    if is_asked {
        text.push_str(&format!("\nimpl {name} {{\n{}", setters::new(&one.fields)));
        for field in one.fields.iter().filter(|field| !field.is_needed) {
            let is_patch = one.is_change && field.is_nullable;
            text.push_str(&setters::set(field, if is_patch { "Patch::Set" } else { "Some" }));
            if is_patch {
                text.push_str(&setters::clear(field));
            }
        }
        if one.is_query {
            text.push_str(&pairs(&one.fields));
        }
        text.push_str("}\n");
    }
    if one.is_row {
        let columns: String =
            one.fields.iter().map(|field| format!("        \"{}\",\n", field.name)).collect();
        text.push_str(&format!(
            "\nimpl Row for {name} {{\n    const COLUMNS: &'static [&'static str] = \
             &[\n{columns}    ];\n}}\n"
        ));
    }
    if let Some(row) = &one.row {
        text.push_str(&format!("\nimpl Listing for {name} {{\n    type Row = {row};\n}}\n"));
    }
    text
}

fn derives(one: &Struct) -> String {
    let has_secret = one.fields.iter().any(|field| field.of.is_secret());
    let is_empty = !one.fields.iter().any(|field| field.is_needed);
    // What is answered may be kept as JSON, but for a secret.
    let derives = [
        ("Debug", true),
        ("Clone", true),
        ("Default", (one.is_sent || one.is_query) && is_empty && !one.is_answered),
        ("PartialEq", !has_secret),
        ("Serialize", one.is_sent || one.is_answered && !has_secret),
        ("Deserialize", one.is_answered),
    ];
    let names: Vec<&str> = derives.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    format!("#[derive({})]\n", names.join(", "))
}

fn rust(one: &Struct, field: &Field) -> String {
    let of = field.of.rust();
    match (field.is_needed && !field.is_nullable, one.is_change && field.is_nullable) {
        (true, _) => of,
        (false, true) => format!("Patch<{of}>"),
        (false, false) => format!("Option<{of}>"),
    }
}

fn attributes(one: &Struct, field: &Field) -> Vec<String> {
    if one.is_query {
        return Vec::new();
    }
    let mut attributes = Vec::new();
    if field.identifier != field.name && field.identifier != format!("r#{}", field.name) {
        attributes.push(format!("rename = \"{}\"", field.name));
    }
    if one.is_sent && !field.is_needed {
        let skip = match one.is_change && field.is_nullable {
            true => "Patch::is_keep",
            false => "Option::is_none",
        };
        attributes.push(format!("skip_serializing_if = \"{skip}\""));
    }
    for (way, is_needed) in [("serialize", one.is_sent), ("deserialize", one.is_answered)] {
        if field.of.is_secret() && is_needed {
            attributes.push(format!("{way}_with = \"crate::secret::{way}\""));
        }
    }
    attributes
}

fn pairs(fields: &[Field]) -> String {
    let mut text = String::from("\n    pub(crate) fn pairs(self) -> Pairs {\n");
    text.push_str("        let mut pairs = Pairs::new();\n");
    for field in fields {
        let value = match field.is_needed {
            true => format!("Some(self.{})", field.identifier),
            false => format!("self.{}", field.identifier),
        };
        text.push_str(&format!("        query::add(&mut pairs, \"{}\", {value});\n", field.name));
    }
    text.push_str("        pairs\n    }\n");
    text
}
