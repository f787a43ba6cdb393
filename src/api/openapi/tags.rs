//! What the routes are grouped by.

use utoipa::openapi::tag::{Tag, TagBuilder};

const TAGS: [(&str, &str); 16] = [
    (
        "calls",
        "Calls with their transcripts, recordings, results and timelines, and the search in them",
    ),
    ("dashboard", "An organization at a glance"),
    ("events", "What happens, as it happens, and the types of it"),
    ("usage", "Minutes used, by day and period, and the books behind them"),
    ("billing", "Periods, what they bill, and what Stripe was told"),
    (
        "webhooks",
        "Endpoints that events are sent to, attempts at them, and recoveries of what failed",
    ),
    ("assistants", "Who answers or makes calls"),
    ("templates", "What assistants can be made from"),
    ("phone numbers", "Numbers that calls are made from and come in at"),
    ("organization", "The organization and its settings"),
    ("members", "Who belongs to the organization, and who they are"),
    ("API keys", "What programs prove themselves with"),
    ("provider credentials", "What providers prove themselves with, and what they are asked with"),
    ("inbox", "What providers said, as they said it, and second thoughts about it"),
    ("audit log", "Who changed what, from where"),
    ("operations", "Whether the process lives and can serve; needs no key"),
];

pub(super) fn tags() -> Vec<Tag> {
    let tag =
        |(name, words): (&str, &str)| TagBuilder::new().name(name).description(Some(words)).build();
    TAGS.into_iter().map(tag).collect()
}
