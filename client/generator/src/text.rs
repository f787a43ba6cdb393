//! How the made code is written.

use crate::json::Json;

/// Columns of a line of documentation, indentation and slashes included.
const WIDTH: usize = 100;

/// First lines of a file.
pub(crate) fn head(what: &str) -> String {
    format!(
        "//! {what}\n//!\n//! Made from `openapi.json` by `cargo run -p client-generator`: \
         change that, not this.\n\n"
    )
}

/// Lines of documentation.
pub(crate) fn doc(indent: usize, paragraphs: &[String]) -> String {
    let prefix = format!("{}///", " ".repeat(indent));
    let mut text = String::new();
    for (place, paragraph) in paragraphs.iter().enumerate() {
        if place > 0 {
            text.push_str(&format!("{prefix}\n"));
        }
        for line in wrapped(paragraph, WIDTH - prefix.len() - 1) {
            text.push_str(&format!("{prefix} {line}\n"));
        }
    }
    text
}

/// A description as paragraphs, safe for rustdoc.
pub(crate) fn paragraphs(description: &str) -> Vec<String> {
    description.split("\n\n").map(|part| escaped(&part.replace('\n', " "))).collect()
}

/// What a schema says of a value besides its description.
pub(crate) fn bounds(schema: &Json, description: &str) -> String {
    let range = |least: &str, most: &str, unit: &str| match (
        schema.number(least).filter(|least| *least != "0"),
        schema.number(most),
    ) {
        (None, None) => None,
        (None, Some(most)) => Some(format!("At most {most}{unit}.")),
        (Some(least), None) => Some(format!("At least {least}{unit}.")),
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}.")),
    };
    let default = match schema.get("default").filter(|_| !description.contains("Default")) {
        Some(Json::Number(value) | Json::Text(value)) => Some(format!("Default: `{value}`.")),
        _ => None,
    };
    let example = match schema.get("example").filter(|_| !description.contains('`')) {
        Some(Json::Text(value)) if !value.is_empty() => Some(format!("Example: `{value}`.")),
        _ => None,
    };
    let parts = [
        range("minLength", "maxLength", " characters"),
        range("minItems", "maxItems", " items"),
        range("minimum", "maximum", ""),
        default,
        example,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `name(arguments) -> answer` on one line, or with a line for each argument.
pub(crate) fn signature(indent: usize, head: &str, arguments: &[String], tail: &str) -> String {
    let pad = " ".repeat(indent);
    let short = format!("{pad}{head}({}){tail} {{\n", arguments.join(", "));
    if short.trim_end().len() <= WIDTH {
        return short;
    }
    let arguments: String =
        arguments.iter().map(|argument| format!("{pad}    {argument},\n")).collect();
    format!("{pad}{head}(\n{arguments}{pad}){tail} {{\n")
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Brackets are links and angles are HTML, but for those within backticks.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(place, part)| match place % 2 {
        0 => part.replace('[', "\\[").replace('<', "\\<"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_told_in_words() {
        let schema =
            r#"{"minimum": 1, "maximum": 250, "minLength": 0, "maxLength": 9, "default": 50}"#;
        let schema: Json = serde_json::from_str(schema).unwrap();
        assert_eq!(bounds(&schema, ""), "At most 9 characters. 1 to 250. Default: `50`.");
        assert_eq!(bounds(&schema, "Default: none"), "At most 9 characters. 1 to 250.");
    }

    #[test]
    fn rustdoc_takes_what_the_document_says() {
        assert_eq!(paragraphs("a [b] `[c]`\nd\n\n<e>"), ["a \\[b] `[c]` d", "\\<e>"]);
        assert_eq!(doc(4, &["a".to_owned(), "b".to_owned()]), "    /// a\n    ///\n    /// b\n");
    }
}
