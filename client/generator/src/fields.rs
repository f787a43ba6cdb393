//! The members of an object, and the parameters of a query.

use crate::{
    document::{Document, Operation, reference},
    json::Json,
    names,
    text::{bounds, paragraphs},
    types::{Type, Typed, typed},
};

/// Parameters whose part methods of the client play.
const BY_METHODS: &[&str] = &["format", "columns", "last_event_id"];

#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// As it is sent.
    pub(crate) name: String,
    /// In Rust.
    pub(crate) identifier: String,
    pub(crate) docs: Vec<String>,
    pub(crate) of: Type,
    pub(crate) is_needed: bool,
    pub(crate) is_nullable: bool,
}

impl Field {
    fn new(
        document: &Document,
        owner: &str,
        name: &str,
        node: &Json,
        schema: &Json,
    ) -> Result<Self, String> {
        let Typed { of, is_nullable } = typed(document, owner, name, schema)?;
        let within = schema.items("oneOf").iter().find_map(|option| option.text("description"));
        let told = node.text("description").or_else(|| schema.text("description")).or(within);
        let mut docs = match (told, &of) {
            (Some(told), _) => paragraphs(told),
            (None, Type::Words(words)) => words.docs.clone(),
            (None, _) => vec![format!("The member `{name}`.")],
        };
        let bounds = bounds(schema, told.unwrap_or_default());
        if let Some(last) = docs.last_mut().filter(|_| !bounds.is_empty()) {
            *last = format!("{last} {bounds}");
        }
        let (name, identifier) = (name.to_owned(), names::identifier(name));
        Ok(Self { name, identifier, docs, of, is_needed: false, is_nullable })
    }
}

/// Members of a schema, and of all that it consists of.
pub(crate) fn of_schema(
    document: &Document,
    owner: &str,
    schema: &Json,
) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    for part in schema.items("allOf") {
        match reference(part) {
            Some(name) => fields.extend(of_schema(document, name, document.schema(name)?)?),
            None => fields.extend(of_schema(document, owner, part)?),
        }
    }
    let needed: Vec<&str> = schema.items("required").iter().filter_map(Json::as_text).collect();
    for (name, member) in schema.get("properties").map(Json::members).unwrap_or_default() {
        let field = Field::new(document, owner, name, member, member)?;
        fields.push(Field { is_needed: needed.contains(&name.as_str()), ..field });
    }
    Ok(fields)
}

/// Parameters of an operation that stand in its query; `owner` is the struct of them.
pub(crate) fn of_query(
    document: &Document,
    owner: &str,
    operation: &Operation<'_>,
) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    for parameter in operation.parameters("query") {
        let name = parameter.text("name").unwrap_or_default();
        if BY_METHODS.contains(&name) {
            continue;
        }
        let schema = parameter.get("schema").unwrap_or(&Json::Null);
        let field = Field::new(document, owner, name, parameter, schema)?;
        fields.push(Field { is_needed: parameter.is("required"), ..field });
    }
    Ok(fields)
}
