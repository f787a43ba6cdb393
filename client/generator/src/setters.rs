//! How the structs of requests are filled.

use crate::{
    fields::Field,
    text::{doc, signature},
    types::Type,
};

/// How a value is taken, and made of what is taken.
pub(crate) fn taken(of: &Type, name: &str) -> (String, String) {
    match of {
        Type::Text => ("impl Into<String>".to_owned(), format!("{name}.into()")),
        Type::Secret => ("impl Into<SecretString>".to_owned(), format!("{name}.into()")),
        Type::Secrets => (
            "impl IntoIterator<Item = (impl Into<String>, impl Into<SecretString>)>".to_owned(),
            format!("{name}.into_iter().map(|(name, text)| (name.into(), text.into())).collect()"),
        ),
        Type::List(items) if **items == Type::Text => (
            "impl IntoIterator<Item: Into<String>>".to_owned(),
            format!("{name}.into_iter().map(Into::into).collect()"),
        ),
        Type::List(items) => (
            format!("impl IntoIterator<Item = {}>", items.rust()),
            format!("{name}.into_iter().collect()"),
        ),
        other => (other.rust(), name.to_owned()),
    }
}

/// What begins a struct: with what it needs.
pub(crate) fn new(fields: &[Field]) -> String {
    let needed: Vec<&Field> = fields.iter().filter(|field| field.is_needed).collect();
    if needed.is_empty() {
        let docs = doc(4, &["With nothing yet.".to_owned()]);
        return format!("{docs}    pub fn new() -> Self {{\n        Self::default()\n    }}\n");
    }
    let arguments: Vec<String> = needed
        .iter()
        .map(|field| format!("{}: {}", field.identifier, taken(&field.of, "").0))
        .collect();
    let mut text = doc(4, &["With what is needed.".to_owned()]);
    text.push_str(&signature(4, "pub fn new", &arguments, " -> Self"));
    text.push_str("        Self {\n");
    for field in fields {
        let name = &field.identifier;
        let value = match field.is_needed {
            true => taken(&field.of, name).1,
            false => "Default::default()".to_owned(),
        };
        match value == *name {
            true => text.push_str(&format!("            {name},\n")),
            false => text.push_str(&format!("            {name}: {value},\n")),
        }
    }
    text.push_str("        }\n    }\n");
    text
}

/// What sets a field that is not needed, to `wrapper` of the value.
pub(crate) fn set(field: &Field, wrapper: &str) -> String {
    let name = &field.identifier;
    let (argument, value) = taken(&field.of, name);
    let head = signature(
        4,
        &format!("pub fn {name}"),
        &["mut self".to_owned(), format!("{name}: {argument}")],
        " -> Self",
    );
    format!(
        "\n{}{head}        self.{name} = {wrapper}({value});\n        self\n    }}\n",
        doc(4, &field.docs)
    )
}

/// What sends null for a field.
pub(crate) fn clear(field: &Field) -> String {
    let name = &field.identifier;
    let plain = name.trim_start_matches("r#");
    let docs = [format!("Clears [`Self::{plain}`].")];
    format!(
        "\n{}    pub fn clear_{plain}(mut self) -> Self {{\n        self.{name} = Patch::Clear;\n        \
         self\n    }}\n",
        doc(4, &docs)
    )
}
