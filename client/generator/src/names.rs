//! Names in Rust of what the document names otherwise, or not at all.

/// Enums that the document writes out at each place: their words, and how they are called here.
/// What is not listed is called by the first place that has it. A named schema needs no line.
const WORDS: &[(&[&str], &str, &str)] = &[
    (&["vapi", "retell", "twilio"], "Provider", "Who runs calls."),
    (
        &[
            "queued",
            "ringing",
            "in-progress",
            "completed",
            "failed",
            "no-answer",
            "busy",
            "canceled",
        ],
        "CallStatus",
        "Where a call stands.",
    ),
    (&["inbound", "outbound", "web"], "Direction", "Who began a call."),
    (
        &["finish", "recording", "extract", "sms", "email", "webhooks", "close"],
        "StepName",
        "A step of what is done for a call.",
    ),
    (&["completed", "failed", "skipped"], "StepStatus", "What became of a step."),
    (&["received", "processed", "parked", "discarded"], "InboxStatus", "Where an event stands."),
    (&["webhook", "spool", "sweep", "replay"], "Origin", "How an event came."),
    (
        &["progress", "ended", "report", "message", "other"],
        "EventLife",
        "What an event says of the life of its call.",
    ),
    (&["readable", "base64"], "BodyForm", "How a body is shown."),
    (&["owner", "admin", "member"], "MemberRole", "What a member may do."),
    (&["none", "call"], "DeliveryOrder", "What an endpoint's events wait for."),
    (&["closed", "open", "half-open"], "Circuit", "Whether an endpoint is sent to."),
    (
        &["pending", "delivered", "failed", "disabled"],
        "DeliveryState",
        "What became of a delivery.",
    ),
    (&["attempt", "skip"], "LogKind", "What a line of a log tells of."),
    (&["delivered", "failed"], "LogOutcome", "What became of an attempt."),
    (&["pause", "resume", "abort"], "RecoveryChange", "What to do with a recovery."),
    (&["day", "assistant"], "UsageBy", "What a row of usage is of."),
    (&["calls", "minutes", "seconds", "cost", "overage"], "Measure", "What books count."),
    (&["late", "adjusted", "in-flight", "voided"], "DifferenceReason", "Why books may differ."),
];

/// Texts that are secrets though the document does not say so by `format: password`.
const SECRETS: &[(&str, &str)] = &[
    ("ApiKeyWithKey", "key"),
    ("WebhookWithSecret", "secret"),
    ("CreateWebhook", "headers"),
    ("UpdateWebhook", "headers"),
];

/// Schemas that `src/` has by hand.
pub(crate) const BY_HAND: &[&str] = &["Problem", "FieldError"];

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "static", "struct", "super", "trait", "true", "type", "unsafe", "use",
    "where", "while", "yield",
];

/// Name and description of an enum.
pub(crate) fn words(words: &[&str]) -> Option<(&'static str, &'static str)> {
    let found = WORDS.iter().find(|(known, ..)| *known == words);
    found.map(|(_, name, description)| (*name, *description))
}

pub(crate) fn is_secret(schema: &str, member: &str) -> bool {
    SECRETS.contains(&(schema, member))
}

/// `X-Organization-Id` is `x_organization_id`.
pub(crate) fn snake(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_lowercase()),
            _ if name.ends_with('_') || name.is_empty() => {}
            _ => name.push('_'),
        }
    }
    name
}

/// `half-open` is `HalfOpen`.
pub(crate) fn pascal(text: &str) -> String {
    let capital = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => format!("{}{rest}", first.to_uppercase()),
        None => String::new(),
    };
    snake(text).split('_').map(capital).collect()
}

/// As a name of a field, an argument or a function.
pub(crate) fn identifier(text: &str) -> String {
    let name = snake(text);
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_rust_writes_them() {
        assert_eq!(pascal("half-open"), "HalfOpen");
        assert_eq!(pascal("list_api_keys"), "ListApiKeys");
        assert_eq!(identifier("type"), "r#type");
        assert_eq!(identifier("X-Organization-Id"), "x_organization_id");
    }
}
