//! `/docs/webhooks`: how to receive what postcall sends. One text, as HTML and as Markdown.

use contract::events::{CATALOGUE, EventType};
use pulldown_cmark::{Options, Parser, html::push_html};

const SOURCE: &str = include_str!("webhooks.md");

/// The text, with the types of events as the catalogue has them.
pub(super) fn markdown() -> String {
    let rows: String = CATALOGUE.iter().map(row).collect();
    SOURCE.replace("{{event_types}}\n", &format!("| type | when |\n|---|---|\n{rows}"))
}

fn row(known: &EventType) -> String {
    let later = if known.is_available() { "" } else { " Comes with a later release." };
    format!("| `{}` | {}{later} |\n", known.name, known.description)
}

/// The same as the inside of a page.
pub(super) fn html(markdown: &str) -> String {
    let mut page = String::with_capacity(markdown.len() * 2);
    push_html(&mut page, Parser::new_ext(markdown, Options::ENABLE_TABLES));
    page
}

#[cfg(test)]
mod tests {
    use contract::events::EVENT_TYPES;

    use super::*;

    #[test]
    fn the_page_has_every_type_and_five_languages() {
        let markdown = markdown();
        assert!(!markdown.contains("{{"), "a placeholder is left");
        let page = html(&markdown);
        for event_type in EVENT_TYPES {
            assert!(page.contains(&format!("<td><code>{event_type}</code></td>")), "{event_type}");
        }
        for language in ["js", "python", "go", "ruby", "rust"] {
            assert!(page.contains(&format!("class=\"language-{language}\"")), "{language}");
        }
        assert!(page.contains("{webhook-id}.{webhook-timestamp}.{body}"));
        let loaded = ["<script", "<img", "<link", "src="];
        assert!(loaded.iter().all(|what| !page.contains(what)), "the page loads nothing");
    }
}
