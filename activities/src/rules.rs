//! The extractor for those without a model: deterministic, offline, modest.

use serde_json::{Value, json};

/// Longest action kept, in characters.
const LONGEST: usize = 300;

/// Openings by which people commit themselves or ask for something, in lower case.
const COMMITMENTS: &[&str] = &[
    "i will ",
    "i'll ",
    "we will ",
    "we'll ",
    "please ",
    "could you ",
    "can you ",
    "let me ",
    "i would like ",
    "i'd like ",
    "you need to ",
    "i need to ",
    "i need you to ",
    "make sure ",
    "don't forget ",
    "remember to ",
];

/// Words that open a time by which something is due.
const DUE: &[&str] = &[
    "today",
    "tonight",
    "tomorrow",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "next week",
    "next month",
    "this week",
    "end of the day",
];

/// Finds sentences in which somebody commits to something, in the model's schema.
pub(crate) fn action_items(transcript: &str) -> Value {
    let items: Vec<Value> = transcript.lines().flat_map(items_of_line).collect();
    json!({ "action_items": items })
}

fn items_of_line(line: &str) -> Vec<Value> {
    let (speaker, talk) = line.split_once(':').unwrap_or(("", line));
    let owner = match speaker.trim().to_lowercase().as_str() {
        "ai" | "agent" | "assistant" | "bot" => "agent",
        _ => "caller",
    };
    talk.split_inclusive(['.', '!', '?'])
        .map(str::trim)
        .filter(|sentence| commits(sentence))
        .map(|sentence| {
            let asks = ["please", "could you", "can you", "you need"]
                .iter()
                .any(|opening| sentence.to_lowercase().contains(opening));
            let owner = match (asks, owner) {
                (true, "caller") => "agent",
                (true, _) => "caller",
                (false, owner) => owner,
            };
            let action: String = sentence.chars().take(LONGEST).collect();
            json!({ "action": action, "due": due(sentence), "owner": owner })
        })
        .collect()
}

fn commits(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    COMMITMENTS.iter().any(|opening| {
        lower.find(opening).is_some_and(|at| at == 0 || lower[..at].ends_with([' ', ',']))
    })
}

fn due(sentence: &str) -> Option<&'static str> {
    let lower = sentence.to_lowercase();
    DUE.iter().copied().find(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_commitments_with_owner_and_due() {
        let found = action_items(
            "AI: Hello.\nUser: Please send me the invoice by Friday.\nAI: I'll do that tomorrow.\n",
        );
        assert_eq!(
            found["action_items"],
            json!([
                { "action": "Please send me the invoice by Friday.", "due": "friday", "owner": "agent" },
                { "action": "I'll do that tomorrow.", "due": "tomorrow", "owner": "agent" },
            ])
        );
    }

    #[test]
    fn small_talk_has_no_actions() {
        assert_eq!(action_items("User: Nice weather. How are you?")["action_items"], json!([]));
    }
}
